//! A logger's present filter: its ring's, as changed from inside and outside.

use lastwords_ring::atomics::Ordering;
use lastwords_ring::format::filter::{ASK, Destination, Filter};
use lastwords_ring::format::layout::Control;
use lastwords_ring::format::level::Level;
use lastwords_ring::format::matched;
use lastwords_ring::mutant::{self, Mutant};
use std::sync::RwLock;

/// The filter as it was at a generation of the ring's.
#[derive(Debug)]
struct KnownFilter {
    generation: u32,
    filter: Filter,
}

/// The filter of a logger's ring.
#[derive(Debug)]
pub(crate) struct LiveFilter {
    control: &'static Control,
    /// Identifies the logger within this program.
    logger: u32,
    known: RwLock<KnownFilter>,
}

/// A cached decision about a call site, valid as long as the key matches the logger's filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CachedDecision {
    /// Its low two bits are 0.
    pub(crate) key: u64,
    pub(crate) destination: Option<Destination>,
}

impl CachedDecision {
    /// Matches no filter.
    pub(crate) const NONE: CachedDecision = CachedDecision { key: 0, destination: None };

    /// Key and destination in one word, so that threads can share it in an atomic.
    #[inline]
    pub(crate) fn to_word(self) -> u64 {
        let destination = match self.destination {
            None => 1,
            Some(Destination::Write) => 2,
            Some(Destination::RingOnly) => 3,
        };
        self.key | destination
    }

    /// Decodes the result of [`CachedDecision::to_word`].
    #[inline]
    pub(crate) fn from_word(word: u64) -> CachedDecision {
        let destination = match word & 3 {
            2 => Some(Destination::Write),
            3 => Some(Destination::RingOnly),
            _ => None,
        };
        CachedDecision { key: word & !3, destination }
    }
}

impl LiveFilter {
    pub(crate) fn new(control: &'static Control, logger: u32, filter: Filter) -> LiveFilter {
        LiveFilter { control, logger, known: RwLock::new(KnownFilter { generation: 0, filter }) }
    }

    /// The destination of a record of this level; `ask` is called only if the level alone does not decide.
    #[inline(always)]
    pub(crate) fn admit(&self, level: Level, ask: impl FnOnce() -> Option<Destination>) -> Option<Destination> {
        let word = self.control.level.load(Ordering::Relaxed);
        if level.number() < word as u16 {
            None
        } else if word < ASK {
            Some(Destination::Write)
        } else {
            ask()
        }
    }

    /// The destination of a record of this level and target, for callers that cache no decision.
    pub(crate) fn admit_target(&self, level: Level, target: &str) -> Option<Destination> {
        self.admit(level, || self.decide(level, target).destination)
    }

    /// The key of decisions that are valid now.
    #[inline]
    pub(crate) fn key(&self) -> u64 {
        self.key_of(self.control.filter_generation.load(Ordering::Acquire))
    }

    fn key_of(&self, filter_generation: u32) -> u64 {
        let filter_generation = if mutant::is(Mutant::DecisionKept) { 1 } else { filter_generation };
        u64::from(self.logger) << 34 | u64::from(filter_generation) << 2
    }

    /// Consults directives and record level. Never waits: while another thread reads a changed filter, levels decide, and the
    /// decision is not cached.
    #[cold]
    pub(crate) fn decide(&self, level: Level, target: &str) -> CachedDecision {
        let now = self.control.filter_generation.load(Ordering::Acquire);
        if let Ok(known) = self.known.try_read()
            && known.generation == now
        {
            return self.decide_by(&known, level, target);
        }
        if let Ok(mut known) = self.known.try_write() {
            *known = KnownFilter { generation: now, filter: self.current() };
            return self.decide_by(&known, level, target);
        }
        let is_written = u32::from(level.number()) >= self.control.write_level.load(Ordering::Relaxed);
        let destination = if is_written { Destination::Write } else { Destination::RingOnly };
        CachedDecision { key: 0, destination: Some(destination) }
    }

    fn decide_by(&self, known: &KnownFilter, level: Level, target: &str) -> CachedDecision {
        let (destination, matched) = known.filter.decide_by(level, target);
        if let Some(index) = matched {
            matched::note(&self.control.matched, known.generation, index);
        }
        CachedDecision { key: self.key_of(known.generation), destination }
    }

    /// The filter as the ring has it now.
    pub(crate) fn current(&self) -> Filter {
        Filter::load(self.control)
    }
}
