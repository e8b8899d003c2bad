//! What was logged before processes died: the last records up to the last one of the dead process, and the line that tells of
//! its death, which a flusher writes some tenths of a second later.

use super::select::{Select, message_of};
use super::timeline::Timeline;
use lastwords_ring::format::level::Level;
use std::collections::HashMap;
use std::io;
use std::ops::Range;

/// Ranges of records that are wanted, by their numbers among those that are looked at; sorted, and apart from each other.
#[derive(Debug, Default, Clone)]
pub(crate) struct Windows {
    ranges: Vec<Range<u64>>,
    next: usize,
    number: u64,
}

impl Windows {
    /// Goes through a timeline: the `before` last records of each death.
    ///
    /// # Errors
    /// As read(2).
    pub(crate) fn find(timeline: &mut Timeline, select: &Select, before: u64) -> io::Result<Windows> {
        let (mut last, mut ranges, mut number) = (HashMap::<u32, u64>::new(), Vec::new(), 0);
        while timeline.advance()? {
            let record = timeline.record();
            if !select.is_in_scope(&record) {
                continue;
            }
            let is_critical = record.head.level == Some(Level::CRITICAL);
            if is_critical && message_of(&record).starts_with(b"lastwords: the process ") {
                let end = last.remove(&record.head.pid).map_or(number, |last| last + 1);
                ranges.push(end.saturating_sub(before)..end);
                ranges.push(number..number + 1);
            } else {
                last.insert(record.head.pid, number);
            }
            number += 1;
        }
        ranges.sort_by_key(|range| (range.start, range.end));
        Ok(Windows { ranges: joined(ranges), next: 0, number: 0 })
    }

    /// Whether the next record is in one of them.
    pub(crate) fn has_next(&mut self) -> bool {
        let number = self.number;
        self.number += 1;
        while self.ranges.get(self.next).is_some_and(|range| range.end <= number) {
            self.next += 1;
        }
        self.ranges.get(self.next).is_some_and(|range| range.contains(&number))
    }
}

fn joined(ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in ranges.into_iter().filter(|range| !range.is_empty()) {
        match joined.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_touch_are_one() {
        assert_eq!(joined(vec![0..2, 1..3, 3..4, 6..6, 6..8, 7..7]), vec![0..4, 6..8]);
    }
}
