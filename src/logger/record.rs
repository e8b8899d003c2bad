//! A record on its way from a front end into a lane.

use lastwords_ring::format::filter::Destination;

/// A record without its body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecordHead {
    pub(crate) level: u16,
    pub(crate) call_site: u32,
    pub(crate) destination: Destination,
}

/// The body of a record, assembled by its front end.
pub(crate) trait RecordBody {
    /// The text, if nothing has to be assembled.
    fn constant(&self) -> Option<&[u8]>;

    /// Appends the message's body and returns its encoding. Bodies longer than `size_max` must be text. Without a call site it
    /// includes its place.
    fn write(&self, body: &mut Vec<u8>, call_site: u32, size_max: usize) -> u8;
}
