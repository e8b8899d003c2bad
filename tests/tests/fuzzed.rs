//! Guards against a reader that was tried with the damage that its author thought of. The fuzz targets of
//! `tests/src/fuzzing` run here without libFuzzer, on the corpus that is checked in and on seeded mutations of it, so
//! that every run of the suite tries some; `fuzz/run` lets libFuzzer look further, guided by coverage.
//!
//! `LASTWORDS_FUZZ_RUNS` sets the number of mutations of each target, `LASTWORDS_FUZZ_SEED` replays them, and
//! `LASTWORDS_WRITE_CORPUS` writes the corpus anew.

use lastwords_flusher::crash::frame::Frame;
use lastwords_flusher::crash::report::{Reading, Report};
use lastwords_ring::read::capture;
use lastwords_tests::fuzzing::{TARGETS, archive, corpus, image, journal};
use lastwords_tests::oracle::Random;
use lastwords_tests::scratch::Scratch;
use lastwords_tests::watchdog::Watchdog;
use std::fs;
use std::time::{Duration, Instant};

/// Mutations of each target. Unoptimised, where arithmetic that overflows panics, a tenth.
const RUNS: u64 = if cfg!(debug_assertions) { 20_000 } else { 200_000 };
/// Longest input.
const INPUT_MAX: usize = 4096;
/// Numbers at which code is wrong more often than elsewhere.
const EDGES: [u64; 10] = [0, 1, 0x7f, 0xff, 0xffff, 0xfffe, 1 << 31, u64::MAX >> 2, u64::MAX, 1 << 62];

/// Changes an input in one of the ways in which fuzzers do.
fn mutate(random: &mut Random, input: &mut Vec<u8>, other: &[u8]) {
    let at = random.below(input.len() as u64 + 1) as usize;
    let rest = input.len() - at;
    let length = (1 + random.below(16) as usize).min(rest);
    match random.below(8) {
        0 | 1 if rest > 0 => input[at] ^= 1 << random.below(8),
        2 if rest > 0 => input[at] = random.draw() as u8,
        3 => {
            let edge = EDGES[random.below(EDGES.len() as u64) as usize].to_le_bytes();
            let length = [1, 2, 4, 8][random.below(4) as usize].min(rest);
            input[at..at + length].copy_from_slice(&edge[..length]);
        }
        4 => drop(input.drain(at..at + length)),
        5 => {
            let piece = input[at..at + length].to_vec();
            let to = random.below(input.len() as u64 + 1) as usize;
            input.splice(to..to, piece);
        }
        6 => input.truncate(at),
        _ => {
            let from = random.below(other.len() as u64 + 1) as usize;
            input.splice(at.., other[from..].iter().copied());
        }
    }
    input.truncate(INPUT_MAX);
}

/// Says which input a failure is about.
struct NamedOnPanic<'a>(&'a str, &'a [u8]);

impl Drop for NamedOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let hex: String = self.1.iter().map(|byte| format!("{byte:02x}")).collect();
            eprintln!("target {}, input {hex}", self.0);
        }
    }
}

#[test]
fn the_corpus_is_what_its_generator_makes() {
    for (target, run) in TARGETS {
        let (scratch, folder) = (Scratch::new("corpus"), corpus::folder(target));
        let inputs = corpus::inputs(target, &scratch);
        if std::env::var_os("LASTWORDS_WRITE_CORPUS").is_some() {
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(&folder).expect("made");
            inputs.iter().for_each(|(name, input)| fs::write(folder.join(name), input).expect("written"));
        }
        assert_eq!(fs::read_dir(&folder).expect("the corpus").count(), inputs.len(), "{target}");
        for (name, input) in inputs {
            let _named = NamedOnPanic(target, &input);
            assert!(fs::read(folder.join(&name)).expect("there") == input, "{target}/{name} is of another format");
            run(&input);
        }
    }
}

#[test]
fn the_inputs_that_are_meant_to_be_whole_are() {
    let read = |target, name: &str| fs::read(corpus::folder(target).join(name)).expect("in the corpus");
    let same = |name: &str| {
        let mut bytes = vec![0; image::valid().len()];
        let image = image::Image::of(&read("ring", name));
        lastwords_ring::read::reader::Source::read_at(&image, &mut bytes, 0).expect("bytes in memory");
        bytes == image::valid()
    };
    assert!(same("valid") && same("from-zeros"), "patches make the valid ring");
    let scratch = Scratch::new("fuzzed-archive");
    for (name, frames) in [("whole", 2), ("repaired", 2), ("longer", 0), ("empty", 0)] {
        assert_eq!(archive::readable(&read("archive", name), &scratch.join("host.log.1.zst")), frames, "{name}");
    }
    for name in ["append", "position", "rename", "rename-archive", "archived", "remove"] {
        let (found, repaired) =
            (journal::entry(&read("journal", name)), journal::entry(&read("journal", &format!("{name}-repaired"))));
        assert_eq!(found.as_ref().map(|entry| entry.changes.len()), Some(1), "{name}");
        assert_eq!(found.map(|entry| entry.changes), repaired.map(|entry| entry.changes), "{name}");
    }
}

#[test]
fn seeded_mutations_neither_panic_nor_hang() {
    let _watchdog = Watchdog::new("fuzzed", Duration::from_secs(900));
    let runs = std::env::var("LASTWORDS_FUZZ_RUNS").map_or(RUNS, |runs| runs.parse().expect("a number"));
    let mut random = Random::from_env("LASTWORDS_FUZZ_SEED");
    for (target, run) in TARGETS {
        let inputs = fs::read_dir(corpus::folder(target)).expect("the corpus");
        let mut inputs: Vec<_> = inputs.map(|file| file.expect("listed").path()).collect();
        inputs.sort();
        let corpus: Vec<Vec<u8>> = inputs.iter().map(|path| fs::read(path).expect("read")).collect();
        let pick = |random: &mut Random| &corpus[random.below(corpus.len() as u64) as usize];
        let start = Instant::now();
        for _ in 0..runs {
            let mut input = pick(&mut random).clone();
            for _ in 0..=random.below(6) {
                let other = pick(&mut random);
                mutate(&mut random, &mut input, other);
            }
            let _named = NamedOnPanic(target, &input);
            run(&input);
        }
        println!("{target}: {runs} executions in {:.1} s", start.elapsed().as_secs_f64());
    }
}

#[test]
fn the_captures_lead_through_the_small_program() {
    let frames = |name: &str| {
        let input = fs::read(corpus::folder("capture").join(name)).expect("there");
        let report = Report::of(&capture::parse(&input).expect("a capture"), 4157, &Reading::default());
        let function = |frame: &Frame| frame.symbol.as_ref().map_or(String::new(), |symbol| symbol.function.clone());
        let shown = |frame: &Frame| format!("{} {}", frame.trust.name(), function(frame));
        report.stacks[0].frames.iter().map(shown).collect::<Vec<String>>()
    };
    let by_tables_and_a_guess = ["context crash", "cfi crash", "cfi main", "scan crash", "scan main", "scan crash"];
    assert_eq!(frames("fault"), by_tables_and_a_guess);
    assert_eq!(frames("panic"), by_tables_and_a_guess);
    assert_eq!(frames("expression"), ["context main", "cfi crash"]);
    assert_eq!(frames("jump"), ["context ", "scan crash", "scan main", "scan crash", "scan main", "scan crash"]);
}
