//! What a producer does when its lane is full: a word of the header.

use crate::format::choice::ParseChoiceError;
use std::str::FromStr;

/// What a producer does when its lane is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
#[repr(u32)]
pub enum FullPolicy {
    /// Waits for the flusher, at most 100 ms, then moves the oldest records to a file beside the ring, where the flusher finds
    /// them later, and does not wait again until the flusher has made progress, on this or other lanes. Without a live flusher
    /// it does so after 10 ms. Beyond the setting `backlog_max`, and if the disk refuses, the oldest records are overwritten
    /// and counted.
    #[default]
    Block = 0,
    /// Moves the oldest records to a file like [`FullPolicy::Block`], but never waits; beyond that drops the new record and
    /// counts it.
    DropNewest = 1,
    /// Overwrites the oldest record at once, and saves nothing: a flight recorder.
    Overwrite = 2,
}

impl FromStr for FullPolicy {
    type Err = ParseChoiceError;

    fn from_str(text: &str) -> Result<FullPolicy, ParseChoiceError> {
        match text {
            "block" => Ok(FullPolicy::Block),
            "drop_newest" => Ok(FullPolicy::DropNewest),
            "overwrite" => Ok(FullPolicy::Overwrite),
            _ => Err(ParseChoiceError::new(text, "block, drop_newest or overwrite")),
        }
    }
}
