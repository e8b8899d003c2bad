//! The election as a model, in every order of its steps.
//!
//! `election_points.rs` stops real processes before their system calls, but only in a few of all orders. Here each step of the
//! table in `flusher/src/election.rs` is one change of a small state: who holds which lock, what the texts say, where the names
//! lead. Every state that two processes can come to, three where `LASTWORDS_ALL_POINTS` is set, is checked, with kills at any
//! step, after which a child may keep the locks. Two must never be at work, and from every state a process must be able to get
//! there without a further kill. A model that accepts anything proves nothing: each seeded defect must be found.

use std::collections::HashMap;

/// Lock files of a run, the first one included.
const FILES: usize = 5;

/// What a careless change would make of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Defect {
    None,
    /// LOCK:D before LOCK:C.
    CheckedBeforeWritten,
    /// LOCK:D is missing.
    Unchecked,
    /// SWAP:D is missing.
    DisplacedUnread,
    /// SWAP:D uses what SWAP:A has seen.
    DisplacedReadBefore,
    /// SWAP:B does not say what it displaces.
    DisplacedUnnamed,
    /// LOCK:B is missing.
    PredecessorUnread,
    /// The text of SWAP:B is written after SWAP:C.
    NamedLate,
    /// A holder that releases the lock leaves its name in it.
    ReleasedByName,
    /// A process that stops waiting for a displaced one leaves its name in the lock.
    GivenUpByName,
}

/// The process that a text names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Who {
    /// Nothing was written.
    Nothing,
    Nobody,
    /// An earlier holder that is gone.
    Gone,
    /// A process that has released the lock and lives.
    Elsewhere,
    Process(u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Holder {
    Free,
    /// A child of a process that is gone.
    Child,
    Process(u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Text {
    who: Who,
    /// The name of the displaced file. A fresh file has the name of its own number.
    displaced: Option<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Lockfile {
    holder: Holder,
    text: Text,
}

/// The step that a process takes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Step {
    Open,
    TryLock,
    /// LOCK:B and SWAP:D, with the file that is checked; the flag is set if its lock was found held.
    Before(u8),
    BeforeText(u8, bool),
    Write,
    Check,
    Work,
    ReadText,
    Make,
    Place,
    Name,
    Swap,
    Plain,
    Remove,
    /// Killed, or done.
    Over,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Process {
    step: Step,
    file: u8,
    /// The file that it made.
    fresh: Option<u8>,
    suspect: Option<(u8, Text)>,
    killed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    files: [Option<Lockfile>; FILES],
    path: Option<u8>,
    /// Where the name of each number leads.
    names: [Option<u8>; FILES],
    processes: Vec<Process>,
    kills: u8,
    /// How many files may be made.
    bound: u8,
}

impl State {
    fn file(&mut self, file: u8) -> &mut Lockfile {
        self.files[file as usize].as_mut().expect("made")
    }

    fn may_be_at_work(&self, text: Text) -> bool {
        match text.who {
            Who::Nothing | Who::Elsewhere => true,
            Who::Nobody | Who::Gone => false,
            Who::Process(process) => !self.processes[process as usize].killed,
        }
    }

    fn at_work(&self) -> usize {
        self.processes.iter().filter(|process| process.step == Step::Work).count()
    }

    fn unlock(&mut self, me: u8) {
        for file in self.files.iter_mut().flatten().filter(|file| file.holder == Holder::Process(me)) {
            file.holder = Holder::Free;
        }
    }

    /// The process begins anew.
    fn again(&mut self, me: u8) {
        self.unlock(me);
        let process = &mut self.processes[me as usize];
        (process.step, process.fresh) = (Step::Open, None);
    }

    fn is_harmless(&self, file: u8, depth: usize) -> bool {
        let Some(text) = self.files[file as usize].map(|file| file.text) else { return true };
        let Some(displaced) = text.displaced.and_then(|name| self.names[name as usize]) else { return true };
        let Some(found) = self.files[displaced as usize] else { return true };
        displaced == file
            || depth > 0
                && (found.holder == Holder::Free || !self.may_be_at_work(found.text))
                && self.is_harmless(displaced, depth - 1)
    }

    /// The flusher removes what is of no use.
    fn sweep(&mut self, own: u8) {
        for name in 0..FILES {
            let Some(file) = self.names[name] else { continue };
            let free = self.files[file as usize].is_some_and(|file| file.holder == Holder::Free);
            if free && self.is_harmless(file, FILES) || file == own {
                self.names[name] = None;
            }
        }
    }

    /// All states that process `me` can come to by its next step.
    fn step(&self, me: u8, defect: Defect) -> Vec<State> {
        let (mut next, process) = (self.clone(), self.processes[me as usize]);
        let mine = Text { who: Who::Process(me), displaced: None };
        let go = |state: &mut State, step| state.processes[me as usize].step = step;
        match process.step {
            Step::Open => match self.path {
                None => go(&mut next, Step::Make),
                Some(file) => {
                    next.processes[me as usize].file = file;
                    go(&mut next, Step::TryLock);
                }
            },
            Step::TryLock if next.file(process.file).holder == Holder::Free => {
                next.file(process.file).holder = Holder::Process(me);
                let unread = defect == Defect::PredecessorUnread;
                go(&mut next, if unread { first(defect) } else { Step::Before(process.file) });
            }
            Step::TryLock => go(&mut next, Step::ReadText),
            Step::Before(file) => {
                let displaced = next.file(file).text.displaced.and_then(|name| self.names[name as usize]);
                match displaced.filter(|displaced| *displaced != file) {
                    None if process.fresh.is_some() => go(&mut next, Step::Plain),
                    None => go(&mut next, first(defect)),
                    Some(displaced) => {
                        let held = next.file(displaced).holder != Holder::Free;
                        go(&mut next, Step::BeforeText(displaced, held));
                    }
                }
            }
            Step::BeforeText(displaced, held) => {
                let mut text = next.file(displaced).text;
                if let (Defect::DisplacedReadBefore, Some((_, seen))) = (defect, process.suspect) {
                    text = seen;
                }
                if held && self.may_be_at_work(text) && defect != Defect::DisplacedUnread {
                    // It waits, or gives the lock to the next process.
                    let mut waiting = self.clone();
                    go(&mut waiting, Step::Before(process.file));
                    if process.fresh.is_some() && defect != Defect::GivenUpByName {
                        next.file(process.file).text.who = Who::Nobody;
                    }
                    next.again(me);
                    return if process.fresh.is_some() { vec![next, waiting] } else { vec![next] };
                }
                go(&mut next, Step::Before(displaced));
            }
            Step::Write => {
                next.file(process.file).text = mine;
                let checked = defect == Defect::CheckedBeforeWritten;
                go(&mut next, if checked { Step::Work } else { Step::Check });
            }
            Step::Check if self.path == Some(process.file) || defect == Defect::Unchecked => {
                next.sweep(process.file);
                let unnamed = defect == Defect::CheckedBeforeWritten && next.file(process.file).text.who != mine.who;
                go(&mut next, if unnamed { Step::Write } else { Step::Work });
            }
            Step::Check => next.again(me),
            // It is done, or it has found that its file is not at the path.
            Step::Work => {
                if defect != Defect::ReleasedByName {
                    next.file(process.file).text = Text { who: Who::Nobody, displaced: None };
                }
                next.unlock(me);
                go(&mut next, Step::Over);
            }
            Step::ReadText => {
                let text = next.file(process.file).text;
                let seen = Some((process.file, text));
                if self.may_be_at_work(text) {
                    go(&mut next, Step::Open);
                } else if process.suspect == seen {
                    go(&mut next, Step::Make);
                } else {
                    next.processes[me as usize].suspect = seen;
                    go(&mut next, Step::Open);
                }
            }
            Step::Make => {
                // What is beyond the bounds of the model is not checked.
                let free = self.files.iter().take(self.bound.into()).position(Option::is_none);
                let Some(new) = free else { return Vec::new() };
                let displaced = (defect != Defect::DisplacedUnnamed).then_some(new as u8);
                let late = defect == Defect::NamedLate;
                let text = if late { Text { who: Who::Nothing, displaced: None } } else { Text { displaced, ..mine } };
                next.files[new] = Some(Lockfile { holder: Holder::Process(me), text });
                next.names[new] = Some(new as u8);
                next.processes[me as usize].fresh = Some(new as u8);
                next.processes[me as usize].file = new as u8;
                go(&mut next, if self.path.is_none() { Step::Place } else { Step::Swap });
            }
            Step::Place => {
                next.names[process.file as usize] = None;
                match self.path {
                    None => {
                        next.path = Some(process.file);
                        go(&mut next, Step::Plain);
                    }
                    Some(_) => next.again(me),
                }
            }
            Step::Swap => match self.path {
                None => {
                    next.names[process.file as usize] = None;
                    next.again(me);
                }
                Some(old) if self.names[process.file as usize] == Some(process.file) => {
                    next.path = Some(process.file);
                    next.names[process.file as usize] = Some(old);
                    go(&mut next, if defect == Defect::NamedLate { Step::Name } else { Step::Before(process.file) });
                }
                // It was removed.
                Some(_) => next.again(me),
            },
            Step::Name => {
                next.file(process.file).text = Text { displaced: Some(process.file), ..mine };
                go(&mut next, Step::Before(process.file));
            }
            Step::Plain => {
                next.file(process.file).text = mine;
                go(&mut next, Step::Remove);
            }
            Step::Remove => {
                next.names[process.file as usize] = None;
                go(&mut next, Step::Check);
            }
            Step::Over => return Vec::new(),
        }
        vec![next]
    }

    /// The process is killed; with `child` a child keeps its locks.
    fn kill(&self, me: u8, child: bool) -> State {
        let mut next = self.clone();
        for file in next.files.iter_mut().flatten().filter(|file| file.holder == Holder::Process(me)) {
            file.holder = if child { Holder::Child } else { Holder::Free };
        }
        next.processes[me as usize].killed = true;
        next.processes[me as usize].step = Step::Over;
        next.kills -= 1;
        next
    }
}

/// The step after the lock is had.
fn first(defect: Defect) -> Step {
    if defect == Defect::CheckedBeforeWritten { Step::Check } else { Step::Write }
}

/// The states in which a run may begin.
fn beginnings((processes, kills, bound): (usize, u8, u8), defect: Defect) -> Vec<State> {
    let process = Process { step: Step::Open, file: 0, fresh: None, suspect: None, killed: false };
    let empty = State {
        files: [None; FILES],
        path: None,
        names: [None; FILES],
        processes: vec![process; processes],
        kills,
        bound,
    };
    let with = |holder, who| {
        let mut state = empty.clone();
        state.files[0] = Some(Lockfile { holder, text: Text { who, displaced: None } });
        state.path = Some(0);
        state
    };
    let released = if defect == Defect::ReleasedByName { Who::Elsewhere } else { Who::Nobody };
    vec![empty.clone(), with(Holder::Free, Who::Gone), with(Holder::Child, Who::Gone), with(Holder::Free, released)]
}

/// What is wrong.
#[derive(Debug, PartialEq, Eq)]
enum Wrong {
    /// Two are at work.
    Clash,
    /// No process can ever be.
    Stuck,
}

/// Checks every state. Returns how many there are, or what is wrong.
fn explore(bounds: (usize, u8, u8), defect: Defect) -> Result<usize, Wrong> {
    let mut numbers: HashMap<State, usize> = HashMap::new();
    let (mut states, mut before, mut good) = (Vec::new(), Vec::<Vec<u32>>::new(), Vec::<bool>::new());
    let mut add = |state: State, states: &mut Vec<State>, before: &mut Vec<Vec<u32>>| {
        *numbers.entry(state).or_insert_with_key(|state| {
            states.push(state.clone());
            before.push(Vec::new());
            states.len() - 1
        })
    };
    for state in beginnings(bounds, defect) {
        add(state, &mut states, &mut before);
    }
    let mut next = 0;
    while next < states.len() {
        let state = states[next].clone();
        if state.at_work() > 1 {
            return Err(Wrong::Clash);
        }
        let mut beyond = false;
        for me in 0..bounds.0 as u8 {
            let steps = state.step(me, defect);
            let over = state.processes[me as usize].step == Step::Over;
            beyond |= steps.is_empty() && !over;
            for found in steps {
                let number = add(found, &mut states, &mut before);
                before[number].push(next as u32);
            }
            if !over && state.kills > 0 {
                for child in [false, true] {
                    add(state.kill(me, child), &mut states, &mut before);
                }
            }
        }
        let all_over = state.processes.iter().all(|process| process.step == Step::Over);
        good.push(state.at_work() > 0 || all_over || beyond);
        next += 1;
    }
    let mut queue: Vec<usize> = (0..good.len()).filter(|state| good[*state]).collect();
    while let Some(state) = queue.pop() {
        for earlier in before[state].iter().map(|earlier| *earlier as usize) {
            if !std::mem::replace(&mut good[earlier], true) {
                queue.push(earlier);
            }
        }
    }
    if good.iter().all(|good| *good) { Ok(good.len()) } else { Err(Wrong::Stuck) }
}

#[test]
fn in_every_order_of_steps_and_kills_one_at_most_is_at_work_and_somebody_can_be() {
    // With three processes these are 16 million states, which takes some minutes of an optimised build.
    let all = std::env::var("LASTWORDS_ALL_POINTS").is_ok();
    let bounds: &[_] = if all { &[(2, 2, 5), (3, 0, 3), (3, 1, 3)] } else { &[(2, 2, 5)] };
    for bounds @ (processes, kills, files) in bounds.iter().copied() {
        let states = explore(bounds, Defect::None).expect("nothing is wrong");
        println!("{processes} processes, {kills} kills, {files} files: {states} states");
        assert!(states > 1000, "{states}");
    }
}

/// Processes, kills and files with which defects are looked for.
const TRIED: [(usize, u8, u8); 2] = [(2, 1, 5), (2, 2, 5)];

#[test]
fn the_model_finds_every_seeded_defect() {
    let defects = [
        (Defect::CheckedBeforeWritten, Wrong::Clash),
        (Defect::Unchecked, Wrong::Clash),
        (Defect::DisplacedUnread, Wrong::Clash),
        (Defect::DisplacedReadBefore, Wrong::Clash),
        (Defect::DisplacedUnnamed, Wrong::Clash),
        (Defect::PredecessorUnread, Wrong::Clash),
        (Defect::NamedLate, Wrong::Stuck),
        (Defect::ReleasedByName, Wrong::Stuck),
        (Defect::GivenUpByName, Wrong::Stuck),
    ];
    for (defect, wrong) in defects {
        let found = TRIED.into_iter().find_map(|bounds| explore(bounds, defect).err());
        println!("{defect:?}: {found:?}");
        assert_eq!(found, Some(wrong), "{defect:?}");
    }
}
