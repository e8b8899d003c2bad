//! A lane that is kept in segments, its producer and its flusher, in every interleaving.
//!
//! The argument that nothing is lost while a flusher is stalled is short (`ring/src/write/backlog.rs`), and short arguments
//! about two processes that may stop or die anywhere have holes. So here is the protocol as a state machine, small enough to be
//! walked through completely: a producer that fills a lane of two or three slots, keeps them, uses them again, and may be
//! stopped for any time or killed between any two steps, and a flusher of which the same is true, and which has a successor.
//! The log must always be 1 to P without a gap, and after the producer's death everything that was committed must come out.
//! What a flusher does with its journal is one step, because that is proved elsewhere.
//!
//! Each rule of the protocol is taken away once, and then the walk must find a lost record.

use std::collections::HashSet;

/// Highest sequence of the largest walk, plus one.
const MOST: usize = 8;

/// The sizes of a walk.
#[derive(Debug, Clone, Copy)]
struct Size {
    /// Slots of the lane.
    slots: u8,
    /// Records that are logged.
    records: u8,
    /// Slots that are kept at once.
    chunk: u8,
    /// Slots of a segment.
    segment: u8,
    /// How often a flusher dies.
    deaths: u8,
    /// How often the disk refuses.
    refusals: u8,
}

/// A rule that is taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mutant {
    /// Segments are never read.
    Unread,
    /// They are checked before `reserved` is read again.
    LookedFirst,
    /// Slots are used again before they are kept.
    Late,
    /// A segment is removed once the flusher is past its first slot.
    UnlinkedEarly,
    /// Only what `reserved` says is gone is looked for.
    WindowOnly,
    /// A segment has its name before all of it is there.
    NamedEarly,
    /// A producer adds to a segment that the flusher is past, and does not check again afterwards.
    Reused,
}

/// What a slot shows: a sequence, and whether it is whole.
type Slot = (u8, bool);

/// What was read of a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Read {
    Nothing,
    Whole,
    Later,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Producer {
    Idle,
    /// LANE:A is done.
    Reserved,
    /// The slot is busy.
    Busy,
    /// The next slot to be copied, the last one, and the segment that they go to.
    Copying {
        next: u8,
        last: u8,
        to: u8,
    },
    /// All are copied, to a segment that ended with this one before; 0 for a new one.
    Copied {
        first: u8,
        last: u8,
        to: u8,
        before: u8,
    },
    Dead,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Flusher {
    /// Before READ:1.
    Begins,
    /// READ:2: the next sequence to be read.
    Reads(u8),
    /// All are read.
    HasRead,
    /// READ:3 is done: what is below was overwritten.
    Knows(u8),
    /// It has seen that this segment may go.
    Removes(u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct State {
    producer: Producer,
    reserved: u8,
    committed: u8,
    kept: u8,
    /// How far the producer knows the flusher to be.
    released: u8,
    slots: [Slot; 3],
    /// First and last sequence of the segment that was written last.
    segment: (u8, u8),
    /// Segments by their first sequence, with the set of their slots; 0 for none.
    files: [u8; MOST],
    refusals: u8,
    /// Records that were overwritten because the disk refused.
    refused: u8,

    flusher: Flusher,
    /// The log is 1 to this.
    position: u8,
    last: u8,
    /// The producer was dead when READ:1 was done.
    dead: bool,
    read: [Read; MOST],
    /// What segments held before READ:3, for the mutant that looks too early.
    early: u8,
    deaths: u8,
}

const fn bit(sequence: u8) -> u8 {
    1 << sequence
}

impl State {
    fn new(size: &Size) -> State {
        State {
            producer: Producer::Idle,
            reserved: 0,
            committed: 0,
            kept: 0,
            released: 0,
            slots: [(0, true); 3],
            segment: (0, 0),
            files: [0; MOST],
            refusals: size.refusals,
            refused: 0,
            flusher: Flusher::Begins,
            position: 0,
            last: 0,
            dead: false,
            read: [Read::Nothing; MOST],
            early: 0,
            deaths: size.deaths,
        }
    }

    fn on(self, producer: Producer) -> State {
        State { producer, ..self }
    }

    fn slot(&self, size: &Size, sequence: u8) -> Slot {
        self.slots[usize::from((sequence - 1) % size.slots)]
    }

    fn with_slot(mut self, size: &Size, slot: Slot) -> State {
        self.slots[usize::from((slot.0 - 1) % size.slots)] = slot;
        self
    }

    fn in_files(&self) -> u8 {
        self.files.iter().fold(0, |all, file| all | file)
    }

    /// Forgets what the flusher had in memory.
    fn begin_again(self) -> State {
        State { flusher: Flusher::Begins, last: 0, dead: false, read: [Read::Nothing; MOST], early: 0, ..self }
    }
}

/// A walk through all states.
struct Walk {
    size: Size,
    mutant: Option<Mutant>,
    next: Vec<State>,
}

impl Walk {
    fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    fn producer(&mut self, state: State) {
        let size = self.size;
        if state.producer == Producer::Dead {
            return;
        }
        self.next.push(state.on(Producer::Dead));
        match state.producer {
            Producer::Idle if state.committed < size.records => self.log(state),
            Producer::Idle | Producer::Dead => {}
            Producer::Reserved => {
                self.next.push(state.on(Producer::Busy).with_slot(&size, (state.reserved, false)));
            }
            Producer::Busy => {
                let done = State { committed: state.reserved, ..state.on(Producer::Idle) };
                self.next.push(done.with_slot(&size, (state.reserved, true)));
            }
            Producer::Copying { next, last, to } => self.copy(state, next, last, to),
            Producer::Copied { first, last, to, before } => {
                if before > 0 && state.position >= before && !self.is(Mutant::Reused) {
                    // The flusher was faster: the same to a new segment.
                    self.next.push(state.on(Producer::Copying { next: first, last, to: first }));
                } else {
                    let kept = state.kept.max(last);
                    self.next.push(State { kept, segment: (to, last), ..state.on(Producer::Idle) });
                }
            }
        }
    }

    /// The next record: room for it, or slots that are to be kept before.
    fn log(&mut self, state: State) {
        let size = self.size;
        if state.released < state.position {
            self.next.push(State { released: state.position, ..state });
        }
        let next = state.committed + 1;
        let append = State { producer: Producer::Reserved, reserved: next, ..state };
        if next <= state.released.max(state.kept) + size.slots {
            self.next.push(append);
            return;
        }
        let first = state.released.max(state.kept).max(state.committed.saturating_sub(size.slots)) + 1;
        let last = state.committed.min(first + size.chunk - 1);
        if state.refusals > 0 {
            let refused = state.refused | bit(next - size.slots);
            self.next.push(State { refusals: state.refusals - 1, refused, ..append });
        }
        if self.is(Mutant::Late) {
            // Room at once; the copy is made of whatever is there later.
            self.next.push(State { kept: last, ..append });
            return;
        }
        let (begun, end) = state.segment;
        let fits = begun > 0 && first == end + 1 && last - begun < size.segment && state.files[usize::from(begun)] != 0;
        let adds = fits && (state.position < end || self.is(Mutant::Reused));
        let to = if adds { begun } else { first };
        self.next.push(State { producer: Producer::Copying { next: first, last, to }, ..state });
    }

    fn copy(&mut self, state: State, next: u8, last: u8, to: u8) {
        let adds = to < next && state.segment.0 == to;
        let mut after = state;
        assert_eq!(state.slot(&self.size, next), (next, true), "what is kept is still there");
        let named = after.files[usize::from(to)] != 0;
        if adds || self.is(Mutant::NamedEarly) {
            // An open file that was removed takes what is written to it along.
            if named || (!adds && next == to) {
                after.files[usize::from(to)] |= bit(next);
            }
        } else if next == last {
            // A new segment gets its name when it is complete.
            after.files[usize::from(to)] = (to..=last).map(bit).sum();
        }
        let before = if adds { state.segment.1 } else { 0 };
        let first = if adds { state.segment.1 + 1 } else { to };
        after.producer = if next < last {
            Producer::Copying { next: next + 1, last, to }
        } else {
            Producer::Copied { first, last, to, before }
        };
        self.next.push(after);
    }

    /// What the flusher may do next; an error where a record is lost or cannot be reached.
    fn flusher(&mut self, state: State) -> Result<(), String> {
        let size = self.size;
        if state.deaths > 0 && state.flusher != Flusher::Begins {
            self.next.push(State { deaths: state.deaths - 1, ..state.begin_again() });
        }
        match state.flusher {
            Flusher::Begins => self.begin(state),
            Flusher::Reads(sequence) => {
                let mut after = state;
                after.read[usize::from(sequence)] = match state.slot(&size, sequence) {
                    (found, true) if found == sequence => Read::Whole,
                    (found, _) if found > sequence => Read::Later,
                    _ => Read::Nothing,
                };
                after.flusher = if sequence < state.last { Flusher::Reads(sequence + 1) } else { Flusher::HasRead };
                self.next.push(after);
            }
            Flusher::HasRead => {
                let safe = if state.dead { 0 } else { (state.reserved + 1).saturating_sub(size.slots) };
                self.next.push(State { flusher: Flusher::Knows(safe), ..state });
            }
            Flusher::Knows(safe) => self.take(state, safe)?,
            Flusher::Removes(first) => {
                let mut after = state.begin_again();
                after.files[usize::from(first)] = 0;
                self.next.push(after);
            }
        }
        Ok(())
    }

    /// READ:1, or the check of a segment that may go.
    fn begin(&mut self, state: State) {
        let dead = state.producer == Producer::Dead;
        let whole = state.slots.iter().filter(|slot| slot.1).map(|slot| slot.0).max().unwrap_or(0);
        let last = if dead { whole } else { state.reserved };
        if last > state.position {
            let first = (state.position + 1).max((last + 1).saturating_sub(self.size.slots));
            let early = state.in_files();
            self.next.push(State { flusher: Flusher::Reads(first), last, dead, early, ..state });
        }
        for first in 1..MOST as u8 {
            let Some(last) = state.files[usize::from(first)].checked_ilog2() else { continue };
            let end = if self.is(Mutant::UnlinkedEarly) { first } else { last as u8 };
            if end <= state.position {
                self.next.push(State { flusher: Flusher::Removes(first), ..state });
            }
        }
    }

    /// READ:4, and what the flusher makes of it: journal, log and position are one step.
    fn take(&mut self, state: State, safe: u8) -> Result<(), String> {
        let files = match self.mutant {
            Some(Mutant::Unread) => 0,
            Some(Mutant::LookedFirst) => state.early,
            _ => state.in_files(),
        };
        let window = (state.last + 1).saturating_sub(self.size.slots);
        let mut position = state.position;
        for sequence in state.position + 1..=state.last {
            let read = state.read[usize::from(sequence)];
            let overrun = sequence < safe.max(window) || (read == Read::Later && !self.is(Mutant::WindowOnly));
            let missing = overrun || (state.dead && read != Read::Whole && !self.is(Mutant::WindowOnly));
            let taken = if missing { files & bit(sequence) != 0 } else { read == Read::Whole };
            let skipped = overrun || read == Read::Later;
            if !taken && !skipped {
                // In flight, or not begun.
                break;
            }
            if !taken && state.refused & bit(sequence) == 0 {
                return Err(format!("{sequence} is lost: {state:?}"));
            }
            position = sequence;
        }
        if state.dead && position == state.position {
            return Err(format!("stuck behind {position} of {}: {state:?}", state.last));
        }
        self.next.push(State { position, ..state.begin_again() });
        Ok(())
    }
}

/// Walks through all states. Returns how many there are, or how a record was lost.
fn walk(size: Size, mutant: Option<Mutant>) -> Result<usize, String> {
    let start = State::new(&size);
    let (mut seen, mut left) = (HashSet::from([start]), vec![start]);
    let mut walk = Walk { size, mutant, next: Vec::new() };
    let mut complete = 0;
    while let Some(state) = left.pop() {
        complete += usize::from(state.position == size.records);
        walk.producer(state);
        walk.flusher(state)?;
        for next in walk.next.drain(..) {
            if seen.insert(next) {
                left.push(next);
            }
        }
    }
    assert!(complete > 0 || mutant.is_some(), "no walk comes to the end");
    Ok(seen.len())
}

const SIZES: [Size; 6] = [
    Size { slots: 2, records: 6, chunk: 2, segment: 4, deaths: 1, refusals: 0 },
    Size { slots: 2, records: 6, chunk: 1, segment: 3, deaths: 1, refusals: 0 },
    Size { slots: 2, records: 5, chunk: 2, segment: 2, deaths: 2, refusals: 1 },
    Size { slots: 3, records: 7, chunk: 2, segment: 4, deaths: 0, refusals: 0 },
    Size { slots: 3, records: 6, chunk: 3, segment: 3, deaths: 1, refusals: 1 },
    Size { slots: 2, records: 6, chunk: 2, segment: 3, deaths: 0, refusals: 2 },
];

#[test]
fn nothing_is_lost_in_any_interleaving_of_a_producer_that_keeps_and_flushers_that_stop_and_die() {
    for size in SIZES {
        match walk(size, None) {
            Ok(states) => println!("{size:?}: {states} states"),
            Err(lost) => panic!("{size:?}: {lost}"),
        }
    }
}

#[test]
fn each_rule_is_needed() {
    let all = [
        Mutant::Unread,
        Mutant::LookedFirst,
        Mutant::Late,
        Mutant::UnlinkedEarly,
        Mutant::WindowOnly,
        Mutant::NamedEarly,
        Mutant::Reused,
    ];
    for mutant in all {
        let found = SIZES.iter().find_map(|size| walk(*size, Some(mutant)).err());
        println!("{mutant:?}: {}", found.unwrap_or_else(|| panic!("nothing is lost with {mutant:?}")));
    }
}
