//! The files that a crashed process ran, opened and checked.
//!
//! A capture names them, and a capture may say anything. What is opened is a regular file, found to be one before it is opened;
//! it is the one that was mapped, by the build id that was noted in memory or else by device and inode; and only who flushes as
//! the user of the crashed process opens any: another user could not be made to read what is not theirs. The build id counts
//! before device and inode, because btrfs and overlayfs show other numbers in `/proc/self/maps` than to stat(2).

use crate::crash::budget::Budget;
use crate::crash::cfi::Tables;
use crate::crash::elf::{Elf, Source};
use crate::crash::loaded::{LoadedModules, Module, VDSO};
use lastwords_ring::format::capture::Capture;
use lastwords_ring::format::text::hex;
use lastwords_ring::place::open;
use rustix::fs::FileType;
use std::cell::OnceCell;
use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What the kernel appends to the path of a file that has no name any more.
const DELETED: &[u8] = b" (deleted)";

/// Why a file is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unusable {
    /// Whoever flushes is another user.
    Foreign,
    /// It was removed while the process ran.
    Removed,
    /// It cannot be opened: this is why.
    Unreadable(String),
    /// It is not a regular file.
    NotAFile,
    /// It is no program.
    NotElf,
    /// It has another build id by now.
    Replaced {
        /// That of the file that was mapped.
        mapped: Vec<u8>,
        /// That of the file that is there.
        found: Vec<u8>,
    },
    /// It has no build id, and is another file than the one that was mapped.
    AnotherFile,
    /// It has no build id, and it is not known any more which file was mapped.
    Unidentified,
    /// The report has taken too much already.
    TooMuch,
    /// A process that was to read it has failed.
    LeftAlone,
}

/// What a log has room for comes first, up to a colon.
impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unusable::Foreign => f.write_str("another user's: not opened, because the flusher belongs to another one"),
            Unusable::Removed => f.write_str("removed: while the process ran"),
            Unusable::Unreadable(why) => write!(f, "unreadable: {why}"),
            Unusable::NotAFile => f.write_str("no file: not a regular one any more"),
            Unusable::NotElf => f.write_str("no program: none for x86-64, or a damaged one"),
            Unusable::Replaced { mapped, found } if found.is_empty() => {
                write!(f, "replaced: build id {} was mapped, the file there has none", hex(mapped))
            }
            Unusable::Replaced { mapped, found } => {
                write!(f, "replaced: build id {} was mapped, the file there has {}", hex(mapped), hex(found))
            }
            Unusable::AnotherFile => f.write_str("replaced: another file has its name, and none has a build id"),
            Unusable::Unidentified => {
                f.write_str("unidentified: it has no build id, and its inode is not known any more")
            }
            Unusable::TooMuch => f.write_str("not opened: the report has taken too much already"),
            Unusable::LeftAlone => f.write_str("not read: the process that was to read it has failed"),
        }
    }
}

/// Opens the file of a module.
///
/// # Errors
/// If it is not the one that was mapped, or no program.
pub(crate) fn open(module: &Module, budget: &Budget) -> Result<Elf, Unusable> {
    if !budget.open() {
        return Err(Unusable::TooMuch);
    }
    if module.path.ends_with(DELETED) {
        return Err(Unusable::Removed);
    }
    let file = open_file(Path::new(OsStr::from_bytes(&module.path)))?;
    let found = file.metadata().map_err(|error| Unusable::Unreadable(error.to_string()))?;
    let elf = Elf::parse(Source::File(file), budget.clone());
    let elf = elf.ok_or(if budget.is_over() { Unusable::TooMuch } else { Unusable::NotElf })?;
    let build_id = elf.build_id().unwrap_or_default();
    if module.build_id.is_empty() && module.inode == 0 {
        return Err(Unusable::Unidentified);
    }
    if module.build_id.is_empty() {
        let is_mapped = (found.dev(), found.ino()) == (module.device, module.inode);
        return if is_mapped { Ok(elf) } else { Err(Unusable::AnotherFile) };
    }
    if module.build_id != build_id {
        return Err(Unusable::Replaced { mapped: module.build_id.clone(), found: build_id.to_vec() });
    }
    Ok(elf)
}

/// Opens a regular file, and nothing that only opening would set off: a device, or a FIFO that somebody waits at.
pub(crate) fn open_file(path: &Path) -> Result<File, Unusable> {
    let unreadable = |error: std::io::Error| Unusable::Unreadable(error.to_string());
    let found = open::look(path).map_err(unreadable)?;
    if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
        return Err(Unusable::NotAFile);
    }
    open::to_read(path).map(File::from).map_err(unreadable)
}

/// Whether the files of a process are opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Files {
    /// They are: whoever flushes is the user of the process.
    Opened,
    /// They are not, because it is another user.
    #[default]
    Foreign,
    /// They are not, because a process that was to read them has failed.
    LeftAlone,
}

/// A file that is used.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) elf: Elf,
    tables: OnceCell<Tables>,
}

impl Opened {
    fn new(elf: Elf) -> Opened {
        Opened { elf, tables: OnceCell::new() }
    }

    pub(crate) fn tables(&self) -> &Tables {
        self.tables.get_or_init(|| Tables::read(&self.elf))
    }
}

/// The modules of a capture, each opened when it is first needed.
#[derive(Debug)]
pub(crate) struct Modules {
    pub(crate) loaded: LoadedModules,
    opened: Vec<OnceCell<Result<Opened, Unusable>>>,
    vdso: Vec<u8>,
    files: Files,
    budget: Budget,
}

impl Modules {
    pub(crate) fn of(capture: &Capture, files: Files, budget: &Budget) -> Modules {
        let loaded = LoadedModules::of(capture);
        let opened = loaded.modules.iter().map(|_| OnceCell::new()).collect();
        Modules { loaded, opened, vdso: capture.vdso.1.clone(), files, budget: budget.clone() }
    }

    /// The file of a module.
    pub(crate) fn opened(&self, number: usize) -> Result<&Opened, &Unusable> {
        let module = &self.loaded.modules[number];
        let open = || match self.files {
            _ if module.path == VDSO => {
                Elf::parse(Source::Bytes(self.vdso.clone()), self.budget.clone()).ok_or(Unusable::NotElf)
            }
            Files::Opened => open(module, &self.budget),
            Files::Foreign => Err(Unusable::Foreign),
            Files::LeftAlone => Err(Unusable::LeftAlone),
        };
        self.opened[number].get_or_init(|| open().map(Opened::new)).as_ref()
    }

    /// The file that the code at an address is from, and how far it is from where it was linked for.
    pub(crate) fn at(&self, address: u64) -> Option<(&Opened, u64)> {
        let code = self.loaded.code_at(address)?;
        let opened = self.opened(code.module?).ok()?;
        Some((opened, code.start.wrapping_sub(opened.elf.code_address(code.offset)?)))
    }

    /// Whether it is code.
    pub(crate) fn is_code(&self, address: u64) -> bool {
        self.loaded.code_at(address).is_some()
    }

    /// Bytes of code, as the file has them.
    pub(crate) fn code(&self, address: u64, length: u64) -> Option<Vec<u8>> {
        let (opened, bias) = self.at(address)?;
        opened.elf.at(address.wrapping_sub(bias), length)
    }

    /// All modules as they turned out to be: the first address exactly, where the file is known, and why one was not used.
    pub(crate) fn into_list(self) -> Vec<Module> {
        let Modules { loaded: LoadedModules { mut modules, code }, opened, .. } = self;
        for (number, (module, opened)) in modules.iter_mut().zip(opened).enumerate() {
            match opened.into_inner() {
                Some(Ok(Opened { elf, .. })) => {
                    let code = code.iter().find(|code| code.module == Some(number));
                    let bias = code.and_then(|code| Some(code.start.wrapping_sub(elf.code_address(code.offset)?)));
                    module.base = bias.map_or(module.base, |bias| bias.wrapping_add(elf.lowest()));
                }
                Some(Err(why)) => module.unusable = Some(why.to_string()),
                None => {}
            }
        }
        modules
    }
}
