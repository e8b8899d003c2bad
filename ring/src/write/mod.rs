//! The writing end of a ring, for its process.

pub mod lane;
pub mod open_slot;
pub mod words;

macro_rules! not_under_loom {
    ($($item:item)*) => { $(#[cfg(not(loom))] $item)* };
}

not_under_loom! {
    pub mod anchors;
    pub mod arguments;
    pub mod backlog;
    pub mod body;
    pub mod call_sites;
    pub mod full_lane;
    pub mod missed;
    pub mod ring;
    mod room;
}
