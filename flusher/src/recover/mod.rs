//! What can be read after a process ended.

pub mod cgroup;
pub mod crash_file;
mod crash_loop;
pub mod crash_name;
pub mod losses;
pub mod recovery;
pub mod snapshot;
pub mod status;
