//! Everything of one role, in the order in which it was written: its files, then what no file has yet.

use super::cursor::Lanes;
use super::head::{Head, LevelsByName};
use super::piece::Piece;
use super::spool::Spool;
use lastwords_ring::place::zone::Zone;
use std::rc::Rc;

/// The sources of one role in one folder.
#[derive(Debug, Clone)]
pub(crate) struct RoleLog {
    pub(crate) role: String,
    pub(crate) zone: Zone,
    pub(crate) levels: LevelsByName,
    pub(crate) text: Vec<Piece>,
    pub(crate) json: Vec<Piece>,
    pub(crate) spool: Rc<Spool>,
    /// The first record of it that is meant.
    pub(crate) spool_from: usize,
    /// Records that were shown before they were in a file; only JSON lines tell that they are of those.
    pub(crate) shown: Rc<Lanes>,
}

/// A place in such a log: piece and offset in its text and its JSON, and the number of a record of the spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) text: (usize, u64),
    pub(crate) json: (usize, u64),
    pub(crate) spool: usize,
}

/// A record as a source has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) role: &'a str,
    pub(crate) head: Head,
    /// As in a text file, where it is in one, or in a ring.
    pub(crate) text: Option<&'a [u8]>,
    /// As in a JSON file, likewise.
    pub(crate) json: Option<&'a [u8]>,
}

impl RoleLog {
    /// What begins at this place.
    pub(crate) fn from(&self, place: &Place) -> RoleLog {
        let behind = |pieces: &[Piece], (number, offset): (usize, u64)| {
            let mut rest = pieces.get(number..).unwrap_or_default().to_vec();
            if let Some(first) = rest.first_mut() {
                first.range.start = first.range.start.max(offset);
            }
            rest
        };
        RoleLog {
            text: behind(&self.text, place.text),
            json: behind(&self.json, place.json),
            spool_from: self.spool_from.max(place.spool),
            ..self.clone()
        }
    }
}
