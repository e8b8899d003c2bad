//! What the tests share: scratch folders that clean up after themselves, and log files taken apart.

pub mod logs;
pub mod scratch;
