//! A disk as a power loss leaves it: a model over pages.
//!
//! While a log folder is written to, each change of a file or of a folder's names is recorded as a version, and each sync
//! as a moment. At a crash, the last version before a sync is certain. Of what came after it, every page of every file
//! is taken from any version by itself, torn at sectors or, in a mapped file, at words; a file has the length of any
//! version, or one in between, with zeros where a page was not written; and of the names, which the file system keeps in order, a prefix
//! is there, in each folder another one.

use crate::files::paths_in;
use crate::oracle::Random;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

const PAGE: usize = 4096;
const SECTOR: usize = 512;
const WORD: usize = 8;

/// The names in a folder, and the inodes that they lead to.
pub type Names = BTreeMap<String, u64>;

/// Versions with the moment of each, and the moments of syncs.
#[derive(Debug)]
struct History<T> {
    versions: Vec<(usize, T)>,
    syncs: Vec<usize>,
}

impl<T> History<T> {
    fn new(moment: usize, first: T) -> History<T> {
        History { versions: vec![(moment, first)], syncs: Vec::new() }
    }

    /// The versions of which a crash after `moment` may leave parts, the oldest first. Empty before the first one.
    fn left_at(&self, moment: usize) -> &[(usize, T)] {
        let synced = self.syncs.iter().rev().find(|sync| **sync <= moment).copied().unwrap_or(0);
        let end = self.versions.partition_point(|(at, _)| *at <= moment);
        let certain = self.versions[..end].partition_point(|(at, _)| *at <= synced).saturating_sub(1);
        &self.versions[certain..end]
    }
}

/// What is recorded of a log folder and its rings folder.
#[derive(Debug)]
pub struct Disk {
    /// Where the files are that are removed from the log folder, each with its inode as its name.
    removed: PathBuf,
    paths: [PathBuf; 2],
    inodes: [u64; 2],
    folders: [History<Names>; 2],
    files: BTreeMap<u64, History<Rc<Vec<u8>>>>,
    moment: usize,
}

/// How a crash image is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Everything was written back: only the processes are gone.
    Nothing,
    /// Each page and each folder by itself.
    Pages,
    /// Like `Pages`, and pages are torn.
    Torn,
}

impl Disk {
    /// Starts to record. What is in the two folders now is certain. Files that are removed from the log folder go to `removed`,
    /// which is made.
    ///
    /// # Panics
    /// If a folder cannot be read; so for the others.
    #[must_use]
    pub fn new(logs: &Path, rings: &Path, removed: PathBuf) -> Disk {
        fs::create_dir(&removed).expect("made");
        let paths = [logs.to_owned(), rings.to_owned()];
        let inodes = [logs, rings].map(|path| fs::metadata(path).expect("there").ino());
        let folders = [0, 1].map(|_| History::new(0, Names::new()));
        let mut disk = Disk { removed, paths, inodes, folders, files: BTreeMap::new(), moment: 0 };
        disk.look();
        disk.sync_all();
        disk
    }

    /// The moment of the last change.
    #[must_use]
    pub fn moment(&self) -> usize {
        self.moment
    }

    /// Records what has changed. Between two calls at most one name changes.
    pub fn look(&mut self) {
        self.moment += 1;
        for folder in 0..self.paths.len() {
            let mut names = Names::new();
            for entry in fs::read_dir(&self.paths[folder]).expect("a folder") {
                let entry = entry.expect("listed");
                let Ok(found) = entry.metadata() else { continue };
                if found.is_file() {
                    names.insert(entry.file_name().into_string().expect("plain names"), found.ino());
                    self.look_at(found.ino(), &entry.path());
                }
            }
            let known = &mut self.folders[folder].versions;
            if known.last().is_none_or(|(_, last)| *last != names) {
                known.push((self.moment, names));
            }
        }
    }

    /// Gives each file of the log folder a second name while one of them is removed: for programs that look at it a file with
    /// two is a link of somebody's.
    pub fn while_one_is_removed(&self, remove: impl FnOnce()) {
        let files = || paths_in(&self.paths[0]).into_iter().filter(|path| path.is_file());
        let other = |path: &Path| self.removed.join(fs::metadata(path).expect("there").ino().to_string());
        files().for_each(|path| fs::hard_link(&path, other(&path)).expect("linked"));
        remove();
        files().for_each(|path| fs::remove_file(other(&path)).expect("its second name"));
    }

    /// Files that were removed from the log folder.
    #[must_use]
    pub fn removed(&self) -> &Path {
        &self.removed
    }

    fn look_at(&mut self, inode: u64, path: &Path) {
        let Ok(bytes) = fs::read(path) else { return };
        // A file begins empty.
        let history = self.files.entry(inode).or_insert_with(|| History::new(0, Rc::default()));
        if history.versions.last().is_none_or(|(_, last)| **last != bytes) {
            history.versions.push((self.moment, Rc::new(bytes)));
        }
    }

    /// Takes note of a sync of the file or folder with this inode, which `path` leads to: it may have no name yet.
    pub fn synced(&mut self, inode: u64, path: &Path) {
        self.look();
        if path.is_file() {
            self.look_at(inode, path);
        }
        if let Some(folder) = self.inodes.iter().position(|known| *known == inode) {
            self.folders[folder].syncs.push(self.moment);
        } else if let Some(file) = self.files.get_mut(&inode) {
            file.syncs.push(self.moment);
        }
    }

    /// Takes note of a sync of everything.
    pub fn sync_all(&mut self) {
        self.folders.iter_mut().for_each(|folder| folder.syncs.push(self.moment));
        self.files.values_mut().for_each(|file| file.syncs.push(self.moment));
    }

    /// How many syncs were seen.
    #[must_use]
    pub fn syncs(&self) -> usize {
        let folders: usize = self.folders.iter().map(|folder| folder.syncs.len()).sum();
        folders + self.files.values().map(|file| file.syncs.len()).sum::<usize>()
    }

    /// The names that a crash after `moment` leaves in the log folder and in the rings folder.
    #[must_use]
    pub fn names(&self, moment: usize, loss: Loss, random: &mut Random) -> [Names; 2] {
        [0, 1].map(|folder| {
            let left = self.folders[folder].left_at(moment);
            let chosen = if loss == Loss::Nothing { left.len() - 1 } else { random.below(left.len() as u64) as usize };
            left[chosen].1.clone()
        })
    }

    /// What a crash after `moment` leaves of a file; `mapped` pages may be torn anywhere.
    #[must_use]
    pub fn bytes(&self, inode: u64, moment: usize, loss: Loss, mapped: bool, random: &mut Random) -> Vec<u8> {
        let Some(history) = self.files.get(&inode) else { return Vec::new() };
        let left = history.left_at(moment);
        let newest = &left[left.len() - 1].1;
        if loss == Loss::Nothing || left.len() == 1 {
            return newest.to_vec();
        }
        let pick = |random: &mut Random| &left[random.below(left.len() as u64) as usize].1;
        // A file whose pages are all new or all old is rare among random choices, and common in life.
        let size = match random.below(4) {
            0 | 1 => newest.len(),
            2 => pick(random).len(),
            // A file system that writes back piece by piece lengthens the file with each.
            _ => left[0].1.len() + random.below(newest.len().saturating_sub(left[0].1.len()) as u64 + 1) as usize,
        };
        let mut bytes = vec![0; size];
        for (n, page) in bytes.chunks_mut(PAGE).enumerate() {
            let (start, first) = (n * PAGE, pick(random));
            copy(page, first, start);
            if loss == Loss::Torn && random.below(3) == 0 {
                let second = pick(random);
                let unit = if mapped && random.below(2) == 0 { WORD } else { SECTOR };
                for (m, part) in page.chunks_mut(unit).enumerate() {
                    if random.below(2) == 0 {
                        copy(part, second, start + m * unit);
                    }
                }
            }
        }
        bytes
    }
}

/// Fills `part` with what is at `start` of `bytes`, and zeros beyond their end.
fn copy(part: &mut [u8], bytes: &[u8], start: usize) {
    let there = bytes.get(start..).unwrap_or_default();
    let length = there.len().min(part.len());
    part[..length].copy_from_slice(&there[..length]);
    part[length..].fill(0);
}
