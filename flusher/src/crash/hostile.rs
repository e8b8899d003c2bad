//! Captures and programs of any bytes: a report comes of them, in bounded time, and no panic.

use crate::crash::budget::{Budget, Spent};
use crate::crash::elf::{Elf, Source};
use crate::crash::frame::{End, Trust};
use crate::crash::loaded::Module;
use crate::crash::modules::{self, Files, Unusable, open_file};
use crate::crash::report::{Reading, Report};
use crate::crash::symbols::{Depth, look_up};
use crate::crash::unwind::FRAMES_MAX;
use crate::crash::{read_back, text};
use crate::scratch::Scratch;
use lastwords_ring::format::capture::{Capture, CapturedThread, Mapping};
use proptest::prelude::*;
use rustix::fs::{CWD, FileType, Mode};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const BASE: u64 = 0x7f00_0000_0000;
const STACK: u64 = 0x7ffc_0000_0000;
/// A report takes longer only where it is not bounded.
const LONG: Duration = Duration::from_secs(20);

/// The loader that this test runs by: a real program, not large.
fn loader() -> Option<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps").expect("mapped");
    let path = maps.lines().filter_map(|line| line.split_once('/')).map(|(_, path)| Path::new("/").join(path));
    let found = path.filter(|path| path.to_string_lossy().contains("/ld-")).find(|path| path.is_file());
    if found.is_none() {
        eprintln!("skipped: no loader is mapped");
    }
    found
}

fn parse(program: Vec<u8>) -> Option<Elf> {
    Elf::parse(Source::Bytes(program), Budget::default())
}

fn open(module: &Module) -> Result<Elf, Unusable> {
    modules::open(module, &Budget::default())
}

/// A capture of a thread in this program, which the capture has itself, as it has the vDSO.
fn capture(program: Vec<u8>, registers: [u64; 17], stack: Vec<u8>) -> Capture {
    let mapping = Mapping {
        start: BASE,
        end: BASE + (4 << 20),
        readable: true,
        executable: true,
        path: b"[vdso]".to_vec(),
        ..Mapping::default()
    };
    let thread =
        CapturedThread { registers, stack_start: STACK, stack, has_registers: true, ..CapturedThread::default() };
    Capture { threads: vec![thread], mappings: vec![mapping], vdso: (BASE, program), ..Capture::default() }
}

/// Words as they are on a stack: some lead into the program, some up the stack.
fn word() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => (0..0x4_0000u64).prop_map(|offset| BASE + offset),
        2 => (0..0x2000u64).prop_map(|offset| STACK + offset),
        1 => any::<u64>(),
        1 => Just(0),
    ]
}

fn registers() -> impl Strategy<Value = [u64; 17]> {
    (prop::collection::vec(word(), 17), 0..0x800u64, 0..0x4_0000u64).prop_map(|(words, sp, pc)| {
        let mut registers: [u64; 17] = words.try_into().expect("17");
        (registers[7], registers[16]) = (STACK + sp, BASE + pc);
        registers
    })
}

fn assert_bounded(capture: &Capture) {
    let begun = Instant::now();
    let report = Report::of(capture, 1, &Reading::default());
    let frames = report.stacks.iter().map(|stack| stack.frames.len()).max().unwrap_or(0);
    assert!(frames <= FRAMES_MAX && begun.elapsed() < LONG, "{frames} frames after {:?}", begun.elapsed());
    let shown = text::of_crash_file(&report);
    assert!(read_back::report_in(&shown).is_some(), "{shown}");
    assert!(text::below_death_line(&report).lines().count() <= 2 + text::LOG_FRAMES_MAX + 2);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_stack_is_walked_to_an_end(registers in registers(), stack in prop::collection::vec(word(), 0..1024)) {
        let Some(loader) = loader() else { return Ok(()) };
        let stack: Vec<u8> = stack.iter().flat_map(|word| word.to_le_bytes()).collect();
        assert_bounded(&capture(fs::read(loader).expect("read"), registers, stack));
    }

    #[test]
    fn any_damage_to_a_program_is_borne(
        registers in registers(),
        stack in prop::collection::vec(word(), 512),
        section in prop::sample::select(vec!["", ".eh_frame", ".eh_frame_hdr", ".symtab", ".dynsym", ".note.gnu.build-id"]),
        damage in prop::collection::vec((any::<u32>(), any::<u8>()), 1..400),
    ) {
        let Some(loader) = loader() else { return Ok(()) };
        let mut program = fs::read(loader).expect("read");
        let whole = parse(program.clone()).expect("a program");
        let range = whole.file_range(section).unwrap_or(0..program.len());
        for (at, byte) in damage {
            program[range.start + at as usize % range.len()] = byte;
        }
        let stack: Vec<u8> = stack.iter().flat_map(|word| word.to_le_bytes()).collect();
        if let Some(damaged) = parse(program.clone()) {
            let offsets: Vec<u64> = (0..64).map(|n| n * 0x800).collect();
            let found = look_up(&Module::default(), &damaged, &offsets, Depth::Names, &Budget::default());
            prop_assert_eq!(found.len(), offsets.len());
        }
        assert_bounded(&capture(program, registers, stack));
    }

    #[test]
    fn any_mappings_and_notes_are_borne(
        starts in prop::collection::vec((any::<u64>(), any::<u64>(), any::<u64>()), 0..40),
        pc in any::<u64>(),
        sp in any::<u64>(),
    ) {
        let mut registers = [0; 17];
        (registers[7], registers[16]) = (sp, pc);
        let mut capture = capture(b"\x7fELF".to_vec(), registers, vec![0; 64]);
        capture.threads[0].stack_start = sp;
        let mapping = |(start, end, offset)| Mapping { start, end, offset, executable: true, path: b"/dev/zero".to_vec(), ..Mapping::default() };
        capture.mappings.extend(starts.into_iter().map(mapping));
        let reading = Reading { files: Files::Opened, ..Reading::default() };
        let report = Report::of(&capture, 1, &reading);
        prop_assert!(report.stacks[0].frames.len() <= FRAMES_MAX);
    }
}

#[test]
fn a_stack_that_leads_in_a_circle_ends() {
    let Some(loader) = loader() else { return };
    // Every frame pointer leads to the one before it.
    let words: Vec<u64> = (0..512).map(|n| if n % 2 == 0 { STACK } else { BASE + 0x2000 }).collect();
    let mut registers = [0; 17];
    (registers[6], registers[7], registers[16]) = (STACK, STACK, BASE + 0x2000);
    let stack = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let report = Report::of(&capture(fs::read(loader).expect("read"), registers, stack), 1, &Reading::default());
    assert!(report.stacks[0].frames.len() < FRAMES_MAX, "{:?}", report.stacks[0].end);
}

#[test]
fn code_without_a_file_is_a_frame_and_an_end() {
    let mut registers = [0; 17];
    (registers[7], registers[16]) = (STACK, 0x1000);
    let mut capture = capture(Vec::new(), registers, vec![0; 64]);
    capture.mappings = vec![Mapping { start: 0x1000, end: 0x2000, executable: true, ..Mapping::default() }];
    let stack = Report::of(&capture, 1, &Reading::default()).stacks.remove(0);
    let found: Vec<(u64, Trust, Option<usize>)> =
        stack.frames.iter().map(|frame| (frame.pc, frame.trust, frame.module)).collect();
    assert_eq!((found, stack.end), (vec![(0x1000, Trust::Context, None)], End::NotCaptured));
}

#[test]
fn what_is_no_program_or_another_one_is_not_used() {
    let Some(loader) = loader() else { return };
    let scratch = Scratch::new("modules");
    let program = scratch.path().join("program");
    fs::copy(&loader, &program).expect("copied");
    let found = program.metadata().expect("there");
    let build_id = parse(fs::read(&program).expect("read")).expect("a program").build_id().map(<[u8]>::to_vec);
    let build_id = build_id.expect("a build id");
    let path = |path: &Path| path.as_os_str().as_encoded_bytes().to_vec();
    let module = Module { path: path(&program), build_id: build_id.clone(), ..Module::default() };
    assert!(open(&module).is_ok(), "the same build id counts more than where the file is");
    let by_inode = Module { build_id: Vec::new(), device: found.dev(), inode: found.ino(), ..module.clone() };
    assert!(open(&by_inode).is_ok());
    let other = Module { inode: 1, ..by_inode };
    assert_eq!(open(&other).err(), Some(Unusable::AnotherFile));
    let replaced = Module { build_id: vec![1, 2], ..module.clone() };
    assert_eq!(open(&replaced).err(), Some(Unusable::Replaced { mapped: vec![1, 2], found: build_id }));
    let removed = Module { path: [&path(&program)[..], b" (deleted)"].concat(), ..module.clone() };
    assert_eq!(open(&removed).err(), Some(Unusable::Removed));
    let planted = scratch.path().join("planted");
    rustix::fs::mknodat(CWD, &planted, FileType::Fifo, Mode::RWXU, 0).expect("planted");
    for (place, expected) in [
        (planted.as_path(), Unusable::NotAFile),
        (Path::new("/dev/zero"), Unusable::NotAFile),
        (scratch.path(), Unusable::NotAFile),
    ] {
        assert_eq!(open(&Module { path: path(place), ..module.clone() }).err(), Some(expected), "{place:?}");
    }
    let link = scratch.path().join("link");
    std::os::unix::fs::symlink(&program, &link).expect("planted");
    assert_eq!(open_file(&link).err(), Some(Unusable::NotAFile), "the kernel names no links");
    let large = scratch.path().join("large");
    fs::File::create(&large).and_then(|file| file.set_len(3 << 30)).expect("sparse");
    assert_eq!(open(&Module { path: path(&large), ..module.clone() }).err(), Some(Unusable::NotElf));
    assert!(matches!(open(&Module { path: b"/nowhere".to_vec(), ..module }), Err(Unusable::Unreadable(_))));
}

/// A program with a table of these symbols: addresses and sizes. Each is called `f`, but those at odd addresses `g`.
fn with_symbols(symbols: &[(u64, u64)]) -> Vec<u8> {
    let table: Vec<u8> = symbols
        .iter()
        .flat_map(|(address, size)| {
            let name = 1 + 2 * (address % 2) as u32;
            // A global function, in a section.
            let head = [&name.to_le_bytes()[..], &[0x12, 0, 1, 0]].concat();
            [head, address.to_le_bytes().to_vec(), size.to_le_bytes().to_vec()].concat()
        })
        .collect();
    let names = b"\0f\0g\0".to_vec();
    let (table_at, names_at) = (64 + 3 * 64, 64 + 3 * 64 + table.len() as u64);
    let section = |kind: u32, offset: u64, size: u64, link: u32| {
        let mut header = vec![0; 64];
        header[4..8].copy_from_slice(&kind.to_le_bytes());
        header[24..32].copy_from_slice(&offset.to_le_bytes());
        header[32..40].copy_from_slice(&size.to_le_bytes());
        header[40..44].copy_from_slice(&link.to_le_bytes());
        header
    };
    let mut program = vec![0; 64];
    program[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    program[18] = 62;
    program[40] = 64;
    (program[60], program[62]) = (3, 2);
    for part in [
        section(0, 0, 0, 0),
        section(2, table_at, table.len() as u64, 2),
        section(3, names_at, names.len() as u64, 0),
        table,
        names,
    ] {
        program.extend(part);
    }
    program
}

fn names_at(program: Vec<u8>, addresses: &[u64], budget: Budget) -> Vec<Option<(String, u64)>> {
    let elf = Elf::parse(Source::Bytes(program), budget).expect("a program");
    let name = |name: &[u8]| String::from_utf8(name.to_vec()).expect("a letter");
    elf.functions(addresses).into_iter().map(|found| found.map(|found| (name(&found.name), found.address))).collect()
}

#[test]
fn a_symbol_without_a_size_counts_where_none_with_one_does_and_no_other_comes_between() {
    let program = with_symbols(&[(0x41, 0), (0x10, 0x10), (0x20, 0), (0x40, 0), (0x60, 8)]);
    let found = names_at(program, &[0x70, 0x0f, 0x18, 0x20, 0x3f, 0x40, 0x50, 0x60], Budget::default());
    let expected = |name: &str, address: u64| Some((name.to_owned(), address));
    assert_eq!(
        found,
        [
            expected("g", 0x41),
            None,
            expected("f", 0x10),
            expected("f", 0x20),
            expected("f", 0x20),
            expected("f", 0x40),
            expected("g", 0x41),
            expected("f", 0x60),
        ]
    );
}

/// A million labels before thousands of addresses: their product is the steps of minutes.
#[test]
fn many_symbols_without_a_size_take_no_longer_than_as_many_with_one() {
    let program = with_symbols(&(0..1 << 20).map(|n| (n, 0)).collect::<Vec<_>>());
    let addresses: Vec<u64> = (1 << 21..(1 << 21) + (1 << 14)).collect();
    let found = names_at(program, &addresses, Budget::of_process());
    assert!(found.iter().all(|found| *found == Some(("g".to_owned(), (1 << 20) - 1))), "{:?}", found[0]);
}

/// Symbols that each hold all of the addresses, no more of them than are read at once.
#[test]
fn a_table_that_takes_too_long_is_left_where_the_time_is_over() {
    let program = with_symbols(&(0..1 << 14).map(|n| (n, 1 << 32)).collect::<Vec<_>>());
    let addresses: Vec<u64> = (1 << 21..(1 << 21) + (1 << 18)).collect();
    let budget = Budget::new(Some(Duration::from_secs(2)), u64::MAX);
    let begun = Instant::now();
    let found = names_at(program, &addresses, budget.clone());
    assert_eq!(budget.spent(), Some(Spent::Time));
    assert!(found.len() == addresses.len() && begun.elapsed() < LONG, "{:?}", begun.elapsed());
}

#[test]
fn what_was_found_before_the_budget_was_spent_stays_and_the_report_says_so() {
    let Some(loader) = loader() else { return };
    let mut registers = [0; 17];
    (registers[6], registers[7], registers[16]) = (STACK, STACK, BASE + 0x2000);
    let capture = capture(fs::read(loader).expect("read"), registers, vec![0; 64]);
    for (time, bytes, spent) in [(Some(Duration::ZERO), u64::MAX, Spent::Time), (None, 100, Spent::Bytes)] {
        let reading = Reading { budget: Budget::new(time, bytes), ..Reading::default() };
        let report = Report::of(&capture, 1, &reading);
        assert!(!report.stacks[0].frames.is_empty(), "{report:?}");
        let note = format!("the report is not complete: {spent}");
        assert_eq!(report.notes, std::slice::from_ref(&note));
        assert!(text::of_crash_file(&report).contains(&format!("\nnote         {note}\n")));
    }
}

#[test]
fn files_and_names_of_a_report_are_limited_as_a_whole() {
    let Some(loader) = loader() else { return };
    let budget = Budget::new(None, u64::MAX);
    let module = Module { path: loader.into_os_string().into_encoded_bytes(), inode: 1, ..Module::default() };
    let refused =
        (0..10_000).map(|_| modules::open(&module, &budget).err()).position(|why| why == Some(Unusable::TooMuch));
    assert!(refused.is_some_and(|opened| opened > 100), "{refused:?}");
    assert_eq!(budget.spent(), Some(Spent::Files));
    let budget = Budget::new(None, u64::MAX);
    let named = (0..10_000).take_while(|_| budget.name(1000)).count();
    assert!(named > 100 && named < 10_000 && budget.spent() == Some(Spent::Names), "{named}");
}
