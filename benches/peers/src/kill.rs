//! Lines that were acknowledged and are not there after a SIGKILL.
//!
//! A child logs flat out; after each call that returned it stores how many have in a page that it shares with its
//! parent. The parent kills it at a random moment, lets lastwords recover, and compares the files with the page.
#![allow(unsafe_code)]

use crate::cores::Cores;
use crate::crates;
use crate::lines::Found;
use crate::peer::{Job, Peer};
use crate::scratch::Scratch;
use memmap2::MmapRaw;
use std::fs::File;
use std::io::{Error, Result};
use std::path::Path;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long the child logs before it is killed, in milliseconds.
const KILL_AFTER_MS: std::ops::Range<u64> = 50..151;
/// A child that has not logged its first line by then never will.
const START_MAX: Duration = Duration::from_secs(20);

/// What one kill cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kill {
    pub(crate) acknowledged: u64,
    pub(crate) lost: u64,
    pub(crate) torn: u64,
    pub(crate) doubled: u64,
}

/// The page of acknowledgements.
struct Page(MmapRaw);

impl Page {
    fn create(path: &Path) -> Result<Page> {
        let file = File::options().read(true).write(true).create_new(true).open(path)?;
        file.set_len(4096)?;
        MmapRaw::map_raw(&file).map(Page)
    }

    fn open(path: &Path) -> Result<Page> {
        MmapRaw::map_raw(&File::options().read(true).write(true).open(path)?).map(Page)
    }

    fn calls(&self) -> &AtomicU64 {
        // SAFETY: the mapping is a page long, is aligned to one and lives as long as `self`; both processes use its
        // first word as an atomic only.
        unsafe { &*self.0.as_ptr().cast::<AtomicU64>() }
    }
}

/// The child's part. It does not return.
pub(crate) struct Victim<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) page: &'a Path,
}

impl Job for Victim<'_> {
    type Output = ();

    fn run<P: Peer>(self) {
        Cores::find().take_both();
        let page = Page::open(self.page).expect("the parent's page");
        let peer = P::start(self.folder);
        peer.warm_up();
        let calls = page.calls();
        for n in 0.. {
            peer.frame(n);
            calls.store(n + 1, Ordering::Release);
        }
    }
}

struct Recover<'a>(&'a Path);

impl Job for Recover<'_> {
    type Output = Result<()>;

    fn run<P: Peer>(self) -> Result<()> {
        P::recover(self.0)
    }
}

/// The parent's part: `command` starts the child for the two paths; `random` is any number.
pub(crate) fn kill(name: &str, base: &Path, command: impl Fn(&Path, &Path) -> Command, random: u64) -> Result<Kill> {
    let scratch = Scratch::new(base)?;
    let (folder, page_file) = (scratch.log_folder(), scratch.path().join("page"));
    let page = Page::create(&page_file)?;
    let mut child = command(folder, &page_file).spawn()?;
    let started = wait_for_start(&mut child, &page);
    let span = KILL_AFTER_MS.end - KILL_AFTER_MS.start;
    thread::sleep(Duration::from_millis(KILL_AFTER_MS.start + random % span));
    child.kill()?;
    child.wait()?;
    started?;
    let acknowledged = page.calls().load(Ordering::Acquire);
    // A program of its own, which is no crate, has nothing to recover.
    crates::with(name, Recover(folder)).transpose()?;
    let found = Found::read(folder)?;
    let lost = acknowledged - found.below(acknowledged);
    Ok(Kill { acknowledged, lost, torn: found.torn, doubled: found.doubled })
}

fn wait_for_start(child: &mut Child, page: &Page) -> Result<()> {
    let start = Instant::now();
    while page.calls().load(Ordering::Acquire) == 0 {
        if let Some(status) = child.try_wait()? {
            return Err(Error::other(format!("the process ended by itself: {status}")));
        }
        if start.elapsed() > START_MAX {
            return Err(Error::other("the process logged nothing"));
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}
