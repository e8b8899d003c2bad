//! What is left of processes that ended.

pub mod cgroup;
pub mod crash_file;
pub mod losses;
pub mod recovery;
pub mod status;
