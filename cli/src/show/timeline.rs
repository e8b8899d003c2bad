//! All logs in one order of time.
//!
//! Of the next records of all logs the earliest comes first, of equal times the one whose role comes first. So a record that is
//! older than the one before it in its log, because the clock was set back, stands right behind that.

use super::role_log::{Place, Record, RoleLog};
use super::stream::Stream;
use regex::bytes::Regex;
use std::io;

/// The records of several logs.
#[derive(Debug)]
pub(crate) struct Timeline {
    /// By role; those that are at their end keep their place.
    streams: Vec<(bool, Stream)>,
    is_back: bool,
    now: usize,
    /// The first record of all others: as long as those of the log at hand come before it, no other has to be looked at.
    other: Option<(u64, usize)>,
}

impl Timeline {
    /// Forwards. With `only`, records that do not match may be left out.
    pub(crate) fn forward(logs: &[RoleLog], only: Option<&Regex>) -> io::Result<Timeline> {
        let streams = logs.iter().map(|log| Stream::forward(log, only)).collect::<io::Result<Vec<Stream>>>()?;
        Timeline::new(streams, false)
    }

    /// Backwards.
    pub(crate) fn backward(logs: &[RoleLog]) -> io::Result<Timeline> {
        Timeline::new(logs.iter().map(Stream::backward).collect::<io::Result<Vec<Stream>>>()?, true)
    }

    fn new(streams: Vec<Stream>, is_back: bool) -> io::Result<Timeline> {
        let mut found = Vec::new();
        for mut stream in streams {
            found.push((stream.advance()?, stream));
        }
        Ok(Timeline { streams: found, is_back, now: usize::MAX, other: None })
    }

    /// Goes on to the next record; false at the end.
    #[inline]
    pub(crate) fn advance(&mut self) -> io::Result<bool> {
        if let Some((more, stream)) = self.streams.get_mut(self.now) {
            *more = stream.advance()?;
            let key = (stream.ns(), self.now);
            let stays = |other| if self.is_back { key >= other } else { key <= other };
            if *more && self.other.is_none_or(stays) {
                return Ok(true);
            }
        }
        Ok(self.choose())
    }

    fn choose(&mut self) -> bool {
        let (mut first, mut second) = (None, None);
        for (number, (more, stream)) in self.streams.iter().enumerate() {
            if !more {
                continue;
            }
            let key = (stream.ns(), number);
            let precedes = |other: Option<(u64, usize)>| {
                other.is_none_or(|other| if self.is_back { key > other } else { key < other })
            };
            if precedes(first) {
                (first, second) = (Some(key), first);
            } else if precedes(second) {
                second = Some(key);
            }
        }
        self.other = second;
        self.now = first.map_or(usize::MAX, |(_, number)| number);
        first.is_some()
    }

    /// The record at hand.
    #[inline]
    pub(crate) fn record(&self) -> Record<'_> {
        self.streams[self.now].1.record()
    }

    /// Forwards: whether it is in a file.
    pub(crate) fn is_in_file(&self) -> bool {
        self.streams[self.now].1.is_in_file()
    }

    /// Of several folders, whose log it is in.
    pub(crate) fn log(&self) -> usize {
        self.now
    }

    /// On the way back: the record at hand is among those that are meant.
    pub(crate) fn pass(&mut self) {
        self.streams[self.now].1.pass();
    }

    /// On the way back: where the records begin that were passed, in each log.
    pub(crate) fn places(&self) -> Vec<Place> {
        self.streams.iter().map(|(_, stream)| stream.place()).collect()
    }
}
