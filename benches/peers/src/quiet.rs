//! Waiting until a logger has nothing left to write.

use crate::lines;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// Files that have not grown for so long are taken for complete: a backend that has work writes within it.
const STILL: Duration = Duration::from_millis(3);
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// A logger that still writes on its own after this time is not waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// Returns when the files of `folder` have stopped to grow.
pub(crate) fn wait(folder: &Path) {
    let start = Instant::now();
    let mut size = 0;
    let mut since = start;
    while since.elapsed() < STILL && start.elapsed() < PATIENCE {
        thread::sleep(LOOK_EVERY);
        let now = lines::bytes(folder).expect("the log folder");
        if now != size {
            (size, since) = (now, Instant::now());
        }
    }
}
