//! The call sites of a ring, read once each.

use crate::render::message::Template;
use lastwords_ring::error::Result;
use lastwords_ring::read::reader::{RingReader, Source};
use rustc_hash::FxHashMap;

/// Call sites of one ring that are kept in memory. A program has fewer; a hostile ring may claim more.
const SITES_MAX: usize = 1 << 14;

/// What is known of a ring's call sites.
#[derive(Debug, Default)]
pub struct Sites {
    /// Places in `templates`, by id.
    known: FxHashMap<u32, usize>,
    /// None for an id without a complete entry.
    templates: Vec<Option<Template>>,
    /// The last id that was asked for and its place: many records of one place follow each other.
    last: (u32, usize),
}

impl Sites {
    /// The call site with this id; None for 0 and for ids that the table does not have.
    ///
    /// # Errors
    /// As pread(2).
    #[inline]
    pub fn get<S: Source>(&mut self, reader: &RingReader<S>, id: u32) -> Result<Option<&Template>> {
        if id == 0 {
            return Ok(None);
        }
        if self.last.0 != id {
            self.last = (id, self.find(reader, id)?);
        }
        Ok(self.templates.get(self.last.1).and_then(Option::as_ref))
    }

    fn find<S: Source>(&mut self, reader: &RingReader<S>, id: u32) -> Result<usize> {
        if let Some(place) = self.known.get(&id) {
            return Ok(*place);
        }
        let template = reader.call_site(id)?.and_then(Template::new);
        if self.templates.len() >= SITES_MAX {
            self.known.clear();
            self.templates.clear();
        }
        self.templates.push(template);
        self.known.insert(id, self.templates.len() - 1);
        Ok(self.templates.len() - 1)
    }
}
