//! Records to lines: text and JSON.

pub mod amount;
pub mod call_sites;
pub mod columns;
pub mod digits;
pub mod escape;
pub mod fields;
pub mod json;
pub mod level_names;
pub mod line;
pub mod line_head;
pub mod line_time;
pub mod message;
pub mod signal;
pub(crate) mod source_place;
pub mod timestamp;
pub mod value;
