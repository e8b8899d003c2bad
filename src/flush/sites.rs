//! The call sites of a ring, read once each.

use crate::error::Result;
use crate::flush::template::Template;
use crate::reader::{RingReader, Source};
use rustc_hash::FxHashMap;

/// Call sites of one ring that are kept in memory. A program has fewer; a hostile ring may claim more.
const SITES_MAX: usize = 1 << 14;

/// What is known of a ring's call sites, by id.
#[derive(Debug, Default)]
pub struct Sites {
    /// None for an id that leads to no whole entry.
    known: FxHashMap<u32, Option<Template>>,
}

impl Sites {
    /// The call site with this id; None for 0, and where the table holds no such.
    ///
    /// # Errors
    /// As pread(2).
    #[inline]
    pub fn get<S: Source>(&mut self, reader: &RingReader<S>, id: u32) -> Result<Option<&Template>> {
        if id == 0 {
            return Ok(None);
        }
        if !self.known.contains_key(&id) {
            self.read(reader, id)?;
        }
        Ok(self.known.get(&id).and_then(Option::as_ref))
    }

    #[cold]
    fn read<S: Source>(&mut self, reader: &RingReader<S>, id: u32) -> Result<()> {
        if self.known.len() >= SITES_MAX {
            self.known.clear();
        }
        let site = reader.call_site(id)?;
        self.known.insert(id, site.and_then(Template::new));
        Ok(())
    }
}
