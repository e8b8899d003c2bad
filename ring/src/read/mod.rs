//! The reading end of a ring, for the flusher and the tools.

pub mod steps;

macro_rules! not_under_loom {
    ($($item:item)*) => { $(#[cfg(not(loom))] $item)* };
}

not_under_loom! {
    pub mod capture;
    pub mod decoder_v3;
    pub mod lane_cursor;
    pub mod liveness;
    pub mod progress;
    pub mod reader;
    pub mod ring_file;
    pub mod snapshot;
}
