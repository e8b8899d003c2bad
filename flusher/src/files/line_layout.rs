//! Whether lines belong to the next file because theirs are laid out in another way.
//!
//! A text file has one layout, so that whatever reads it by columns of text reads all of it alike. Where another one is requested,
//! the file is rotated before the first line of it. Nothing says which layout a file has but its lines: the first one counts, whose
//! head has a single reading (`render/line_head.rs`). A file that cannot be rotated goes on with both.

use crate::render::line_head::LineHead;
use lastwords_ring::format::text_layout::TextLayout;
use lastwords_ring::place::folder::Folder;
use lastwords_ring::place::open;
use std::io::Read;

/// First bytes of a file in which the head of its first record is looked for.
pub(crate) const HEAD_MAX: usize = 16 << 10;

/// The layout of a role's text file; the default one where no layout can be recognised.
#[must_use]
pub fn layout_of(folder: &Folder, role: &str) -> TextLayout {
    let mut begins = Vec::new();
    let read = open::to_read(&folder.log_file(role))
        .and_then(|file| file.file()?.take(HEAD_MAX as u64).read_to_end(&mut begins).map(drop));
    read.ok().and_then(|()| of(&begins)).unwrap_or_default()
}

fn of(begins: &[u8]) -> Option<TextLayout> {
    LineHead::parse(begins).and_then(|head| head.layout(begins))
}

/// The layout of the lines of a log file.
#[derive(Debug, Default)]
pub(crate) struct LineLayout {
    requested: TextLayout,
    /// That of the lines before those that are being made; None if there are none, or none whose layout is known.
    file: Option<TextLayout>,
}

impl LineLayout {
    /// The one in which lines are made.
    #[inline]
    pub(crate) fn requested(&self) -> TextLayout {
        self.requested
    }

    /// From here on lines are made in this one; `pending` says whether some of the one before wait for the file. Returns whether
    /// that is a change.
    pub(crate) fn request(&mut self, layout: TextLayout, pending: bool) -> bool {
        let before = std::mem::replace(&mut self.requested, layout);
        if pending && self.file.is_none() {
            self.file = Some(before);
        }
        before != layout
    }

    /// Whether the lines that are made belong to the next file.
    #[inline]
    pub(crate) fn is_due(&self) -> bool {
        self.file.is_some_and(|file| file != self.requested)
    }

    /// The file is another one, which begins with these bytes.
    pub(crate) fn open(&mut self, begins: &[u8]) {
        self.file = of(begins);
    }

    /// The lines that were made are in the file.
    pub(crate) fn write(&mut self) {
        self.file = self.file.or(Some(self.requested));
    }
}
