//! What the program `stepper` logs, for itself and for the test that inspects it between any two instructions.

use crate::oracle::text;

/// Longest padding: with its head, a message then fits the two slots of 80 bytes that a lane of eight slots allows.
pub const LONGEST: u64 = 120;
/// Messages that threads log which have ended before the first step: as many as the lane remembers owners, so that the
/// next one takes the place of the first.
pub const EARLIER: u64 = 4;
/// Call sites that are there to be registered.
pub const SITES: u64 = 8;

/// What is worth stepping through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Messages of one and two slots from one call site.
    Plain,
    /// Every second message is too long for the lane.
    Spilled,
    /// The lane is another thread's no longer: each of the first messages was logged by a thread of its own.
    Reused,
    /// Each message comes from a call site of its own.
    Sites,
    /// There is no drain, so the oldest slots of the full lane are kept beside it before each lap.
    Kept,
}

impl Kind {
    /// The kind of this name.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn named(name: &str) -> Kind {
        let known = [Kind::Plain, Kind::Spilled, Kind::Reused, Kind::Sites, Kind::Kept]
            .into_iter()
            .find(|kind| kind.name() == name);
        known.unwrap_or_else(|| panic!("no kind {name}"))
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Plain => "plain",
            Kind::Spilled => "spilled",
            Kind::Reused => "reused",
            Kind::Sites => "sites",
            Kind::Kept => "kept",
        }
    }

    /// Messages that are logged.
    #[must_use]
    pub fn count(self) -> u64 {
        match self {
            Kind::Plain => 26,
            Kind::Kept => 18,
            Kind::Spilled => 20,
            Kind::Reused => EARLIER + 4,
            Kind::Sites => SITES,
        }
    }

    /// How many of them before the first step. The first one claims the lane and registers the call site.
    #[must_use]
    pub fn unstepped(self) -> u64 {
        if self == Kind::Reused { EARLIER } else { 1 }
    }

    /// Whether message `n` is too long for the lane.
    #[must_use]
    pub fn spills(self, n: u64) -> bool {
        self == Kind::Spilled && n.is_multiple_of(2)
    }

    /// Message `n`, from 1 on.
    #[must_use]
    pub fn message(self, n: u64) -> String {
        let message = text(0, 0, n, LONGEST);
        if self.spills(n) { message.repeat(16) } else { message }
    }
}
