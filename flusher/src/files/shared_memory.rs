//! Rings in shared memory that cannot be seen from here: of containers whose `/dev/shm` is their own, or of processes that a
//! reboot has ended. The file that represents such a ring holds a copy of its header, and its process keeps that file locked
//! and mapped like the ring.

use lastwords_ring::error::{Error, Result};
use lastwords_ring::mutant::{self, Mutant};
use lastwords_ring::place::folder::Folder;
use lastwords_ring::read::liveness::{Evidence, Verdict, Watch, is_locked};
use lastwords_ring::read::reader::{RingReader, open_file};
use std::os::unix::fs::MetadataExt;

/// The contents of the file that represents a ring whose memory is not here.
#[derive(Debug)]
pub(crate) struct UnseenRing {
    /// A reader that sees a header and nothing else; None where there is none.
    pub(crate) reader: Option<RingReader>,
    /// Whether its process may live.
    pub(crate) verdict: Verdict,
}

impl UnseenRing {
    /// Inspects the file of this name; None if it is gone.
    ///
    /// # Errors
    /// As open(2), pread(2) and flock(2).
    pub(crate) fn look(folder: &Folder, name: &str) -> Result<Option<UnseenRing>> {
        let path = folder.rings().join(name);
        let file = match open_file(&path) {
            Err(error) if error.is_not_found() => return Ok(None),
            opened => opened?,
        };
        let inode = file.metadata().map_err(Error::io("inspect", &path))?.ino();
        let held = is_locked(&file).map_err(Error::io("inspect the lock of", &path))?;
        match RingReader::new(file, &path) {
            Ok(reader) => {
                let evidence = Evidence::collect(reader.source(), inode, reader.process());
                let verdict = evidence.map_err(Error::io("inspect the lock of", &path))?.verdict();
                let verdict = if mutant::is(Mutant::UnseenGone) { Verdict::Dead } else { verdict };
                Ok(Some(UnseenRing { reader: Some(reader), verdict }))
            }
            // Its owner cannot be determined.
            Err(Error::NotARing { .. }) => {
                let verdict = if held { Verdict::Unseen } else { Verdict::Perhaps };
                Ok(Some(UnseenRing { reader: None, verdict }))
            }
            Err(error) => Err(error),
        }
    }
}

/// Such a ring as the drain remembers it between two checks.
#[derive(Debug)]
pub(crate) struct Remembered {
    /// Name of the file that represents it.
    pub(crate) name: String,
    /// The two checks after which its process is considered gone.
    pub(crate) watch: Watch,
}
