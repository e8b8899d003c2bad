//! Rings in shared memory that cannot be seen from here.

use super::Drain;
use crate::files::notices;
use crate::files::redo;
use crate::files::shared_memory::{Remembered, UnseenRing};
use lastwords_ring::error::Result;
use lastwords_ring::place::folder::SHM_ENDING;
use lastwords_ring::read::liveness::{Verdict, Watch};
use std::time::Instant;

impl Drain {
    /// A ring's name without the ring. A file that is gone has no name either, so it is shared memory: if its process is gone,
    /// it was removed or lost with a reboot; else it is where this flusher cannot see it, and a flusher that can drains it.
    pub(super) fn look_at_unseen(&mut self, name: &str, now: Instant) -> Result<()> {
        if !name.ends_with(SHM_ENDING) {
            return Ok(());
        }
        let found = match UnseenRing::look(&self.folder, name) {
            Ok(found) => found,
            Err(error) => {
                self.refuse(name.to_owned(), &error);
                return Ok(());
            }
        };
        let number = self.unseen.iter().position(|known| known.name == name).unwrap_or_else(|| {
            self.unseen.push(Remembered { name: name.to_owned(), watch: Watch::default() });
            self.unseen.len() - 1
        });
        let Some(found) = found else {
            self.unseen.remove(number);
            return Ok(());
        };
        if matches!(self.unseen[number].watch.settle(found.verdict, now), Verdict::Dead | Verdict::Exec) {
            self.unseen.remove(number);
            self.note(notices::memory_gone(name));
            redo::remove(&self.folder, name)?;
        }
        Ok(())
    }

    /// Whether a second check of such a ring is due.
    pub(super) fn is_unseen_undecided(&self) -> bool {
        self.unseen.iter().any(|known| known.watch.is_open())
    }
}
