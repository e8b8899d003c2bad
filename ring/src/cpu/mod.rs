//! What only the processor can do: its time-stamp counter, and fetching memory ahead.
#![allow(unsafe_code)]

pub mod counter;
pub mod prefetch;
