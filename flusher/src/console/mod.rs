//! Lines on a terminal.

pub mod stderr;
