//! Drains a folder once, from a single thread: `drainer FOLDER now|all`. With `now`, rings that were left before count
//! as an earlier run.
//!
//! It asks for its parent's id before and after, and nowhere else, so that whoever traces it knows which system calls
//! are the drain's.

use lastwords::clock;
use lastwords::flush::flusher::{Election, Flusher};
use lastwords::folder::Folder;
use rustix::process::getppid;
use std::path::PathBuf;

fn main() {
    let mut arguments = std::env::args_os().skip(1);
    let path = PathBuf::from(arguments.next().expect("a folder"));
    let since = if arguments.next().is_some_and(|since| since == "now") { clock::realtime_ns() } else { 0 };
    let folder = Folder::open(&path).expect("the folder");
    let _ = getppid();
    let Election::Won(mut flusher) = Flusher::elect(&folder, since).expect("the election") else {
        panic!("another flusher runs");
    };
    flusher.drain_once().expect("the drain");
    let _ = getppid();
}
