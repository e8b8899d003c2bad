//! A capture, as far as it is whole. Its bytes may be anybody's: each length is checked, what is too much is left out, and what
//! follows a record that cannot be is not looked at.

use crate::format::capture::{Access, Capture, CapturedThread, Mapping, ModuleNote, Others, SignalInfo};
use crate::format::capture_record::{
    HEADER, MAGIC, MAPPING_SIZE, MODULE_SIZE, NAME, OTHERS_MAX, RECORD_HEAD, SIGNAL_SIZE, THREAD_SIZE, VERSION, bit, kind,
};
use crate::place::capture_file;
use crate::place::open;
use std::io::{self, Read};
use std::path::Path;

/// Bytes of a file that are looked at.
const FILE_MAX: u64 = 4 << 20;
/// Threads that are taken: several that crashed at once, and the others.
pub const THREADS_MAX: usize = 16 + OTHERS_MAX;
/// Bytes of a stack that are taken.
const STACK_MAX: usize = 1 << 20;
/// Bytes of the outermost part of a stack, of code, and of the vDSO that are taken.
const PIECE_MAX: usize = 64 << 10;
/// Mappings that are taken.
const MAPPINGS_MAX: usize = 4096;
/// Longest path of a mapping; behind a longer one nothing is taken.
const PATH_MAX: usize = 4096;
/// A newline in a path of `/proc/self/maps`.
const NEWLINE: &[u8] = b"\\012";
/// Build ids that are taken.
const MODULES_MAX: usize = 1024;
/// Longest build id; behind a longer one nothing is taken.
const BUILD_ID_MAX: usize = 64;

/// The capture of the ring with this entry; None if its process wrote none.
///
/// # Errors
/// As open(2) and read(2), and if something else has its name.
pub fn read(entry: &Path) -> io::Result<Option<Capture>> {
    let Some(file) = open::if_there(open::to_read(&capture_file::path(entry)))? else { return Ok(None) };
    let mut bytes = Vec::new();
    file.take(FILE_MAX).read_to_end(&mut bytes)?;
    Ok(parse(&bytes))
}

/// Why there is no capture of the ring with this entry, whose process died of a fatal signal, as far as it is known; None if there
/// is one.
#[must_use]
pub fn why_none(entry: &Path) -> Option<&'static str> {
    match read(entry) {
        Ok(Some(_)) => None,
        Ok(None) if open::if_there(open::to_read(&capture_file::path(entry))).is_ok_and(|file| file.is_none()) => {
            Some("its process has no file for it, since crash_capture was off or for a reason that init gave on standard error")
        }
        Ok(None) => Some(
            "the handler of the signal was not called or left nothing, as where the kernel may leave no core dump of the \
             process (after a change of user), or a sandbox refuses",
        ),
        Err(_) => Some("what it left cannot be read"),
    }
}

/// The capture in these bytes; None if there is not even a signal.
#[must_use]
pub fn parse(bytes: &[u8]) -> Option<Capture> {
    let mut header = Bytes(bytes.get(..HEADER)?);
    if header.take(MAGIC.len())? != MAGIC || header.u32()? != VERSION {
        return None;
    }
    let mut rest = Bytes(&bytes[HEADER..]);
    let (first, payload) = rest.record()?;
    let mut signals = Signals { next: Some(signal(payload).filter(|_| first == kind::SIGNAL)?), ..Signals::default() };
    let mut capture = Capture::default();
    while let Some((kind, payload)) = rest.record() {
        let added = match kind {
            kind::SIGNAL => signal(payload).map(|next| signals.next = Some(next)),
            kind::ENDING => Bytes(payload).u32().map(|thread| _ = signals.ending.get_or_insert(thread)),
            kind::SURVIVED => Bytes(payload).u32().map(|thread| capture.remove_crashed(thread)),
            _ => capture.add(kind, payload, &mut signals.next),
        };
        if added.is_none() {
            break;
        }
    }
    capture.settle(&signals)
}

/// What is known of the signals beside their threads.
#[derive(Debug, Default)]
struct Signals {
    /// That of the thread that follows.
    next: Option<SignalInfo>,
    /// The thread whose signal ended the process.
    ending: Option<u32>,
}

impl Capture {
    /// Leaves out a thread that crashed: it has survived, or a later signal of it follows.
    fn remove_crashed(&mut self, thread: u32) {
        self.threads.retain(|found| found.signal.is_none() || found.tid != thread);
    }

    /// Has the thread first by which the process ended; None if there is no signal that it did not survive.
    fn settle(mut self, signals: &Signals) -> Option<Capture> {
        let has_signal = |thread: &&CapturedThread| thread.signal.is_some();
        let ending = |thread: &CapturedThread| thread.signal.is_some() && Some(thread.tid) == signals.ending;
        match self.threads.iter().position(ending) {
            Some(number) => self.threads[..=number].rotate_right(1),
            None => self.is_unsure = self.threads.iter().filter(has_signal).count() > 1,
        }
        let crashed = self.threads.iter().find(has_signal).and_then(|thread| thread.signal);
        self.signal = crashed.or(signals.next)?;
        Some(self)
    }

    /// Adds a record; None if it cannot be one. Unknown kinds are passed over. `signal` is that of the next thread.
    fn add(&mut self, kind: u32, payload: &[u8], signal: &mut Option<SignalInfo>) -> Option<()> {
        match kind {
            kind::THREAD => {
                let thread = CapturedThread { signal: signal.take(), ..thread(payload)? };
                if thread.signal.is_some() {
                    self.remove_crashed(thread.tid);
                }
                if self.threads.len() == THREADS_MAX {
                    // What belongs to it must not go to the one before.
                    return None;
                }
                self.threads.push(thread);
                if let Some(others) = self.others.as_mut().filter(|others| !others.is_complete) {
                    others.captured += 1;
                }
            }
            kind::STACK => {
                let (start, bytes) = piece(payload, STACK_MAX)?;
                let thread = self.threads.last_mut()?;
                (thread.stack_start, thread.stack) = (start, bytes);
            }
            kind::OUTERMOST => self.threads.last_mut()?.outermost = piece(payload, PIECE_MAX)?,
            kind::CODE => self.code = piece(payload, PIECE_MAX)?,
            kind::VDSO => self.vdso = piece(payload, PIECE_MAX)?,
            kind::MAPPINGS => all(payload, MAPPINGS_MAX, mapping, &mut self.mappings)?,
            kind::MODULES => all(payload, MODULES_MAX, module, &mut self.modules)?,
            kind::END => {
                self.time_us = Bytes(payload).u32()?;
                self.is_complete = true;
            }
            kind::OTHERS => self.others = Some(Others { there: Bytes(payload).u32()?, ..Others::default() }),
            kind::OTHERS_END => {
                let others = self.others.as_mut()?;
                (others.time_us, others.is_complete) = (Bytes(payload).u32()?, true);
            }
            _ => {}
        }
        Some(())
    }
}

/// Adds what a payload lists, up to `max` in all.
fn all<T>(payload: &[u8], max: usize, one: fn(&mut Bytes<'_>) -> Option<T>, into: &mut Vec<T>) -> Option<()> {
    let mut rest = Bytes(payload);
    while !rest.0.is_empty() && into.len() < max {
        into.push(one(&mut rest)?);
    }
    Some(())
}

fn signal(payload: &[u8]) -> Option<SignalInfo> {
    let mut rest = Bytes(payload.get(..SIGNAL_SIZE)?);
    let [number, code, errno] = [rest.u32()?, rest.u32()?, rest.u32()?].map(u32::cast_signed);
    let [pid, uid, bits] = [rest.u32()?, rest.u32()?, rest.u32()?];
    let address = rest.u64().filter(|_| bits & bit::HAS_ADDRESS != 0);
    let accesses = [(bit::READS, Access::Read), (bit::WRITES, Access::Write), (bit::EXECUTES, Access::Execute)];
    let access = accesses.into_iter().find(|(bit, _)| bits & bit != 0).map(|(_, access)| access);
    Some(SignalInfo { number, code, errno, address, pid, uid, is_fault: bits & bit::IS_FAULT != 0, access })
}

fn thread(payload: &[u8]) -> Option<CapturedThread> {
    let mut rest = Bytes(payload.get(..THREAD_SIZE)?);
    let [tid, bits] = [rest.u32()?, rest.u32()?];
    let name = rest.take(NAME)?;
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
    let [has_registers, has_position] = [bit::HAS_REGISTERS, bit::HAS_POSITION].map(|bit| bits & bit != 0);
    let mut thread = CapturedThread { tid, name, has_registers, has_position, ..CapturedThread::default() };
    for register in &mut thread.registers {
        *register = rest.u64()?;
    }
    thread.eflags = rest.u64()?;
    Some(thread)
}

/// Bytes with their address.
fn piece(payload: &[u8], max: usize) -> Option<(u64, Vec<u8>)> {
    let mut rest = Bytes(payload);
    let start = rest.u64()?;
    Some((start, rest.0[..rest.0.len().min(max)].to_vec()))
}

fn mapping(rest: &mut Bytes<'_>) -> Option<Mapping> {
    let mut head = Bytes(rest.take(MAPPING_SIZE)?);
    let [start, end, offset, device, inode] = [head.u64()?, head.u64()?, head.u64()?, head.u64()?, head.u64()?];
    let bits = head.u32()?;
    let length = head.u32().map(|length| length as usize).filter(|length| *length <= PATH_MAX)?;
    let [readable, writable, executable] =
        [bit::READABLE, bit::WRITABLE, bit::EXECUTABLE].map(|right| bits & right != 0);
    let path = path(rest.take(length)?);
    Some(Mapping { start, end, offset, readable, writable, executable, device, inode, path })
}

/// A path without what the kernel makes of the newlines in it. It leaves backslashes alone, so that a name which has these four
/// characters is told as one with a newline.
fn path(mut shown: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(shown.len());
    while let Some(at) = shown.windows(NEWLINE.len()).position(|part| part == NEWLINE) {
        path.extend_from_slice(&shown[..at]);
        path.push(b'\n');
        shown = &shown[at + NEWLINE.len()..];
    }
    path.extend_from_slice(shown);
    path
}

fn module(rest: &mut Bytes<'_>) -> Option<ModuleNote> {
    let mut head = Bytes(rest.take(MODULE_SIZE)?);
    let base = head.u64()?;
    let length = head.u32().map(|length| length as usize).filter(|length| *length <= BUILD_ID_MAX)?;
    Some(ModuleNote { base, build_id: rest.take(length)?.to_vec() })
}

/// Bytes that are still to be read.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
    }

    fn u64(&mut self) -> Option<u64> {
        self.take(8)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
    }

    /// The next record's kind and payload; None where no whole one follows.
    fn record(&mut self) -> Option<(u32, &'a [u8])> {
        let mut head = Bytes(self.0.get(..RECORD_HEAD)?);
        let kind = head.u32().filter(|kind| *kind != 0)?;
        let length = head.u32()? as usize;
        self.0.get(RECORD_HEAD..)?.get(..length)?;
        self.take(RECORD_HEAD)?;
        Some((kind, self.take(length)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(kind: u32, payload: &[u8]) -> Vec<u8> {
        [&kind.to_le_bytes()[..], &(payload.len() as u32).to_le_bytes(), payload].concat()
    }

    fn header() -> Vec<u8> {
        [&MAGIC[..], &VERSION.to_le_bytes(), &[0; 4]].concat()
    }

    fn words(words: &[u64]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    fn halves(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// The records of a capture with everything in it.
    fn records() -> Vec<Vec<u8>> {
        let thread = [&halves(&[77, bit::HAS_REGISTERS])[..], b"worker-1\0\0\0\0\0\0\0\0", &words(&[9; 18])].concat();
        let other = [&halves(&[78, bit::HAS_POSITION])[..], b"idle\0\0\0\0\0\0\0\0\0\0\0\0", &words(&[8; 18])].concat();
        let silent = [&halves(&[79, 0])[..], &[0; 16], &words(&[0; 18])].concat();
        let mapping = [&words(&[4096, 8192, 0, 5, 6])[..], &halves(&[bit::READABLE | bit::EXECUTABLE, 2]), b"/a"];
        let module = [&words(&[4096])[..], &halves(&[3]), b"abc"].concat();
        vec![
            record(kind::SIGNAL, &[&halves(&[11, 1, 0, 0, 0, 3])[..], &words(&[8])].concat()),
            record(kind::THREAD, &thread),
            record(kind::STACK, &[&words(&[100])[..], &[1; 64]].concat()),
            record(kind::OUTERMOST, &[&words(&[200])[..], &[2; 8]].concat()),
            record(kind::CODE, &[&words(&[300])[..], &[3; 8]].concat()),
            record(77, b"of a later version"),
            record(kind::MAPPINGS, &[mapping.concat(), mapping.concat()].concat()),
            record(kind::MODULES, &module),
            record(kind::VDSO, &[&words(&[400])[..], &[4; 8]].concat()),
            record(kind::END, &halves(&[250])),
            record(kind::OTHERS, &halves(&[70])),
            record(kind::THREAD, &other),
            record(kind::STACK, &[&words(&[500])[..], &[5; 32]].concat()),
            record(kind::THREAD, &silent),
            record(kind::OTHERS_END, &halves(&[90])),
        ]
    }

    #[test]
    fn a_newline_in_a_path_is_one() {
        assert_eq!(path(b"/a\\012b\\0123/c\\012 (deleted)"), b"/a\nb\n3/c\n (deleted)");
        assert_eq!(path(b"/a\\01"), b"/a\\01");
    }

    #[test]
    fn of_several_that_crashed_the_one_that_ended_the_process_is_first() {
        let signal = |number| record(kind::SIGNAL, &[&halves(&[number, 1, 0, 0, 0, 2])[..], &words(&[0])].concat());
        let thread = |id| record(kind::THREAD, &[&halves(&[id, 1])[..], &[0; 16], &words(&[0; 18])].concat());
        let fate = |kind, id: u32| record(kind, &halves(&[id]));
        let other = [fate(kind::OTHERS, 1), thread(9), fate(kind::OTHERS_END, 1)].concat();
        let two = [signal(11), thread(1), fate(kind::END, 5), signal(7), thread(2)].concat();
        let again = [signal(8), thread(1)].concat();
        let found = |more: &[&[u8]]| {
            let capture = parse(&[header(), two.clone(), more.concat()].concat())?;
            let threads: Vec<u32> = capture.threads.iter().map(|thread| thread.tid).collect();
            Some((capture.signal.number, threads, capture.is_unsure))
        };
        assert_eq!(found(&[]), Some((11, vec![1, 2], true)));
        assert_eq!(found(&[&fate(kind::ENDING, 2)]), Some((7, vec![2, 1], false)));
        assert_eq!(found(&[&other, &fate(kind::ENDING, 2)]), Some((7, vec![2, 1, 9], false)));
        assert_eq!(found(&[&fate(kind::ENDING, 2), &fate(kind::ENDING, 1)]), Some((7, vec![2, 1], false)), "the first");
        assert_eq!(found(&[&fate(kind::SURVIVED, 1)]), Some((7, vec![2], false)));
        assert_eq!(found(&[&fate(kind::SURVIVED, 2)]), Some((11, vec![1], false)));
        assert_eq!(found(&[&fate(kind::SURVIVED, 1), &fate(kind::SURVIVED, 2)]), None);
        assert_eq!(found(&[&again, &fate(kind::SURVIVED, 2)]), Some((8, vec![1], false)), "the later one counts");
        assert_eq!(found(&[&other, &fate(kind::SURVIVED, 9)]), Some((11, vec![1, 2, 9], true)), "it has no signal");
    }

    #[test]
    fn a_whole_capture_is_parsed() {
        let capture = parse(&[header(), records().concat(), vec![0; 100]].concat()).expect("a capture");
        let signal = SignalInfo { number: 11, code: 1, address: Some(8), is_fault: true, ..SignalInfo::default() };
        assert_eq!(capture.signal, signal);
        let thread = CapturedThread {
            tid: 77,
            name: b"worker-1".to_vec(),
            signal: Some(signal),
            registers: [9; 17],
            eflags: 9,
            stack_start: 100,
            stack: vec![1; 64],
            outermost: (200, vec![2; 8]),
            has_registers: true,
            has_position: false,
        };
        assert_eq!(capture.threads[0], thread);
        let [other, silent] = &capture.threads[1..] else { panic!("{:?}", capture.threads) };
        assert_eq!((other.tid, other.stack_start, other.stack.len()), (78, 500, 32));
        assert!(other.has_position && !other.has_registers);
        assert!(silent.tid == 79 && !silent.has_position && !silent.has_registers && silent.stack.is_empty());
        assert_eq!(capture.others, Some(Others { there: 70, captured: 2, is_complete: true, time_us: 90 }));
        assert_eq!((capture.code, capture.vdso), ((300, vec![3; 8]), (400, vec![4; 8])));
        assert_eq!(capture.modules, [ModuleNote { base: 4096, build_id: b"abc".to_vec() }]);
        assert_eq!(capture.mappings.len(), 2);
        let mapping = &capture.mappings[1];
        assert!(mapping.readable && mapping.executable && !mapping.writable && mapping.path == b"/a");
        assert_eq!((capture.is_complete, capture.time_us), (true, 250));
    }

    #[test]
    fn a_capture_that_is_cut_anywhere_is_its_whole_records() {
        let (records, mut whole) = (records(), header());
        let mut ends = Vec::new();
        let end = records.iter().position(|record| record.starts_with(&kind::END.to_le_bytes())).expect("an end");
        for record in &records {
            whole.extend(record);
            ends.push(whole.len());
        }
        for length in 0..whole.len() {
            let found = parse(&whole[..length]);
            assert_eq!(found.is_some(), length >= ends[0], "{length}");
            let Some(found) = found else { continue };
            let count = ends.iter().filter(|end| **end <= length).count();
            assert_eq!(Some(&found), parse(&whole[..ends[count - 1]]).as_ref(), "{length}");
            assert_eq!(found.is_complete, length >= ends[end], "complete in itself: {length}");
            assert!(found.others.is_none_or(|others| !others.is_complete), "{length}");
        }
    }

    #[test]
    fn what_is_no_capture_is_none() {
        let wrong = |at: usize| {
            let mut bytes = [header(), records().concat()].concat();
            bytes[at] ^= 1;
            parse(&bytes)
        };
        assert_eq!(wrong(0), None, "magic");
        assert_eq!(wrong(8), None, "version");
        assert_eq!(wrong(16), None, "no signal");
        assert_eq!(parse(&[0; 1 << 18]), None, "as it is made");
    }

    #[test]
    fn what_is_too_much_is_left_out() {
        let [signal, thread] = [records()[0].clone(), records()[1].clone()];
        let stack = record(kind::STACK, &vec![0; 8 + STACK_MAX + 1]);
        let many = thread.repeat(THREADS_MAX + 1);
        let capture = parse(&[header(), signal.clone(), thread, stack].concat()).expect("a capture");
        assert_eq!(capture.threads[0].stack.len(), STACK_MAX);
        assert_eq!(parse(&[header(), signal.clone(), many].concat()).expect("a capture").threads.len(), THREADS_MAX);
        let mappings = record(kind::MAPPINGS, &[0; MAPPING_SIZE].repeat(MAPPINGS_MAX + 1));
        let modules = record(kind::MODULES, &[0; MODULE_SIZE].repeat(MODULES_MAX + 1));
        let capture = parse(&[header(), signal, mappings, modules].concat()).expect("a capture");
        assert_eq!((capture.mappings.len(), capture.modules.len()), (MAPPINGS_MAX, MODULES_MAX));
    }

    proptest! {
        #[test]
        fn any_records_are_parsed_within_the_bounds(
            parts in prop::collection::vec((0u32..12, prop::collection::vec(any::<u8>(), 0..300)), 0..100),
            junk in prop::collection::vec(any::<u8>(), 0..64),
            flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        ) {
            let mut bytes = [header(), records().concat()].concat();
            parts.iter().for_each(|(kind, payload)| bytes.extend(record(*kind, payload)));
            bytes.extend(junk);
            for (at, with) in flips {
                let length = bytes.len();
                bytes[at.index(length)] ^= with;
            }
            if let Some(capture) = parse(&bytes) {
                let stacks: usize = capture.threads.iter().map(|thread| thread.stack.len()).sum();
                let paths: usize = capture.mappings.iter().map(|mapping| mapping.path.len()).sum();
                prop_assert!(stacks + paths <= bytes.len());
                prop_assert!(capture.threads.len() <= THREADS_MAX);
            }
        }
    }
}
