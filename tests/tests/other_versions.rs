//! A ring of another format version is kept and named, never decoded.
//!
//! An update meets the rings of processes that were started before, or died before. Decoding their bytes by today's rules would
//! print what was never logged; removing them would lose what was. `data/v1.ring` is a ring of version 1, with 13 records, of a
//! process that was killed.

use lastwords_tests::actor::tool;
use lastwords_tests::scratch::Scratch;
use std::fs;
use std::path::{Path, PathBuf};

const TOOL: &str = env!("CARGO_BIN_EXE_lastwords-cli");
const NAME: &str = "worker-1-00.ring";
/// What every tool says of it.
const SAYS: &str = "its format version is 1, this program reads version 3; use the version that wrote it";

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/v1.ring")
}

/// A log folder that holds the ring.
fn folder() -> Scratch {
    let folder = Scratch::new("other-version");
    fs::create_dir_all(folder.path().join("rings")).expect("made");
    fs::copy(data(), folder.path().join("rings").join(NAME)).expect("copied");
    folder
}

fn is_untouched(folder: &Scratch) -> bool {
    fs::read(folder.path().join("rings").join(NAME)).expect("kept") == fs::read(data()).expect("there")
}

#[test]
fn the_flusher_keeps_a_ring_of_version_1_and_names_it() {
    let folder = folder();
    let path = folder.path().to_string_lossy();
    let output = tool(TOOL, &["flush", "--once", &path]);
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(printed.contains(NAME) && printed.contains(SAYS), "{printed}");
    assert!(is_untouched(&folder));
    assert!(!folder.path().join("worker.log").exists(), "nothing of it is shown");
}

#[test]
fn status_and_recover_name_a_ring_of_version_1_and_show_nothing_of_it() {
    let folder = folder();
    let path = folder.path().to_string_lossy();
    for command in [&["status", &*path][..], &["recover", &*path], &["recover", "--black-box", &*path]] {
        let output = tool(TOOL, command);
        let printed = String::from_utf8_lossy(&output.stderr);
        assert!(printed.contains(NAME) && printed.contains(SAYS), "{command:?}: {printed}");
        assert_eq!(output.status.code(), Some(3), "{command:?}");
        let shown = String::from_utf8_lossy(&output.stdout);
        assert!(!shown.contains("samples"), "{command:?}: {shown}");
    }
    assert!(is_untouched(&folder));
}
