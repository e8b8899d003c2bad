//! What a failure is about.

use std::fmt::Debug;

/// Prints what it holds where a test fails while it lives: the row of a table, the point of many that are tried.
#[derive(Debug)]
pub struct About<T: Debug>(pub T);

impl<T: Debug> Drop for About<T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{:?}", self.0);
        }
    }
}
