//! Becomes the flusher of a folder once, and only checks that no other flusher is at work: `elector FOLDER [BATCHES]`.
//!
//! It asks for its parent's id before its first attempt, and when it has won, so that its tracer knows which system calls are
//! the election's. At the end its pid is a line of the file `done`; the file `clash` is there if two were at work.

use lastwords_flusher::election::{Attempt, Lock};
use lastwords_ring::place::folder::Folder;
use rustix::process::getppid;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

fn main() {
    let path = PathBuf::from(std::env::args_os().nth(1).expect("a folder"));
    let folder = Folder::open(&path).expect("the folder");
    let batches = std::env::args().nth(2).map_or(10, |batches| batches.parse().expect("a number"));
    let _ = getppid();
    loop {
        match Lock::attempt(&folder).expect("an attempt") {
            Attempt::Won(lock) => {
                let _ = getppid();
                work(&path, &lock, batches);
                break;
            }
            Attempt::Held(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    let mut done = File::options().create(true).append(true).open(path.join("done")).expect("opened");
    done.write_all(format!("{}\n", std::process::id()).as_bytes()).expect("written");
}

/// A batch, and a check of the lock before the next, until stopped.
fn work(path: &Path, lock: &Lock, batches: u32) {
    for _ in 0..batches {
        if !lock.is_current() {
            return;
        }
        if File::create_new(path.join("at-work")).is_err() {
            let _ = File::create(path.join("clash"));
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
        let _ = fs::remove_file(path.join("at-work"));
    }
}
