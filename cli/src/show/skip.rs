//! Frames of archives that hold no record of the times that are wanted, by the least and greatest time that is noted of each.
//!
//! From the beginning of a log those go that end before the first time, and from its end those that begin behind the last: as
//! if retention had removed them, or nobody had logged them yet. A frame in the middle stays, whatever its times: a record that
//! is older than its predecessor stands where its file has it.
//!
//! Lines of text show no offset. Theirs is the one that the zone has at their time, until a line says another one: a frame with
//! such a line is read, because what is behind it cannot be read without, and what the times of later frames are is known to
//! half a day only, for no zone is further from UTC.

use super::piece::Piece;
use super::role_log::RoleLog;
use super::when::LineClock;
use lastwords_flusher::files::archive::{Frame, Times};

/// Longest that any clock is ahead of UTC, or behind it: nanoseconds.
const OFFSET_MAX: u64 = 26 * 3600 * 1_000_000_000;
/// Where the clocks are set, times that no clock shows are read as ones of an hour or two beside.
const UNSHOWN: u64 = 2 * 3600 * 1_000_000_000;

impl RoleLog {
    /// Leaves out what is before or behind these times, nanoseconds since 1970.
    pub(crate) fn skip(&mut self, (since, until): (Option<u64>, Option<u64>)) {
        let clock = LineClock::new(self.zone.clone());
        for pieces in [&mut self.text, &mut self.json] {
            if let Some(since) = since {
                skip_before(pieces, since, &clock);
            }
            if let Some(until) = until {
                skip_behind(pieces, until, &clock);
            }
        }
    }
}

/// The frames of a piece that are wholly in it, if it is one of an archive.
fn frames(piece: &Piece) -> impl DoubleEndedIterator<Item = &Frame> {
    let all = piece.archive().map_or(&[][..], |archive| archive.frames());
    all.iter().filter(|frame| piece.range.start <= frame.start && frame.start + frame.length <= piece.range.end)
}

fn skip_before(pieces: &mut Vec<Piece>, since: u64, clock: &LineClock) {
    let (mut kept, mut exact) = (Vec::new(), true);
    for (number, piece) in pieces.iter().enumerate() {
        // A part of a frame may have a line that says another offset.
        exact &= piece.range.start == 0;
        let mut start = piece.range.start;
        for frame in frames(piece) {
            let is_before = |times| piece.archive().is_some_and(|of| real(times, of.times(), exact, clock).1 < since);
            // What is in a frame without a record belongs to the one before.
            if frame.start > start || !frame.times.is_none_or(is_before) {
                break;
            }
            exact &= !frame.names_offset;
            let end = frame.start + frame.length;
            if frame.names_offset {
                kept.push(piece.part(start..end));
            }
            start = end;
        }
        if start < piece.range.end {
            kept.push(piece.part(start..piece.range.end));
            kept.extend_from_slice(&pieces[number + 1..]);
            break;
        }
    }
    *pieces = kept;
}

fn skip_behind(pieces: &mut Vec<Piece>, until: u64, clock: &LineClock) {
    while let Some(last) = pieces.last_mut() {
        let Some(archive) = last.archive() else { return };
        let behind = |frame: &&Frame| {
            // What precedes it may say another offset.
            frame.times.is_some_and(|times| real(times, archive.times(), false, clock).0 > until)
        };
        let end = frames(last).rev().take_while(behind).last().map(|frame| frame.start);
        let Some(end) = end else { return };
        last.range.end = end;
        if last.range.start < end {
            return;
        }
        pieces.pop();
    }
}

/// Between which points in time the records of a frame are.
fn real((least, greatest): (u64, u64), kind: Times, exact: bool, clock: &LineClock) -> (u64, u64) {
    let shown = |ns, by: u64| (u64::saturating_sub(ns, by), u64::saturating_add(ns, by));
    match kind {
        Times::Utc => (least, greatest),
        Times::AsShown if exact => {
            (shown(clock.of_shown(least), UNSHOWN).0, shown(clock.of_shown(greatest), UNSHOWN).1)
        }
        Times::AsShown => (shown(least, OFFSET_MAX).0, shown(greatest, OFFSET_MAX).1),
    }
}
