//! What a process records, and where it goes: to the log files, or to the ring alone.
//!
//! A ring's control page holds the filter, so that it can be changed from outside while the process runs:
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 4 | `level`: the finest level that is recorded; in the high half a 1 if the text below decides |
//! | 4 | 4 | `write_level`: the finest level that is written, of targets that no directive names |
//! | 8 | 4 | `filter_generation`: counted up after every change |
//! | 256 | 8 | checksum of the text, its length and the record level |
//! | 264 | 8 | length of the text in the low half, record level in the high one |
//! | 272 | 1776 | directives as text; if temporary, a newline, the end, then the record level and directives that follow |
//!
//! A log call whose level is too fine returns after one load and one branch. Only if the high half is not zero, a call that
//! passes consults the text, and caches the answer until the generation changes.

use crate::format::checksum::checksum;
use crate::format::directives::Directives;
use crate::format::layout::{Control, FILTER_WORDS};
use crate::format::level::Level;
use std::sync::atomic::Ordering;

/// Longest directives, in bytes of text.
pub const TEXT_MAX: usize = (FILTER_WORDS - 2) * 8;

/// In the high half of [`Control::level`]: directives and record level decide.
pub const ASK: u32 = 1 << 16;

/// Where a record goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// To the log files.
    Write,
    /// To the ring only, for the crash file.
    RingOnly,
}

/// What a process records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// What is written to the log files.
    pub directives: Directives,
    /// The finest level that the ring records, of all targets; [`Level::OFF`] if none but what is written.
    pub ring_level: Level,
}

impl From<Level> for Filter {
    /// Everything from this level on is written, and no ring-only records are kept.
    fn from(level: Level) -> Filter {
        Filter { directives: Directives::from(level), ring_level: Level::OFF }
    }
}

impl Filter {
    /// Where a record goes; None if nowhere.
    #[must_use]
    pub fn decide(&self, level: Level, target: &str) -> Option<Destination> {
        self.decide_by(level, target).0
    }

    /// Like [`Filter::decide`], with the directive's target that decides, see [`Directives::decide`].
    pub fn decide_by(&self, level: Level, target: &str) -> (Option<Destination>, Option<usize>) {
        let (written, by) = self.directives.decide(target);
        let ring_only = || (level >= self.ring_level).then_some(Destination::RingOnly);
        (if level >= written { Some(Destination::Write) } else { ring_only() }, by)
    }

    /// The finest level that is recorded of any target.
    #[must_use]
    pub fn finest(&self) -> Level {
        self.directives.finest().min(self.ring_level)
    }

    /// Whether a level alone describes it: everything from it on is written, and there are no ring-only records.
    fn is_level(&self) -> bool {
        self.directives.is_level() && self.ring_level >= self.directives.default_level()
    }

    fn level_word(&self) -> u32 {
        u32::from(self.finest().number()) | if self.is_level() { 0 } else { ASK }
    }

    /// What is different in another filter, in words; empty if nothing is.
    #[must_use]
    pub fn changes_to(&self, after: &Filter) -> String {
        let level = |filter: &Filter| Directives::from(filter.ring_level).to_string();
        let changed = |what: &str, from: String, to: String| (from != to).then(|| format!("{what} {from} -> {to}"));
        let log = changed("log", self.directives.to_string(), after.directives.to_string());
        let ring_level = changed("ring_level", level(self), level(after));
        log.into_iter().chain(ring_level).collect::<Vec<_>>().join(", ")
    }

    /// The bytes of a control page that hold a filter with this text.
    pub(crate) fn text_bytes(&self, text: &str) -> Vec<u8> {
        let mut rest = size_word(text, self.ring_level).to_le_bytes().to_vec();
        rest.extend_from_slice(text.as_bytes());
        let mut bytes = checksum(&rest).to_le_bytes().to_vec();
        bytes.extend_from_slice(&rest);
        bytes
    }

    /// `level` and `write_level` of a control page.
    pub(crate) fn level_words(&self) -> [u32; 2] {
        [self.level_word(), u32::from(self.directives.default_level().number())]
    }

    /// The text of a filter that applies until `CLOCK_BOOTTIME` reaches `until_ns`, followed by `then`.
    pub(crate) fn text_until(&self, until_ns: u64, then: &Filter) -> String {
        let Filter { directives, ring_level } = then;
        format!("{}\n{until_ns} {} {directives}", self.directives, ring_level.number())
    }

    /// The filter in these bytes of a control page, `level` to `write_level` and the text. Text that was never written, or is
    /// being changed, yields the plain level.
    #[must_use]
    pub fn parse(level: u32, words: &[u8]) -> Filter {
        text_of(words).unwrap_or_else(|| Filter::from(Level::new(level as u16)))
    }

    /// The filter of a control page that is mapped here.
    pub fn load(control: &Control) -> Filter {
        let words: Vec<u64> = control.filter.iter().map(|word| word.load(Ordering::Acquire)).collect();
        Filter::parse(control.level.load(Ordering::Acquire), bytemuck::cast_slice(&words))
    }
}

fn size_word(text: &str, ring_level: Level) -> u64 {
    text.len() as u64 | u64::from(ring_level.number()) << 32
}

fn text_of(words: &[u8]) -> Option<Filter> {
    let (text, ring_level) = whole_text(words)?;
    let directives = text.split('\n').next()?.parse().ok()?;
    Some(Filter { directives, ring_level })
}

/// Until when the filter in these bytes applies, in `CLOCK_BOOTTIME`, and which one follows; None for a permanent one.
#[must_use]
pub(crate) fn end_of(words: &[u8]) -> Option<(u64, Filter)> {
    let (text, _) = whole_text(words)?;
    let mut parts = text.split_once('\n')?.1.splitn(3, ' ');
    let (until, ring_level, directives) = (parts.next()?, parts.next()?, parts.next()?);
    let ring_level = Level::new(ring_level.parse().ok()?);
    Some((until.parse().ok()?, Filter { directives: directives.parse().ok()?, ring_level }))
}

/// The text, if it is whole, and the record level.
fn whole_text(words: &[u8]) -> Option<(&str, Level)> {
    let (sum, rest) = words.split_first_chunk::<8>()?;
    let (size, text) = rest.split_first_chunk::<8>()?;
    let size = u64::from_le_bytes(*size);
    let length = size as u32 as usize;
    let whole = rest.get(..8usize.checked_add(length)?)?;
    let text = std::str::from_utf8(text.get(..length)?).ok()?;
    (checksum(whole) == u64::from_le_bytes(*sum)).then_some((text, Level::new((size >> 32) as u16)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(directives: &str, ring_level: Level) -> Filter {
        Filter { directives: directives.parse().expect("directives"), ring_level }
    }

    #[test]
    fn a_record_goes_to_the_files_to_the_ring_or_nowhere() {
        let filter = filter("info,hyper=off", Level::DEBUG);
        assert_eq!(filter.decide(Level::INFO, "app"), Some(Destination::Write));
        assert_eq!(filter.decide(Level::DEBUG, "app"), Some(Destination::RingOnly));
        assert_eq!(filter.decide(Level::TRACE, "app"), None);
        assert_eq!(filter.decide(Level::CRITICAL, "hyper"), Some(Destination::RingOnly));
        assert_eq!(filter.level_word(), 10 | ASK);
    }

    #[test]
    fn a_level_alone_asks_for_nothing_more() {
        assert_eq!(filter("info", Level::OFF).level_word(), 20);
        assert_eq!(filter("info", Level::WARNING).level_word(), 20);
        assert_eq!(filter("off", Level::OFF).level_word(), 0xffff);
        assert_eq!(filter("info,a=warn", Level::OFF).level_word(), 20 | ASK);
        assert_eq!(filter("off,a=5", Level::OFF).level_word(), 5 | ASK);
    }

    #[test]
    fn what_was_not_written_whole_counts_as_the_level() {
        let plain = Filter::from(Level::INFO);
        let wanted = filter("info,hyper=warn", Level::TRACE);
        let bytes = wanted.text_bytes(&wanted.directives.to_string());
        assert_eq!(Filter::parse(20, &bytes), wanted);
        for position in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[position] ^= 4;
            assert_eq!(Filter::parse(20, &changed), plain, "byte {position}");
            assert_eq!(Filter::parse(20, &bytes[..position]), plain, "cut at {position}");
        }
        assert_eq!(Filter::parse(20 | ASK, &[]), plain);
    }
}
