//! The bytes of a ring, and what they mean.

pub mod checksum;
pub mod geometry;
pub mod layout;
pub mod level;
pub mod slot_sum;

macro_rules! not_under_loom {
    ($($item:item)*) => { $(#[cfg(not(loom))] $item)* };
}

not_under_loom! {
    pub mod alike;
    pub mod anchor;
    pub mod call_site;
    pub mod capture;
    pub mod capture_record;
    pub mod choice;
    pub mod compress;
    pub mod columns;
    pub mod directives;
    pub mod file_settings;
    pub mod filter;
    pub mod full_policy;
    pub mod log_format;
    pub mod matched;
    pub mod placeholder;
    pub mod record;
    pub mod role;
    pub mod rotate_every;
    pub mod slot;
    pub mod text;
    pub mod text_layout;
    pub mod timeline;
}
