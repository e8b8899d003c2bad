//! A ring of another format version is kept and named, never decoded.
//!
//! An update meets the rings of processes that were started before, or died before. Decoding their bytes by today's rules would
//! print what was never logged; removing them would lose what was. `data/v1.ring` is a ring of version 1, with 13 records, of a
//! process that was killed.

use lastwords_tests::actor::{Printed, tool_at};
use lastwords_tests::scratch::Scratch;
use std::fs;
use std::path::{Path, PathBuf};

const NAME: &str = "worker-1-00.ring";
/// What every tool says of it.
const SAYS: &str = "its format version is 1, this program reads version 3; use the version that wrote it";

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/v1.ring")
}

/// A log folder that holds the ring.
fn folder() -> Scratch {
    let folder = Scratch::new("other-version");
    fs::create_dir_all(folder.join("rings")).expect("made");
    fs::copy(data(), folder.join("rings").join(NAME)).expect("copied");
    folder
}

fn is_untouched(folder: &Scratch) -> bool {
    fs::read(folder.join("rings").join(NAME)).expect("kept") == fs::read(data()).expect("there")
}

#[test]
fn the_flusher_keeps_a_ring_of_version_1_and_names_it() {
    let folder = folder();
    let printed = tool_at("flush --once", &folder).err;
    assert!(printed.contains(NAME) && printed.contains(SAYS), "{printed}");
    assert!(is_untouched(&folder));
    assert!(!folder.join("worker.log").exists(), "nothing of it is shown");
}

#[test]
fn status_and_recover_name_a_ring_of_version_1_and_show_nothing_of_it() {
    let folder = folder();
    for command in ["status", "recover", "recover --black-box"] {
        let Printed { code, out, err, .. } = tool_at(command, &folder);
        assert!(code == Some(3) && err.contains(NAME) && err.contains(SAYS), "{command}: {err}");
        assert!(!out.contains("samples"), "{command}: {out}");
    }
    assert!(is_untouched(&folder));
}
