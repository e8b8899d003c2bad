//! Read access to log and crash files for other users than the one who writes them.

use crate::error::{Error, Result};
use crate::format::layout::{RingHeader, file_flag};
use crate::mutant::{self, Mutant};
use crate::sys::user;
use rustix::fs::{Gid, Mode, fchmod, fchown};
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;

/// Permitted file modes: the owner writes, others read at most.
const MODES: [u16; 4] = [0o600, 0o640, 0o604, 0o644];

/// Default mode of the files.
pub const FILE_MODE_DEFAULT: u32 = 0o600;

/// Mode and group of log and crash files, if requested. Rings, which hold the same text, stay private.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Access {
    mode: Option<u16>,
    group: Option<u32>,
}

impl Access {
    /// The access that these settings request.
    ///
    /// # Errors
    /// [`Error::Setting`] for a mode by which others than the owner could write, or anybody execute, and for an unknown group.
    pub fn new(mode: Option<u32>, group: Option<&str>) -> Result<Access> {
        let of_number = |mode| u16::try_from(mode).ok().filter(|mode| MODES.contains(mode));
        let refused = |mode| format!("{mode:04o} found, expected 0600, 0640, 0604 or 0644");
        let mode =
            mode.map(|mode| of_number(mode).ok_or_else(|| Error::setting("file_mode", refused(mode)))).transpose()?;
        let unknown =
            |name: &str| format!("\"{}\" found, expected the name or number of a group", name.escape_default());
        let of_name = |name| user::group_id(name).ok_or_else(|| Error::setting("file_group", unknown(name)));
        Ok(Access { mode, group: group.map(of_name).transpose()? })
    }

    /// What a ring's header requests. An invalid mode is ignored.
    pub fn of_header(header: &RingHeader) -> Access {
        if mutant::is(Mutant::AccessForgotten) {
            return Access::default();
        }
        let has_group = header.file_flags & file_flag::GROUP != 0;
        Access {
            mode: Some(header.file_mode).filter(|mode| MODES.contains(mode)),
            group: has_group.then_some(header.file_group),
        }
    }

    /// Stores it in a ring's header.
    pub(crate) fn write(self, header: &mut RingHeader) {
        header.file_mode = self.mode.unwrap_or(0);
        header.file_flags = if self.group.is_some() { file_flag::GROUP } else { 0 };
        header.file_group = self.group.unwrap_or(0);
    }

    /// The group that files are to have.
    pub fn group(self) -> Option<u32> {
        self.group
    }

    /// Mode of a folder that makes these files reachable: users who may read them may list it.
    pub(crate) fn folder_mode(self) -> Mode {
        let mode = self.mode.unwrap_or(0o600);
        Mode::from_raw_mode(u32::from(0o700 | (mode & 0o044) | (mode & 0o044) >> 2))
    }

    /// Mode of the folders above that.
    pub(crate) fn way_mode(self) -> Mode {
        if self.folder_mode() == Mode::RWXU { Mode::RWXU } else { Mode::RWXU | Mode::XGRP | Mode::XOTH }
    }

    /// Gives a file the requested access. If the group cannot be set, the file stays as it is: another group must not read it.
    ///
    /// # Errors
    /// As fchown(2) and fchmod(2).
    pub fn give(self, file: &File) -> io::Result<()> {
        if self == Access::default() {
            return Ok(());
        }
        let found = file.metadata()?;
        if let Some(group) = self.group.filter(|group| *group != found.gid()) {
            fchown(file, None, Some(Gid::from_raw(group)))?;
        }
        match self.mode {
            Some(mode) if u32::from(mode) != found.mode() & 0o7777 => {
                Ok(fchmod(file, Mode::from_raw_mode(mode.into()))?)
            }
            _ => Ok(()),
        }
    }
}
