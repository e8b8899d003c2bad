//! A power loss leaves any mixture of old and new pages.
//!
//! The kernel writes pages back in any order, so after a power loss a ring's position may be on the disk and the line that it
//! does not count, a journal's entry may be half of this and half of that, and a file may have been renamed without its bytes.
//! A reader that believes such a mixture prints lines that were never logged, one that is afraid of it throws away what is
//! there, and one that is careless does not report that something is missing.
//!
//! So a run is recorded, every change of every file, and crash images are made of it by the model in `disk.rs`. In each the
//! recovery must not fail, and must show only what was logged; holes must be admitted; and with `durable`, everything from
//! before the last sync must be there, once, or at most twice. `LASTWORDS_POWER_SEED` and `LASTWORDS_POWER_IMAGE` replay an
//! image, `LASTWORDS_POWER_IMAGES` sets how many.

#[path = "power_loss/recording.rs"]
mod recording;
#[path = "power_loss/verdict.rs"]
mod verdict;

use lastwords::Format;
use lastwords_flusher::drain::Drain;
use lastwords_flusher::recover::recovery::Recovery;
use lastwords_ring::format::compress::Compress;
use lastwords_ring::place::clock;
use lastwords_ring::place::folder::Folder;
use lastwords_tests::disk::Loss;
use lastwords_tests::files::paths_in;
use lastwords_tests::oracle::Random;
use lastwords_tests::restart::{restart_journal, restart_ring};
use lastwords_tests::scratch::Scratch;
use lastwords_tests::watchdog::Watchdog;
use recording::{Recording, record};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use verdict::{Shown, is_true};

/// Images of one recording: few where the program is not optimised.
const IMAGES: u64 = if cfg!(debug_assertions) { 50 } else { 1000 };
/// Recordings of one test.
const RECORDINGS: u64 = 6;
/// Those with archives: the images of each end with the first whose drain removes a file.
const RECORDINGS_OF_ARCHIVES: u64 = if cfg!(debug_assertions) { 12 } else { 48 };
/// Passes after which a drain that still finds something hangs.
const PASSES_MAX: u32 = 200;

/// Where images are made: the log folder, and the log files while they have no name. They are the recorded ones, because
/// the journal names their inodes.
struct Bench {
    folder: Folder,
    pool: PathBuf,
    files: BTreeMap<u64, PathBuf>,
}

/// What was seen over all images.
#[derive(Debug, Default)]
struct Tally {
    images: u64,
    shown: u64,
    doubled: u64,
    missing: u64,
    holes: u64,
    cut: u64,
}

impl Bench {
    fn new(recording: &Recording) -> Bench {
        let folder = Folder::create(&recording.scratch.path().join("image")).expect("a folder");
        let mut bench = Bench { folder, pool: recording.scratch.path().join("pool"), files: BTreeMap::new() };
        fs::create_dir(&bench.pool).expect("made");
        bench.take_files(&recording.scratch.path().join("logs"), true);
        bench.take_files(recording.disk.removed(), true);
        bench
    }

    /// Takes the names of all log files away; what else is there is removed.
    fn take_files(&mut self, from: &Path, new: bool) {
        for path in paths_in(from) {
            let found = path.metadata().expect("there");
            if !found.is_file() {
                continue;
            }
            if new || self.files.contains_key(&found.ino()) {
                let to = self.pool.join(found.ino().to_string());
                fs::rename(path, &to).expect("renamed");
                self.files.insert(found.ino(), to);
            } else {
                fs::remove_file(path).expect("removed");
            }
        }
    }

    /// Makes what a crash after `moment` leaves. False if a file of it is gone: the drain of an earlier image has removed it for
    /// its archive.
    fn make(&mut self, recording: &Recording, moment: usize, loss: Loss, random: &mut Random) -> bool {
        self.clear();
        let [logs, rings] = recording.disk.names(moment, loss, random);
        if logs.values().any(|inode| !self.files.contains_key(inode)) {
            return false;
        }
        for (name, inode) in logs {
            let path = self.folder.path().join(name);
            fs::rename(&self.files[&inode], &path).expect("renamed");
            fs::write(path, recording.disk.bytes(inode, moment, loss, false, random)).expect("written");
        }
        for (name, inode) in rings {
            let is_ring = name.ends_with(".ring");
            let mut bytes = recording.disk.bytes(inode, moment, loss, is_ring, random);
            if is_ring {
                restart_ring(&mut bytes);
            } else if name.starts_with("journal.") {
                restart_journal(&mut bytes);
            }
            fs::write(self.folder.rings().join(name), bytes).expect("written");
        }
        true
    }

    fn clear(&mut self) {
        let path = self.folder.path().to_owned();
        self.take_files(&path, false);
        self.take_files(&self.folder.rings(), false);
        self.files.retain(|_, path| path.exists());
    }

    /// Reads what recovery shows without changing anything, and returns whether there is a ring that can be read.
    fn recover(&self, recording: &Recording, moment: usize) -> Result<bool, String> {
        let mut recovery = Recovery::default();
        recovery.add_folder(&self.folder).map_err(|error| error.to_string())?;
        let mut wrong = None;
        let read = recovery.for_each(|found| {
            let printed = String::from_utf8_lossy(found.record.text()).into_owned();
            // What was spilled may have lost its file, which is said in its place.
            if !printed.starts_with("lastwords: ") {
                wrong = wrong.take().or_else(|| is_true(recording, moment, &printed).err());
            }
            Ok::<u64, lastwords::Error>(0)
        });
        read.map_err(|error| error.to_string())?;
        wrong.map_or(Ok(recovery.reports().count() > 0), |why| Err(format!("recovered, {why}")))
    }

    /// Drains everything, and returns how many records that was.
    fn drain(&self, since: u64) -> Result<u64, String> {
        let mut drain = Drain::open(&self.folder, since).map_err(|error| error.to_string())?;
        let mut records = 0;
        for _ in 0..PASSES_MAX {
            let pass = drain.pass().map_err(|error| error.to_string())?;
            records += pass.records;
            if pass.waiting {
                // A slot that looks open holds later lines back for 50 ms.
                std::thread::sleep(Duration::from_millis(1));
            }
            if pass.records == 0 && pass.removed == 0 && !pass.waiting {
                // A line without a record goes out with the next pass.
                drain.pass().and_then(|_| drain.settle()).map_err(|error| error.to_string())?;
                // Where files are compressed it looks for some, and for what the stop left of others.
                drain.compress();
                return Ok(records);
            }
        }
        Err("the drain does not end".to_owned())
    }
}

/// Makes an image, recovers it, and checks the result. False if it cannot be made any more.
fn try_image(bench: &mut Bench, recording: &Recording, random: &mut Random, tally: &mut Tally) -> Result<bool, String> {
    let moment = 1 + random.below(recording.disk.moment() as u64) as usize;
    let loss = match random.below(32) {
        0 => Loss::Nothing,
        1..=8 => Loss::Pages,
        _ => Loss::Torn,
    };
    if !bench.make(recording, moment, loss, random) {
        return Ok(false);
    }
    let left_ring = bench.recover(recording, moment)?;
    let since = if random.below(2) == 0 { 0 } else { clock::realtime_ns() };
    bench.drain(since)?;
    let folder = bench.folder.path();
    judge(recording, moment, loss, left_ring, &Shown::read(recording, moment, folder)?, tally)?;
    if recording.format == Format::Both {
        let shown = Shown::read_json(recording, moment, folder).map_err(|why| format!("JSON: {why}"))?;
        judge(recording, moment, loss, left_ring, &shown, tally).map_err(|why| format!("JSON: {why}"))?;
    }
    if random.below(8) == 0 && bench.drain(since)? > 0 {
        return Err(format!("{loss:?} at {moment}: the next start drains again"));
    }
    tally.images += 1;
    Ok(true)
}

/// Whether the files of one form show what they may and must.
fn judge(
    recording: &Recording,
    moment: usize,
    loss: Loss,
    left_ring: bool,
    shown: &Shown,
    tally: &mut Tally,
) -> Result<(), String> {
    let logged = || recording.logged.iter().filter(|(_, at)| **at <= moment).map(|(id, _)| id);
    // Without a ring there is no trace of a process; its log files show what they hold.
    let holes = if left_ring { shown.holes() } else { Vec::new() };
    let count = |id| shown.counts.get(id).copied().unwrap_or(0);
    if !holes.is_empty() && shown.admissions == 0 {
        return Err(format!("{loss:?} at {moment}: nobody says that {holes:?} are missing"));
    }
    if let Some(id) = logged().find(|id| loss == Loss::Nothing && !recording.overwrites && count(id) != 1) {
        return Err(format!("at {moment}, all on the disk: {id:?} stands there {} times", count(id)));
    }
    let safe = recording.safe.iter().rev().find(|(end, _)| *end <= moment).map_or(0, |(_, begun)| *begun);
    for (id, _) in recording.logged.iter().filter(|(_, at)| **at <= safe) {
        if !(1..=2).contains(&count(id)) {
            return Err(format!("{loss:?} at {moment}, synced: {id:?} stands there {} times", count(id)));
        }
    }
    tally.shown += shown.counts.len() as u64;
    tally.doubled += shown.counts.values().filter(|count| **count > 1).count() as u64;
    tally.missing += logged().filter(|id| count(id) == 0).count() as u64;
    tally.holes += u64::from(!holes.is_empty());
    tally.cut += shown.cut;
    Ok(())
}

fn try_images(name: &'static str, sync_ms: u32, compress: Compress) {
    let _watchdog = Watchdog::new(name, Duration::from_secs(900));
    let mut seeds = Random::from_env("LASTWORDS_POWER_SEED");
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let images = number("LASTWORDS_POWER_IMAGES").unwrap_or(IMAGES);
    let (only, start, mut tally) = (number("LASTWORDS_POWER_IMAGE"), Instant::now(), Tally::default());
    let (mut moments, mut syncs) = (0, 0);
    let recordings = if compress == Compress::Never { RECORDINGS } else { RECORDINGS_OF_ARCHIVES };
    for run in 0..recordings {
        let format = if run % 2 == 0 { Format::Text } else { Format::Both };
        let memory = Path::new("/dev/shm");
        let scratch = if memory.is_dir() { Scratch::within(memory, name) } else { Scratch::new(name) };
        let recording = record(scratch, sync_ms, format, compress, &mut Random::new(seeds.draw()));
        let mut bench = Bench::new(&recording);
        (moments, syncs) = (moments + recording.disk.moment(), syncs + recording.disk.syncs());
        for image in 0..images {
            let (mut random, image) = (Random::new(seeds.draw()), run * images + image);
            if only.is_some_and(|only| only != image) {
                continue;
            }
            match try_image(&mut bench, &recording, &mut random, &mut tally) {
                Ok(true) => {}
                Ok(false) => break,
                Err(why) => panic!("image {image}: {why}"),
            }
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("{name}: {moments} moments, {syncs} syncs, {seconds:.1} s, {tally:?}");
}

#[test]
fn without_durable_nothing_false_is_shown_and_holes_are_admitted() {
    try_images("power-loss", 0, Compress::Never);
}

#[test]
fn with_durable_everything_from_before_the_last_sync_is_there_at_most_twice() {
    try_images("power-loss-durable", 1, Compress::Never);
}

#[test]
fn with_durable_a_rotated_file_or_its_archive_is_there_whole() {
    try_images("power-loss-archives", 1, Compress::Zstd);
}
