//! The log folder: where it is, what stands in it, and whether it can be trusted.
//!
//! ```text
//! <folder>/host.log, host.log.1 …     what people read
//! <folder>/host.jsonl, host.jsonl.1 … the same for programs, where that is wished for
//! <folder>/<role>-*.crash.log         what a process left that died without closing its log
//! <folder>/rings/*.ring, *.shm        one per process; .shm stands for a ring in shared memory
//! <folder>/rings/*.<number>.spill     beside a ring: a message too long for it
//! <folder>/rings/*.attached           beside a ring: its process's own notes for its crash file
//! <folder>/rings/journal.a, .b        the flusher's journal
//! <folder>/rings/flusher.lock         which process is the flusher
//! <folder>/rings/doorbell             a FIFO that wakes the flusher
//! ```

use crate::descriptor::above_standard;
use crate::error::{Error, Result};
use crate::mutant::{self, Mutant};
use crate::reader::is_role;
use rustix::fs::{CWD, FileType, Mode, OFlags};
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Name ending of log files whose lines are JSON.
pub const JSON_ENDING: &str = ".jsonl";
/// Name ending of ring files.
pub const RING_ENDING: &str = ".ring";

/// A log folder, checked: a real folder that belongs to this user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    path: PathBuf,
    rings: PathBuf,
}

/// Name ending of the files that stand for rings in shared memory.
pub const SHM_ENDING: &str = ".shm";
/// Longest file name.
const NAME_MAX: usize = 255;

/// Whether this is the name of a log file, as the journal has it: the role for its text, `<role>.jsonl` for its JSON. No
/// role has a dot.
#[must_use]
pub fn is_log_name(name: &str) -> bool {
    is_role(role_of(name))
}

/// The role whose log file has this name.
#[must_use]
pub fn role_of(name: &str) -> &str {
    name.strip_suffix(JSON_ENDING).unwrap_or(name)
}

/// Whether a file of this name is, or stands for, a ring; such a name stays within its folder.
#[must_use]
pub fn is_ring_name(name: &str) -> bool {
    let ends = name.ends_with(RING_ENDING) || name.ends_with(SHM_ENDING);
    ends && name.len() <= NAME_MAX && !name.contains(['/', '\0']) && !name.starts_with('.')
}

/// What the names of all files of a ring begin with; `entry` is the ring's own in its folder.
pub(crate) fn stem(entry: &Path) -> String {
    let name = entry.file_name().unwrap_or_default().to_string_lossy();
    let stem = name.strip_suffix(RING_ENDING).or_else(|| name.strip_suffix(SHM_ENDING));
    stem.unwrap_or(&name).to_owned()
}

/// Where named shared memory is.
pub(crate) const SHM_FOLDER: &str = "/dev/shm";

/// The shared memory of the ring with this stem.
pub(crate) fn shm_path(stem: &str) -> PathBuf {
    Path::new(SHM_FOLDER).join(format!("lastwords.{stem}"))
}

/// The folder used where none is named: `<temp dir>/<app>/logs`.
#[must_use]
pub fn default_path(app: &str) -> PathBuf {
    std::env::temp_dir().join(app).join("logs")
}

impl Folder {
    /// Makes the folder where it is missing, with mode 0700, and checks it.
    ///
    /// # Errors
    /// [`Error::Folder`] if it is a symbolic link, no folder, or somebody else's; [`Error::Io`] if it cannot be made.
    pub fn create(path: &Path) -> Result<Folder> {
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            make(parent)?;
        }
        make(path)?;
        check(path)?;
        let folder = Folder::open(path)?;
        make(&folder.rings)?;
        check(&folder.rings)?;
        refuse_network(&folder.rings)?;
        Ok(folder)
    }

    /// The same folder with its rings elsewhere, in memory for instance. All processes of the folder, and its tools,
    /// must name the same place.
    ///
    /// # Errors
    /// As [`Folder::create`].
    pub fn with_rings(self, rings: &Path) -> Result<Folder> {
        make(rings)?;
        check(rings)?;
        refuse_network(rings)?;
        let rings = std::path::absolute(rings).map_err(Error::io("find the folder", rings))?;
        Ok(Folder { rings, ..self })
    }

    /// The same for a folder below the temp dir, where anybody may have made the folder above it.
    ///
    /// # Errors
    /// As [`Folder::create`].
    pub fn create_default(path: &Path) -> Result<Folder> {
        if let Some(parent) = path.parent() {
            make(parent)?;
            check(parent)?;
        }
        Folder::create(path)
    }

    /// Takes an existing folder. The administrator may look at and drain those of others.
    ///
    /// # Errors
    /// As [`Folder::create`].
    pub fn open(path: &Path) -> Result<Folder> {
        if !rustix::process::geteuid().is_root() {
            check(path)?;
        } else if !fs::metadata(path).map_err(Error::io("look at the folder", path))?.is_dir() {
            return Err(Error::folder(path, "it is not a folder"));
        }
        let path = std::path::absolute(path).map_err(Error::io("find the folder", path))?;
        let rings = path.join("rings");
        Ok(Folder { path, rings })
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the rings are.
    #[must_use]
    pub fn rings(&self) -> PathBuf {
        self.rings.clone()
    }

    /// The log file of this name, see [`is_log_name`].
    #[must_use]
    pub fn log_file(&self, name: &str) -> PathBuf {
        self.path.join(if name.ends_with(JSON_ENDING) { name.to_owned() } else { format!("{name}.log") })
    }

    /// The flusher's lock file.
    #[must_use]
    pub fn lock_file(&self) -> PathBuf {
        self.rings().join("flusher.lock")
    }

    /// Opens the doorbell, made where it is missing: a FIFO that is read and written without waiting.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be made, [`Error::Folder`] if something else has its name.
    pub fn doorbell(&self) -> Result<File> {
        let path = self.rings().join("doorbell");
        match rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(Error::io("make the doorbell", path)(error.into())),
        }
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fd = above_standard(|| rustix::fs::open(&path, flags, Mode::empty()))
            .map_err(|error| Error::io("open the doorbell", &path)(error.into()))?;
        let file = File::from(fd);
        let metadata = file.metadata().map_err(Error::io("look at the doorbell", &path))?;
        if metadata.mode() & libc::S_IFMT != libc::S_IFIFO {
            return Err(Error::folder(&self.path, format!("{} is not a FIFO; remove it", path.display())));
        }
        Ok(file)
    }

    /// Wakes whoever flushes, if there is one.
    pub fn ring_doorbell(&self) {
        if let Ok(file) = self.doorbell() {
            ring_doorbell(&file);
        }
    }

    /// Makes the folder's names durable, those of the folders that lead to it too.
    ///
    /// # Errors
    /// [`Error::Io`] if one of its own two folders cannot be synced. Folders above may be somebody else's.
    pub(crate) fn sync(&self) -> Result<()> {
        sync_names(&self.rings)?;
        sync_names(&self.path)?;
        let above = self.rings.ancestors().skip(1).chain(self.path.ancestors().skip(1));
        above.for_each(|path| drop(sync_names(path)));
        Ok(())
    }

    /// Where the ring of this name is: in the folder, or in shared memory.
    #[must_use]
    pub fn ring_path(&self, name: &str) -> PathBuf {
        match name.strip_suffix(SHM_ENDING) {
            Some(stem) => shm_path(stem),
            None => self.rings().join(name),
        }
    }

    /// The ring whose name is this one's but for the ending. Both would have the same spill files and attachment,
    /// so the one in shared memory is no ring then: none of ours has a UUID twice.
    #[must_use]
    pub fn twin(&self, name: &str) -> Option<PathBuf> {
        let twin = self.rings().join(format!("{}{RING_ENDING}", name.strip_suffix(SHM_ENDING)?));
        (fs::symlink_metadata(&twin).is_ok() && !mutant::is(Mutant::TwinTrusted)).then_some(twin)
    }

    /// Paths of all rings, sorted by name. A folder without rings gives none.
    ///
    /// # Errors
    /// As readdir(3).
    pub fn ring_files(&self) -> Result<Vec<PathBuf>> {
        Ok(self.ring_names()?.iter().map(|name| self.ring_path(name)).collect())
    }

    /// Names of all rings, sorted: `….ring` for files, `….shm` for shared memory.
    ///
    /// # Errors
    /// As readdir(3).
    pub fn ring_names(&self) -> Result<Vec<String>> {
        let rings = self.rings();
        let entries = match fs::read_dir(&rings) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::io("list the rings in", rings)(error)),
        };
        let mut files = Vec::new();
        for entry in entries {
            let name = entry.map_err(Error::io("list the rings in", &rings))?.file_name();
            // Names of ours are ASCII; anything else is not a ring.
            files.extend(name.into_string().ok().filter(|name| is_ring_name(name)));
        }
        files.sort();
        Ok(files)
    }
}

/// Makes durable what was made, renamed and removed in the folder at `path`.
///
/// # Errors
/// [`Error::Io`] as fsync(2).
pub(crate) fn sync_names(path: &Path) -> Result<()> {
    if mutant::is(Mutant::FolderUnsynced) {
        return Ok(());
    }
    File::open(path).and_then(|folder| folder.sync_all()).map_err(Error::io("sync the folder", path))
}

/// Rings the doorbell behind `file`. A full FIFO is loud enough.
pub(crate) fn ring_doorbell(mut file: &File) {
    let _ = file.write(&[1]);
}

fn make(path: &Path) -> Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().mode(0o700).recursive(true).create(path).map_err(Error::io("make the folder", path))
        }
        other => other.map_err(Error::io("make the folder", path)),
    }
}

/// File systems on which stores, locks and renames of several machines meet: what is promised does not hold there.
const NETWORK: [(u64, &str); 11] = [
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB2"),
    (0x0102_1997, "9p"),
    (0x5346_414f, "AFS"),
    (0x7375_7245, "Coda"),
    (0x564c, "NCP"),
    (0x00c3_6400, "Ceph"),
    (0x0bd0_0bd0, "Lustre"),
    (0x4750_4653, "GPFS"),
];

fn network_name(magic: u64) -> Option<&'static str> {
    NETWORK.iter().find(|(known, _)| *known == magic & 0xffff_ffff).map(|(_, name)| *name)
}

fn refuse_network(path: &Path) -> Result<()> {
    let found = rustix::fs::statfs(path).map_err(|error| Error::io("look at the file system of", path)(error.into()))?;
    match network_name(found.f_type as u64) {
        None => Ok(()),
        Some(name) => Err(Error::folder(
            path,
            format!("it is on a network file system ({name}); put the rings on a local disk or in memory, the log files may stay"),
        )),
    }
}

fn check(path: &Path) -> Result<()> {
    let found = fs::symlink_metadata(path).map_err(Error::io("look at the folder", path))?;
    if found.file_type().is_symlink() {
        return Err(Error::folder(path, "it is a symbolic link; name the folder that it leads to"));
    }
    if !found.is_dir() {
        return Err(Error::folder(path, "it is not a folder"));
    }
    let me = rustix::process::geteuid().as_raw();
    if found.uid() != me {
        let why = format!("it belongs to user {}, this process runs as user {me}; name a folder of your own", found.uid());
        return Err(Error::folder(path, why));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("lastwords-folder-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        path
    }

    #[test]
    fn a_made_folder_is_private() {
        let path = scratch("private");
        let folder = Folder::create(&path.join("a/b")).expect("made");
        assert_eq!(fs::metadata(folder.rings()).expect("made").mode() & 0o777, 0o700);
        assert_eq!(folder.ring_names().expect("listed"), Vec::<String>::new());
        fs::remove_dir_all(path).expect("removed");
    }

    #[test]
    fn a_link_and_a_file_are_refused_with_the_reason() {
        let path = scratch("refused");
        fs::create_dir_all(&path).expect("made");
        std::os::unix::fs::symlink("/tmp", path.join("link")).expect("linked");
        fs::write(path.join("file"), "x").expect("written");
        let link = Folder::create(&path.join("link")).expect_err("a link").to_string();
        assert!(link.contains("symbolic link"), "{link}");
        let file = Folder::create(&path.join("file")).expect_err("a file").to_string();
        assert!(file.contains("not a folder"), "{file}");
        fs::remove_dir_all(path).expect("removed");
    }

    #[test]
    fn network_file_systems_are_known_by_their_numbers_and_local_ones_pass() {
        assert_eq!(network_name(0x6969), Some("NFS"));
        assert_eq!(network_name(0xffff_ffff_ff53_4d42), Some("CIFS"), "sign-extended");
        assert_eq!(network_name(0xef53), None, "ext4");
        assert!(refuse_network(&std::env::temp_dir()).is_ok());
    }

    #[test]
    fn a_log_name_is_a_role_or_its_json_and_leads_to_one_file_each() {
        let folder = Folder { path: "/x".into(), rings: "/x/rings".into() };
        for (name, file) in [("host", "/x/host.log"), ("host.jsonl", "/x/host.jsonl")] {
            assert!(is_log_name(name) && role_of(name) == "host");
            assert_eq!(folder.log_file(name), Path::new(file));
        }
        for name in ["host.log", "host.jsonl.1", ".jsonl", "../x.jsonl", "host.jsonl.jsonl"] {
            assert!(!is_log_name(name), "{name}");
        }
    }

    #[test]
    fn names_stay_within_the_folder() {
        assert!(is_ring_name("host-1-ab.ring") && is_ring_name("host-1-ab.shm"));
        for name in ["../x.ring", "a/b.ring", ".x.ring", "x.log", "x.attached", "", "a\0b.ring"] {
            assert!(!is_ring_name(name), "{name}");
        }
    }

    #[test]
    fn something_else_in_the_doorbells_place_is_refused() {
        let path = scratch("doorbell");
        let folder = Folder::create(&path).expect("made");
        fs::write(folder.rings().join("doorbell"), "x").expect("written");
        assert!(folder.doorbell().expect_err("a file").to_string().contains("not a FIFO"));
        fs::remove_dir_all(path).expect("removed");
    }
}
