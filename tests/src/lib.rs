//! What the tests share: scratch folders that clean up after themselves, log files taken apart, and fuzz targets.

pub mod actor;
pub mod descriptors;
pub mod disk;
pub mod drains;
pub mod ends;
pub mod faults;
pub mod flushers;
pub mod forge;
pub mod forking;
pub mod fuzzing;
pub mod handlers;
pub mod jsonl;
pub mod logs;
pub mod loopmount;
pub mod mounts;
pub mod namespaces;
pub mod oracle;
pub mod panics;
pub mod recovered;
pub mod restart;
pub mod samples;
pub mod scratch;
pub mod steps;
pub mod sys;
pub mod watchdog;
pub mod wreck;
