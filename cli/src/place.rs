//! Where logs and rings are, as commands name it.

use clap::Args;
use lastwords::{Error, Result};
use lastwords_ring::place::environment::is_obeyed;
use lastwords_ring::place::folder::Folder;
use std::env;
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::PathBuf;

/// Where the logs are.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// Log folder [default: LASTWORDS_DIR, else the first of LOGS_DIRECTORY, else <temp dir>/<app>/logs]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) dir: Option<PathBuf>,
    /// Application whose default folder is meant.
    #[arg(long, default_value = "lastwords")]
    pub(crate) app: String,
}

impl Place {
    /// Where a program with only these settings would log.
    pub(crate) fn path(&self) -> Result<PathBuf> {
        match &self.dir {
            Some(path) => Ok(path.clone()),
            None => lastwords::builder("worker").app(self.app.as_str()).log_folder(),
        }
    }
}

/// A variable that is not empty. None is obeyed if the caller has fewer rights than this program.
pub(crate) fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty() && is_obeyed())
}

/// Where the rings are.
#[derive(Debug, Args)]
pub(crate) struct Rings {
    /// Folder of the rings, if the processes keep them elsewhere [default: LASTWORDS_RINGS, else as recorded in the log folder]
    #[arg(long = "rings", value_name = "FOLDER")]
    path: Option<PathBuf>,
}

impl Rings {
    /// The log folder with its rings in the place that was named, which must exist.
    pub(crate) fn of(&self, folder: Folder) -> Result<Folder> {
        match self.named() {
            Some(path) => folder.with_existing_rings(&path),
            None => folder.with_noted_rings(),
        }
    }

    /// Like [`Rings::of`], for a folder that is only read, whoever the rings belong to.
    pub(crate) fn to_read(&self, folder: Folder) -> Result<Folder> {
        match self.named() {
            Some(path) => folder.with_rings_to_read(&path),
            None => folder.with_noted_rings(),
        }
    }

    /// Like [`Rings::of`], but created if missing.
    pub(crate) fn created_for(&self, folder: Folder) -> Result<Folder> {
        match self.named() {
            Some(path) => folder.with_rings(&path),
            None => folder.with_noted_rings(),
        }
    }

    pub(crate) fn named(&self) -> Option<PathBuf> {
        self.path.clone().or_else(|| variable("LASTWORDS_RINGS").map(PathBuf::from))
    }
}

/// A log folder that may also be named without an option.
#[derive(Debug, Args)]
pub(crate) struct Logs {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    rings: Rings,
    /// The log folder; alias of --dir.
    #[arg(conflicts_with = "dir")]
    folder: Option<PathBuf>,
}

impl Logs {
    /// Where the folder is to be.
    pub(crate) fn path(&self) -> Result<PathBuf> {
        self.folder.clone().map_or_else(|| self.place.path(), Ok)
    }

    /// The folder, if it was named.
    pub(crate) fn named(&self) -> Option<PathBuf> {
        self.folder.clone().or_else(|| self.place.dir.clone())
    }

    /// The application whose default folder is meant.
    pub(crate) fn app(&self) -> &str {
        &self.place.app
    }

    /// Where the rings are, if that was named.
    pub(crate) fn rings_path(&self) -> Option<PathBuf> {
        self.rings.named()
    }

    /// The folder, which must exist.
    pub(crate) fn open(&self) -> Result<Folder> {
        self.rings.of(Folder::open(&self.path()?).map_err(explained)?)
    }
}

/// The error of a log folder that cannot be opened, with what to do about it.
pub(crate) fn explained(error: Error) -> Error {
    let Error::Io { doing, path, source } = error else { return error };
    let kind = source.kind();
    let source = match kind {
        ErrorKind::NotFound => {
            io::Error::new(kind, "there is no such folder; name the one that programs log to (--dir, LASTWORDS_DIR)")
        }
        ErrorKind::NotADirectory => {
            io::Error::new(kind, "it is not a folder; name the one that programs log to (--dir, LASTWORDS_DIR)")
        }
        ErrorKind::PermissionDenied => {
            io::Error::new(kind, format!("{source}; run this as the user whose the log folder is"))
        }
        _ => source,
    };
    Error::Io { doing, path, source }
}
