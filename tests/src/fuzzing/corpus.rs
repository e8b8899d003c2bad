//! The corpus that is checked in: one small input for each case that a target's code distinguishes. It is made here, so that a
//! change of the format changes it too; `tests/fuzzed.rs` compares.

use super::image::{self, flag, valid};
use super::journal;
use super::program;
use lastwords_flusher::files::journal::{Change, HEAD, Journal};
use lastwords_ring::format::capture_record::{MAGIC, VERSION, bit, kind};
use lastwords_ring::format::layout::SLOT_HEAD;
use lastwords_ring::place::folder::Folder;
use std::fs;
use std::path::{Path, PathBuf};

/// Offsets in the valid ring of the first slot and of the call-site table.
const SLOTS: usize = 16 << 10;
const TABLE: usize = 8 << 10;
/// Zeros between two patches that are cheaper than what a further patch costs.
const GAP: usize = 4;

/// Where the corpus of a target is.
#[must_use]
pub fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target)
}

/// The inputs of a target by name.
///
/// # Panics
/// If a scratch folder cannot be used.
#[must_use]
pub fn inputs(target: &str, scratch: &Path) -> Vec<(String, Vec<u8>)> {
    match target {
        "ring" => ring(),
        "journal" => journal_inputs(scratch),
        "capture" => captures(),
        "archive" => super::archive::inputs(),
        _ => lines(),
    }
}

fn patch(offset: usize, bytes: &[u8]) -> Vec<u8> {
    [&(offset as u16).to_le_bytes()[..], &[bytes.len() as u8], bytes].concat()
}

/// All that is not zero in a file, as patches.
fn patches_of(file: &[u8]) -> Vec<u8> {
    let (mut patches, mut at) = (Vec::new(), 0);
    while let Some(start) = (at..file.len()).find(|at| file[*at] != 0) {
        let zeros = |from: usize| file[from..].iter().take(GAP).all(|byte| *byte == 0);
        let end = (start..file.len()).take(255).find(|at| zeros(*at)).unwrap_or((start + 255).min(file.len()));
        patches.extend(patch(start, &file[start..end]));
        at = end;
    }
    patches
}

fn ring() -> Vec<(String, Vec<u8>)> {
    let repaired = flag::VALID | flag::REPAIR_HEADER | flag::REPAIR_CONTENT;
    let edited = |flags: u8, slots_max: u8, changes_at: u8, patches: &[Vec<u8>]| {
        [&[flags, slots_max, changes_at][..], &patches.concat()].concat()
    };
    let head = image::valid()[SLOTS..SLOTS + SLOT_HEAD].to_vec();
    [
        ("valid", edited(flag::VALID, 8, 0, &[])),
        ("from-zeros", edited(0, 8, 0, &[patches_of(valid())])),
        ("raw", edited(flag::RAW, 8, 0, &[valid()[..300].to_vec()])),
        ("one-at-a-time", edited(flag::VALID, 1, 0, &[])),
        ("cut", edited(flag::VALID, 8, 0, &[patch(SLOTS + 700, &[])])),
        ("geometry", edited(repaired, 8, 0, &[patch(16, &256u32.to_le_bytes()), patch(24, &[2])])),
        ("busy", edited(flag::VALID, 8, 0, &[patch(SLOTS, &[(9 << 2) | 1])])),
        ("slots", edited(repaired, 3, 0, &[patch(SLOTS + 44, &[2, 0, 1, 1])])),
        ("length", edited(repaired, 3, 0, &[patch(SLOTS + 40, &[80, 0])])),
        ("moved", edited(repaired, 8, 0, &[patch(SLOTS + 128, &head)])),
        ("table", edited(repaired, 8, 0, &[patch(TABLE + 16, &[200, 0, 3])])),
        ("meanwhile", edited(repaired, 2, 9, &[patch(SLOTS + 48, &[1]), patch(SLOTS + 200, b"another")])),
    ]
    .map(|(name, input)| (name.to_owned(), input))
    .into()
}

fn changes() -> [(&'static str, Change); 8] {
    let (ring, uuid) = ("host-4157-00.ring".to_owned(), [7; 16]);
    let position = Change::Position { ring: ring.clone(), uuid, lane: 2, words: [3, !3, 3, !3, 4, 0, 0, 9] };
    [
        ("of", Change::Of { role: "host".into() }),
        ("append", Change::Append { log: "host".into(), file: (1, 2), offset: 3, length: 5 }),
        ("position", position),
        ("rename", Change::Rename { log: "host".into(), file: (1, 2), from: 0, to: 1, archive: false }),
        ("rename-archive", Change::Rename { log: "host".into(), file: (1, 2), from: 1, to: 2, archive: true }),
        ("archived", Change::Archived { log: "host".into(), file: (1, 2), archive: (3, 4), number: 5 }),
        ("remove", Change::Remove { ring: ring.clone(), uuid }),
        ("death-logged", Change::DeathLogged { ring, uuid }),
    ]
}

/// An entry of each kind of change and one of all, as the journal writes them, and a variant to be repaired.
fn journal_inputs(scratch: &Path) -> Vec<(String, Vec<u8>)> {
    let all: Vec<Change> = changes().map(|(_, change)| change).into();
    let mut entries: Vec<(&str, Vec<Change>)> = changes().map(|(name, change)| (name, vec![change])).into();
    entries.push(("all", all));
    let mut inputs = vec![("empty".to_owned(), vec![journal::flag::REPAIR])];
    for (name, changes) in entries {
        let file = written(scratch, &changes);
        inputs.push((name.to_owned(), [&[0][..], &file].concat()));
        let length = (file.len() - HEAD - 5) as u16;
        let repaired = [&[journal::flag::REPAIR][..], &length.to_le_bytes(), &file[HEAD..]].concat();
        inputs.push((format!("{name}-repaired"), repaired));
    }
    inputs
}

/// A journal file with these changes and five bytes.
fn written(scratch: &Path, changes: &[Change]) -> Vec<u8> {
    let folder = Folder::create(&scratch.join("journal")).expect("a log folder");
    let (mut entries, _) = Journal::open(&folder).expect("a journal");
    entries.write(changes, &[b"12345"]).expect("written");
    let mut file = fs::read(folder.rings().join("journal.b")).expect("the first entry's file");
    journal::of_boot(&mut file, [7; 16]);
    fs::remove_dir_all(folder.path()).expect("removed");
    file
}

/// The call site of the valid ring with a body for it, truncated at each part, and a text.
fn lines() -> Vec<(String, Vec<u8>)> {
    let ring = image::valid();
    let length = usize::from(u16::from_le_bytes([ring[TABLE + 9], ring[TABLE + 10]]));
    let site = &ring[TABLE + 16..TABLE + 16 + length];
    let body = &ring[SLOTS + SLOT_HEAD + 3 * 128..][..48];
    let line = |body: &[u8]| [&(length as u16).to_le_bytes()[..], site, body].concat();
    let text = b"\x00\x00two\n2025-10-19 05:55:47.606 [1] [INFO] lines \x1b[31m \xff \xc2\x85 \xe2\x80\xae";
    vec![
        ("values".to_owned(), line(body)),
        ("cut".to_owned(), line(&body[..30])),
        ("tags".to_owned(), line(&[&[17, 12, 5, 3, 6, 0, 0, 0][..], &body[8..]].concat())),
        ("text".to_owned(), text.to_vec()),
    ]
}

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn halves(halves: &[u32]) -> Vec<u8> {
    halves.iter().flat_map(|half| half.to_le_bytes()).collect()
}

/// Captures of a thread in the small program: the stack leads by its tables from one function to the other, by an expression,
/// by a frame pointer and by a guess.
fn captures() -> Vec<(String, Vec<u8>)> {
    const BASE: u64 = 0x7f00_0000_0000;
    const STACK: u64 = 0x7ffc_0000_0000;
    let (code, main) = (BASE + program::CODE, BASE + program::CODE + 0x20);
    let record = |kind: u32, payload: Vec<u8>| [halves(&[kind, payload.len() as u32]), payload].concat();
    let signal = |number: u32, bits: u32, address: u64| {
        record(kind::SIGNAL, [halves(&[number, 1, 0, 0, 0, bits]), words(&[address])].concat())
    };
    let thread = |pc: u64| {
        let mut registers = [0; 18];
        (registers[6], registers[7], registers[16]) = (STACK + 40, STACK, pc);
        let name = b"worker\0\0\0\0\0\0\0\0\0\0".to_vec();
        record(kind::THREAD, [halves(&[7, bit::HAS_REGISTERS]), name, words(&registers)].concat())
    };
    let stack = [STACK + 48, code + 5, STACK + 64, main + 1, STACK + 80, code + 5, 0, main + 9, 3, code + 5];
    let stack = record(kind::STACK, [words(&[STACK]), words(&stack)].concat());
    let mapping = |start: u64, path: &str| {
        let rights = [bit::READABLE | bit::EXECUTABLE, path.len() as u32];
        [words(&[start, start + 4096, 0, 0, 0]), halves(&rights), path.as_bytes().to_vec()].concat()
    };
    let mappings = record(kind::MAPPINGS, [mapping(BASE, "[vdso]"), mapping(BASE + 8192, "/dev/zero")].concat());
    let modules = record(kind::MODULES, [words(&[BASE]), halves(&[4]), vec![1, 2, 3, 4]].concat());
    let vdso = record(kind::VDSO, [words(&[BASE]), program::bytes()].concat());
    let end = record(kind::END, halves(&[217]));
    let header = [&MAGIC[..], &halves(&[VERSION, 0])].concat();
    let whole = |signal: Vec<u8>, thread: Vec<u8>| {
        [&header, &signal, &thread, &stack, &mappings, &modules, &vdso, &end].map(Clone::clone).concat()
    };
    let fault = signal(11, bit::HAS_ADDRESS | bit::IS_FAULT | bit::WRITES, 8);
    let mut cut = whole(fault.clone(), thread(code));
    cut.truncate(400);
    [
        ("fault", whole(fault.clone(), thread(code))),
        ("expression", whole(fault.clone(), thread(main))),
        ("jump", whole(signal(11, bit::HAS_ADDRESS | bit::IS_FAULT | bit::EXECUTES, 0), thread(0))),
        ("panic", whole(signal(0, 0, 0), thread(code))),
        ("sent", whole(signal(6, 0, 0), [thread(main), stack.clone(), thread(code)].concat())),
        ("cut", cut),
    ]
    .map(|(name, input)| (name.to_owned(), input))
    .into()
}
