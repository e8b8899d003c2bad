//! What can be read after a process ended.

pub mod cgroup;
pub mod crash_file;
pub mod losses;
pub mod recovery;
pub mod snapshot;
pub mod status;
