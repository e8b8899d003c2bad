//! The doorbell: a FIFO in the rings folder that wakes the flusher.
//!
//! A byte stays in it until it is read, so no wake-up is lost. Before each use both ends check whether their descriptor still
//! refers to a FIFO, and whether that is the one that has the name now: it may have been removed, or the descriptor closed, by
//! other code. The end that finds it missing creates it again.

use crate::error::{Error, Result};
use crate::mutant::{self, Mutant};
use crate::place::descriptor::{Kept, is_lost};
use crate::place::folder::Folder;
use crate::place::open;
use rustix::fs::FileType;
use std::io::Read;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

/// How often it is rung if its descriptor is closed each time.
const RINGS_MAX: u32 = 8;

/// One end of the doorbell of a folder.
#[derive(Debug)]
pub struct Doorbell {
    path: PathBuf,
    /// Never waited for: if another thread is reopening the doorbell, that thread rings as well. None once this end was closed.
    fifo: RwLock<Option<Kept>>,
}

impl Doorbell {
    /// Opens the doorbell of `folder`, created if missing.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be made or opened, or if something that cannot be renamed has its name.
    pub fn open(folder: &Folder) -> Result<Doorbell> {
        let path = folder.rings().join("doorbell");
        let fifo = open(&path).map_err(Error::io("open the doorbell", &path))?;
        Ok(Doorbell { fifo: RwLock::new(Some(fifo)), path })
    }

    /// Wakes the flusher of this folder, if there is one.
    pub fn ring_once(folder: &Folder) {
        if let Ok(doorbell) = Doorbell::open(folder) {
            doorbell.ring();
        }
    }

    /// Wakes the flusher. A full FIFO wakes it as well, and so does a thread that rings at this moment.
    pub fn ring(&self) {
        for _ in 0..RINGS_MAX {
            let Ok(fifo) = self.fifo.try_read() else { return };
            let Some(end) = fifo.as_ref() else { return };
            if is_at(end, &self.path) && !write(end).is_err_and(|error| is_lost(&error)) {
                return;
            }
            drop(fifo);
            if !self.open_again() {
                return;
            }
        }
    }

    /// Closes this end permanently. Not for signal handlers.
    pub fn close(&self) {
        *self.fifo.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// A descriptor of its own for the handler of a signal that ends a sleep.
    ///
    /// # Errors
    /// As dup(2).
    pub fn descriptor(&self) -> io::Result<OwnedFd> {
        let fifo = self.fifo.try_read().map_err(|_| io::Error::from(io::ErrorKind::WouldBlock))?;
        fifo.as_ref().ok_or(io::ErrorKind::NotFound)?.file()?.try_clone().map(OwnedFd::from)
    }

    /// Drains the FIFO.
    pub fn clear(&self) {
        if let Ok(fifo) = self.fifo.try_read()
            && let Some(fifo) = fifo.as_ref()
        {
            let _ = fifo.file().and_then(|mut file| file.read(&mut [0; 4096]));
        }
    }

    /// Runs `work` with the FIFO that has the name now; None if there is none.
    pub fn listen<T>(&self, work: impl FnOnce(&std::fs::File) -> T) -> Option<T> {
        let is_right = self.fifo.try_read().is_ok_and(|fifo| fifo.as_ref().is_some_and(|fifo| is_at(fifo, &self.path)));
        if !is_right && !self.open_again() {
            return None;
        }
        self.fifo.try_read().ok()?.as_ref()?.file().ok().map(work)
    }

    /// Opens it again, unless it was closed.
    fn open_again(&self) -> bool {
        let Ok(mut fifo) = self.fifo.try_write() else { return false };
        let Some(fifo) = fifo.as_mut() else { return false };
        open(&self.path).is_ok_and(|fresh| {
            *fifo = fresh;
            true
        })
    }
}

fn write(fifo: &Kept) -> io::Result<usize> {
    fifo.file().and_then(|mut file| file.write(&[1]))
}

fn is_at(fifo: &Kept, path: &Path) -> bool {
    let unseen = mutant::is(Mutant::DoorbellUnseen);
    fifo.file().is_ok() && (unseen || open::identity(path).is_ok_and(|found| found == Some(fifo.identity())))
}

/// Opens the FIFO, created if missing. Anything else under its name is renamed.
fn open(path: &Path) -> io::Result<Kept> {
    open::make_fifo(path)?;
    let opened = open::fifo(path).or_else(|error| {
        if !open::is_another_kind(path, FileType::Fifo, &error) {
            return Err(error);
        }
        open::set_aside(path)?;
        open::make_fifo(path)?;
        open::fifo(path)
    });
    Kept::new(opened?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use std::fs;
    use std::os::unix::fs::FileTypeExt;

    #[test]
    fn something_else_in_the_doorbells_place_is_set_aside() {
        let scratch = Scratch::new("doorbell");
        let folder = Folder::create(scratch.path()).expect("made");
        fs::write(folder.rings().join("doorbell"), "x").expect("written");
        Doorbell::ring_once(&folder);
        let found = fs::symlink_metadata(folder.rings().join("doorbell")).expect("made").file_type();
        assert!(found.is_fifo(), "{found:?}");
        let aside = open::list(&folder.rings()).expect("listed").into_iter();
        assert_eq!(aside.filter(|name| name.to_string_lossy().starts_with("doorbell.aside-")).count(), 1, "kept");
    }
}
