//! The plain baseline: one `write(2)` per line, to a file that is opened for appending. Its time stamp is a constant and
//! costs nothing, so it is a little better than any logger that works like this can be.

use crate::message::{DEVICE, ms};
use crate::peer::Peer;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

pub(crate) struct Write(File);

impl Peer for Write {
    const PACKAGE: &'static str = "";
    const MODE: &'static str = "one write(2) per line";

    fn start(folder: &Path) -> Self {
        let file = File::options().append(true).create(true).open(folder.join("bench.log"));
        Write(file.expect("a file"))
    }

    #[inline(always)]
    fn text(&self) {
        let line = format!("2025-10-19 05:55:47.606 [4157] [INFO] {}\n", "Host process starting up, all is in line");
        (&self.0).write_all(line.as_bytes()).expect("written");
    }

    #[inline(always)]
    fn frame(&self, frame: u64) {
        let line =
            format!("2025-10-19 05:55:47.606 [4157] [INFO] frame {} took {} ms on {}\n", frame, ms(frame), DEVICE);
        (&self.0).write_all(line.as_bytes()).expect("written");
    }

    fn finish(self) {}
}
