//! A process's own ring: created so that a visible one is always complete and locked.
//!
//! The file is created without a name, preallocated, given its header and its lock, and tested; only then is it linked into the
//! folder. A full disk is an error here instead of SIGBUS later, and no process ever sees half a ring.

use crate::place::access::Access;
use crate::format::anchor::Anchor;
use crate::format::checksum::{checksum, lane_key};
use crate::format::choice::ParseChoiceError;
use crate::place::clock::{self};
use crate::error::{Error, Result, lacks_room};
use crate::format::log_format::Format;
use crate::place::filter_change;
use crate::place::folder::{Folder, RING_ENDING, SHM_ENDING, SHM_FOLDER, shm_path};
use crate::format::full_policy::FullPolicy;
use crate::format::geometry::Geometry;
use crate::write::lane::Lane;
use crate::format::layout::{APP_MAX, Control, FORMAT_VERSION, LaneBlock, MAGIC, ROLE_MAX, RingHeader, closed, lane_kind, ring_flag};
use crate::format::directives::Directives;
use crate::format::file_settings::FileSettings;
use crate::format::filter::Filter;
use crate::place::descriptor::{Identity, Kept, Opened};
use crate::format::level::Level;
use crate::format::text::hex;
use crate::place::unnamed_file::Nameless;
use crate::place::open::{self, PRIVATE};
use crate::place::process::{ProcessId, ensure_boot_id};
use crate::place::reserve::{never_copy_on_write, reserve};
use crate::format::role::{ROLE_RULE, is_role};
use crate::atomics::{AtomicU64, Ordering};
use crate::sys::fsize;
use crate::sys::map::{KeptFile, RingMap};
use crate::write::call_sites::TableWriter;
use crate::write::room;
use crate::format::call_site::{CallSiteRef, LevelName};
use bytemuck::Zeroable;
use rustix::fs::{FlockOperation, Mode, OFlags};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

/// Attempts to create the smallest ring when there is no room, and the time between two.
const SMALLEST_TRIES: u32 = 10;
const SMALLEST_PAUSE: Duration = Duration::from_millis(1);

/// Settings of a new ring.
#[derive(Debug, Clone)]
pub struct RingSpec {
    /// Role: stem of the log file's name.
    pub role: String,
    /// Application name.
    pub app: String,
    /// Sizes.
    pub geometry: Geometry,
    /// The kind of memory.
    pub memory: Memory,
    /// What is recorded.
    pub filter: Filter,
    /// What a producer does when the ring is full.
    pub full: FullPolicy,
    /// Which files the records go to.
    pub format: Format,
    /// Size at which the log file is rotated, in bytes.
    pub rotate_size: u64,
    /// Rotated files kept.
    pub rotate_keep: u32,
    /// Further requests for the files.
    pub files: FileSettings,
    /// Milliseconds between two syncs requested from the flusher; 0 for none.
    pub sync_ms: u32,
    /// Crash files that are kept of the role; 0 for no crash files.
    pub crash_keep: u32,
    /// How many ring-only records an ERROR brings into the log file.
    pub context_on_error: u32,
    /// Bytes of backlog segments that the process may have at a time; 0 for none.
    pub backlog_max: u64,
    /// Who may read log and crash files.
    pub access: Access,
    /// The clocks when its making began: how fast the raw clock is shows in what passes until its header is made.
    pub began: Anchor,
}

impl RingSpec {
    /// A ring in a file that records everything, with no other requests.
    #[must_use]
    pub fn new(role: &str, geometry: Geometry) -> RingSpec {
        RingSpec {
            role: role.to_owned(),
            app: String::new(),
            geometry,
            memory: Memory::default(),
            filter: Level::TRACE.into(),
            full: FullPolicy::default(),
            format: Format::default(),
            rotate_size: 1 << 30,
            rotate_keep: 5,
            files: FileSettings::default(),
            sync_ms: 0,
            crash_keep: 0,
            context_on_error: 0,
            backlog_max: 0,
            access: Access::default(),
            began: clock::anchor(),
        }
    }

    /// Whether it records ring-only records. Then the last overflow lane is for those.
    #[must_use]
    pub fn records_ring_only(&self) -> bool {
        self.filter.ring_level != Level::OFF
    }
}

/// A ring mapped by the process that writes it.
#[derive(Debug)]
pub struct Ring {
    map: RingMap,
    path: PathBuf,
    entry: PathBuf,
    header: RingHeader,
    /// Words of the call-site table that are taken, where no other process can change them.
    table_used: AtomicU64,
    /// Identity of its file.
    identity: Identity,
    /// For a ring in shared memory: keeps the lock of the file that represents it.
    entry_lock: Option<&'static KeptFile>,
}

/// The kind of memory of a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Memory {
    /// A file in the rings folder: survives everything but the loss of the disk, up to the last writeback.
    #[default]
    File,
    /// Named shared memory: survives every process, not a reboot; costs no disk writes.
    Shared,
}

impl FromStr for Memory {
    type Err = ParseChoiceError;

    fn from_str(text: &str) -> Result<Memory, ParseChoiceError> {
        match text {
            "file" => Ok(Memory::File),
            "shared" => Ok(Memory::Shared),
            _ => Err(ParseChoiceError::new(text, "file or shared")),
        }
    }
}

impl Ring {
    /// Creates a ring in `folder` and maps it. If there is no room for it, or the file size limit (ulimit -f) does not allow
    /// it, it is made smaller, see [`Geometry::smaller`], instead of failing.
    ///
    /// # Errors
    /// [`Error::Setting`] for a role that is not a file name, [`Error::FileSizeLimit`] for a limit below the smallest ring,
    /// [`Error::Folder`] if the folder's file system does not keep the promises, [`Error::Io`] for everything else, for
    /// instance a full disk.
    pub fn create(folder: &Folder, spec: &RingSpec) -> Result<Ring> {
        let mut spec = spec.clone();
        let wanted = spec.geometry;
        let rings = folder.rings();
        // Shared memory is not in our folders.
        let _acting = open::acting_in(Some(&rings));
        let place = if spec.memory == Memory::Shared { Path::new(SHM_FOLDER) } else { &rings };
        spec.geometry = room::first(wanted, place)?;
        let mut tries = 0..SMALLEST_TRIES;
        loop {
            match fsize::without_signal(|| Ring::create_as(folder, &spec, spec.geometry != wanted)) {
                Err(error) if lacks_room(&error) => {
                    let Some(smaller) = spec.geometry.smaller() else {
                        // Concurrent attempts for larger rings may release their space.
                        if tries.next().is_none() {
                            return Err(error);
                        }
                        std::thread::sleep(SMALLEST_PAUSE);
                        continue;
                    };
                    spec.geometry = room::share(smaller, place);
                }
                made => return made,
            }
        }
    }

    fn create_as(folder: &Folder, spec: &RingSpec, is_smaller: bool) -> Result<Ring> {
        ensure_boot_id()?;
        let header = make_header(spec, is_smaller)?;
        // The file is closed at the end: its mapping keeps the lock, and the descriptor could be confused with other code's.
        let (ring, file) = match spec.memory {
            Memory::File => Ring::create_file(folder, spec, header),
            Memory::Shared => Ring::create_shared(folder, spec, header),
        }?;
        // The ring first, then the names that lead to it: no name is on the disk without what it names.
        let synced = || {
            file.file().and_then(File::sync_all).map_err(Error::io("sync the ring", &ring.path))?;
            folder.sync()
        };
        match if spec.sync_ms > 0 { synced() } else { Ok(()) } {
            Ok(()) => Ok(ring),
            Err(error) => {
                ring.discard();
                Err(error)
            }
        }
    }

    /// Removes a ring that was never written to, with its memory.
    pub fn discard(self) {
        for path in [&self.path, &self.entry] {
            let _ = open::remove(path);
        }
        self.map.let_go();
    }

    /// Releases a ring whose logger was closed: nothing logged from here on is recorded, and the flusher removes it when it is
    /// drained.
    pub fn leave(&self) {
        self.block(0).left.store(1, Ordering::Release);
        self.map.let_go();
        self.turn_off();
        self.entry_lock.inspect(|lock| lock.let_go());
    }

    /// Stops all recording in this process.
    pub fn turn_off(&self) {
        self.control().level.store(u32::MAX, Ordering::SeqCst);
    }

    /// Whether a log call is writing to it right now.
    pub fn is_in_use(&self) -> bool {
        let is_open = |block: &LaneBlock| block.reserved.load(Ordering::Acquire) > block.head.load(Ordering::Acquire);
        (0..self.geometry().lanes()).any(|lane| is_open(self.block(lane)))
    }

    /// Whether its name still leads to it, or that is unknown.
    pub fn is_there(&self) -> bool {
        open::identity(&self.path).map_or(true, |found| found == Some(self.identity))
    }

    fn create_file(folder: &Folder, spec: &RingSpec, header: RingHeader) -> Result<(Ring, Kept)> {
        let name = format!("{}{RING_ENDING}", stem(&spec.role, &header));
        let rings = folder.rings();
        let nameless = Nameless::create(&rings, &name)?;
        let file = nameless.file().map_err(Error::io("inspect the ring in", &rings))?;
        never_copy_on_write(file);
        let header = seal(header, file, &rings)?;
        let map = fill(file, spec, &header, &rings, |file| RingMap::new(file, spec.geometry))?;
        let file = nameless.publish().inspect_err(|_| map.let_go())?;
        let (path, entry) = (rings.join(&name), rings.join(&name));
        Ok(Ring::of(file, map, path, entry, header, None))
    }

    fn of(
        file: Kept,
        map: RingMap,
        path: PathBuf,
        entry: PathBuf,
        header: RingHeader,
        entry_lock: Option<&'static KeptFile>,
    ) -> (Ring, Kept) {
        (Ring { map, path, entry, header, table_used: AtomicU64::new(0), identity: file.identity(), entry_lock }, file)
    }

    /// The memory is complete and locked before the file that represents it has its name.
    fn create_shared(folder: &Folder, spec: &RingSpec, header: RingHeader) -> Result<(Ring, Kept)> {
        let (stem, shm) = (stem(&spec.role, &header), Path::new(SHM_FOLDER));
        let path = shm_path(&stem);
        // For forked children of a process that has changed its root by then.
        let _ = open::hold(Path::new(SHM_FOLDER));
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let file = open::file(&path, flags, PRIVATE).map_err(Error::io("make shared memory at", &path))?;
        let file = Kept::new(file).map_err(Error::io("inspect the shared memory at", &path))?;
        let made = (|| {
            let memory = file.file().map_err(Error::io("inspect the shared memory at", &path))?;
            let header = seal(header, memory, shm)?;
            let map = fill(memory, spec, &header, shm, |file| RingMap::new(file, spec.geometry))?;
            let entry = name_memory(folder, &format!("{stem}{SHM_ENDING}"), &header)?;
            Ok((map, entry, header))
        })();
        match made {
            Ok((map, (entry, lock), header)) => Ok(Ring::of(file, map, path, entry, header, Some(lock))),
            Err(error) => {
                let _ = open::remove(&path);
                Err(error)
            }
        }
    }

    /// Its entry in the folder.
    #[must_use]
    pub fn entry(&self) -> &Path {
        &self.entry
    }

    /// The header as written.
    #[must_use]
    pub fn header(&self) -> &RingHeader {
        &self.header
    }

    /// The ring's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Sizes.
    #[must_use]
    pub fn geometry(&self) -> Geometry {
        self.map.geometry()
    }

    /// The control page.
    #[must_use]
    pub fn control(&self) -> &'static Control {
        self.map.control()
    }

    /// The call-site table.
    #[must_use]
    pub fn table(&self) -> TableWriter<'static> {
        TableWriter::new(self.map.table(), &self.control().table_used)
    }

    /// Writes a call site into the table; None if it is full.
    pub fn register(&self, site: &CallSiteRef<'_>) -> Option<u32> {
        self.append(|table| table.register(site))
    }

    /// Writes a custom level name into the table. If that is full, the level keeps its present name.
    pub fn name_level(&self, level: Level, name: &str) {
        let newest = &self.control().level_names;
        loop {
            let previous = newest.load(Ordering::Relaxed);
            let entry = LevelName { previous: u32::try_from(previous).unwrap_or(0), level, name: name.to_owned() };
            let Some(id) = self.append(|table| table.name_level(&entry)) else { return };
            // TABLE:B, pairs with the store of a later record's commit word, LANE:D: a visible record implies a visible name,
            // and with it the entry. If another thread was faster, this entry stays unused.
            if newest.compare_exchange(previous, id.into(), Ordering::Release, Ordering::Relaxed).is_ok() {
                return;
            }
        }
    }

    /// Writes into the table. After a hole was punched into the ring the table must not start again, because ids in use would
    /// then mean something else.
    fn append(&self, write: impl FnOnce(&TableWriter<'_>) -> Option<u32>) -> Option<u32> {
        let used = &self.control().table_used;
        used.fetch_max(self.table_used.load(Ordering::Relaxed), Ordering::Relaxed);
        let id = write(&self.table());
        self.table_used.fetch_max(used.load(Ordering::Relaxed), Ordering::Relaxed);
        id
    }

    /// Makes a truncation of the ring's file end the ring instead of the process.
    pub fn guard(&mut self) {
        self.map.guard();
    }

    /// Whether a part of the ring is gone, so that what is stored there reaches no file.
    pub fn is_hit(&self) -> bool {
        self.map.is_hit()
    }

    /// The block of lane number `lane`.
    #[must_use]
    pub fn block(&self, lane: usize) -> &'static LaneBlock {
        self.map.block(lane)
    }

    /// Faults in the slots of lane number `lane`, so that log calls do not. Kernels before 5.14 cannot; then the first calls do.
    pub fn prefault(&self, lane: usize) {
        self.map.prefault(lane);
    }

    /// The producer's end of lane number `lane`, to be created once.
    #[must_use]
    pub fn lane(&self, lane: usize) -> Lane<'static> {
        let key = lane_key(&self.header.uuid, lane as u32);
        Lane::new(self.block(lane), self.map.slots(lane), self.geometry().record_size() / 8, key)
    }

    /// Notes in the ring how the process leaves it.
    pub fn close(&self, how: u32, signal: u32) {
        self.control().closed_signal.store(signal, Ordering::Relaxed);
        self.control().closed.store(how, Ordering::Release);
    }

    /// Notes that a signal arrived that ends the process normally. Loads and stores of atomics only.
    pub fn mark_signal(&self, signal: u32) {
        let control = self.control();
        if control.closed.load(Ordering::Relaxed) == closed::OPEN {
            control.closed_signal.store(signal, Ordering::Relaxed);
            let _ = control.closed.compare_exchange(closed::OPEN, closed::SIGNAL, Ordering::Release, Ordering::Relaxed);
        }
    }

    /// Withdraws that mark, because the process lives on.
    pub fn unmark_signal(&self, signal: u32) {
        let control = self.control();
        if control.closed_signal.load(Ordering::Relaxed) == signal {
            let _ = control.closed.compare_exchange(closed::SIGNAL, closed::OPEN, Ordering::Release, Ordering::Relaxed);
        }
        self.unmark_fatal(signal);
    }

    /// Withdraws an ordinary [`Ring::close`].
    pub fn reopen(&self) {
        let closed = &self.control().closed;
        let _ = closed.compare_exchange(closed::EXIT, closed::OPEN, Ordering::Release, Ordering::Relaxed);
    }

    /// Changes what is recorded, from now on.
    ///
    /// # Errors
    /// [`Error::Setting`] for directives that are too long, [`Error::Io`] as pwrite(2).
    pub fn set_filter(&self, filter: &Filter) -> Result<()> {
        self.change_filter(|| filter.clone())
    }

    /// Changes what is written to the log files, from now on. The ring-only level stays.
    ///
    /// # Errors
    /// As [`Ring::set_filter`].
    pub fn set_directives(&self, directives: Directives) -> Result<()> {
        self.change_filter(|| Filter { directives, ring_level: Filter::load(self.control()).ring_level })
    }

    fn change_filter(&self, filter: impl FnOnce() -> Filter) -> Result<()> {
        let file = self.open_again()?;
        fsize::without_signal(|| filter_change::change(filter, &file, self.geometry(), &self.path))
    }

    /// Opens its file. No descriptor of it is kept.
    fn open_again(&self) -> Result<Opened> {
        let file = open::file(&self.path, OFlags::RDWR, Mode::empty()).map_err(Error::io("open the ring", &self.path))?;
        if Identity::behind(&file).map_err(Error::io("inspect the ring", &self.path))? != self.identity {
            let why = io::Error::other("another file has taken its name");
            return Err(Error::io("open the ring", &self.path)(why));
        }
        Ok(file)
    }

    /// Notes that a fatal signal arrived while the ring is open. Loads and stores of atomics only.
    pub fn mark_fatal(&self, signal: u32) {
        let control = self.control();
        if control.closed.load(Ordering::Relaxed) == closed::OPEN {
            control.closed_signal.store(signal, Ordering::Relaxed);
        }
    }

    /// Withdraws that mark, because the program survived the signal.
    pub fn unmark_fatal(&self, signal: u32) {
        let word = &self.control().closed_signal;
        let _ = word.compare_exchange(signal, 0, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Whether the address is in its memory.
    pub fn holds(&self, address: usize) -> bool {
        let geometry = self.geometry();
        let start = std::ptr::from_ref(self.control()) as usize - geometry.control_offset() as usize;
        (start..start + geometry.file_size() as usize).contains(&address)
    }

    /// Syncs its file to the disk.
    pub fn sync(&self) -> Result<()> {
        self.open_again()?.sync_data().map_err(Error::io("sync the ring", &self.path))
    }
}

/// Stem of the ring's name. The UUID distinguishes containers that share a folder and have equal pids.
fn stem(role: &str, header: &RingHeader) -> String {
    format!("{role}-{}-{}", header.pid, hex(&header.uuid))
}

fn make_header(spec: &RingSpec, is_smaller: bool) -> Result<RingHeader> {
    if !is_role(&spec.role) {
        return Err(Error::setting("role", format!("\"{}\" found, expected {ROLE_RULE}", spec.role.escape_default())));
    }
    let process = ProcessId::current();
    let mut header = RingHeader {
        magic: MAGIC,
        version: FORMAT_VERSION,
        header_size: size_of::<RingHeader>() as u32,
        record_size: spec.geometry.record_size() as u32,
        slots_per_lane: spec.geometry.slots() as u32,
        lanes: spec.geometry.lanes() as u32,
        overflow_lanes: spec.geometry.overflow_lanes() as u32,
        table_size: spec.geometry.table_size() as u32,
        clock_kind: clock::kind(),
        uuid: random_uuid()?,
        boot_id: process.boot_id,
        pid: process.pid,
        uid: rustix::process::geteuid().as_raw(),
        pid_namespace: process.pid_namespace,
        start_time: process.start_time,
        time_namespace: process.time_namespace.to_le_bytes(),
        created_ns: clock::realtime_ns(),
        tick_hz: clock::hz_since(&spec.began),
        rotate_size: spec.rotate_size,
        rotate_keep: spec.rotate_keep,
        flags: spec.format.flags()
            | if is_smaller { ring_flag::SMALLER } else { 0 },
        full_policy: spec.full as u32,
        sync_ms: spec.sync_ms,
        crash_keep: spec.crash_keep + 1,
        context_on_error: spec.context_on_error,
        backlog_kib: u32::try_from(spec.backlog_max.div_ceil(1024)).unwrap_or(u32::MAX),
        role_length: spec.role.len() as u16,
        app_length: spec.app.len().min(APP_MAX) as u16,
        role: [0; ROLE_MAX],
        app: [0; APP_MAX],
        ..RingHeader::zeroed()
    };
    spec.access.write(&mut header);
    header.role[..spec.role.len()].copy_from_slice(spec.role.as_bytes());
    let app = &spec.app.as_bytes()[..usize::from(header.app_length)];
    header.app[..app.len()].copy_from_slice(app);
    Ok(header)
}

/// The header of the ring that will be in `file`.
fn seal(header: RingHeader, file: &File, place: &Path) -> Result<RingHeader> {
    let inode = file.metadata().map_err(Error::io("inspect the ring in", place))?.ino();
    let mut header = RingHeader { inode, ..header };
    let end = std::mem::offset_of!(RingHeader, checksum);
    header.checksum = checksum(&bytemuck::bytes_of(&header)[..end]);
    Ok(header)
}

/// Creates the file that represents shared memory: a copy of the ring's header, locked like the ring, so that a flusher that
/// cannot see the memory can tell whether its process may live.
fn name_memory(folder: &Folder, name: &str, header: &RingHeader) -> Result<(PathBuf, &'static KeptFile)> {
    let entry = folder.rings().join(name);
    let failed = Error::io("name the shared memory by", &entry);
    let nameless = Nameless::create(&folder.rings(), name)?;
    let kept = (|| {
        nameless.file()?.write_all_at(bytemuck::bytes_of(header), 0)?;
        rustix::fs::flock(nameless.file()?, FlockOperation::NonBlockingLockExclusive)?;
        KeptFile::new(nameless.file()?)
    })();
    let kept = kept.map_err(failed)?;
    nameless.publish()?;
    // The mapping keeps the lock; the descriptor is not needed any more.
    Ok((entry, kept.leak()))
}

fn random_uuid() -> Result<[u8; 16]> {
    let mut uuid = [0u8; 16];
    let got = rustix::rand::getrandom(&mut uuid, rustix::rand::GetRandomFlags::empty());
    match got {
        Ok(16) => Ok(uuid),
        Ok(_) => Err(Error::io("get random bytes from", "getrandom")(io::ErrorKind::UnexpectedEof.into())),
        Err(error) => Err(Error::io("get random bytes from", "getrandom")(error.into())),
    }
}

fn fill(
    file: &File,
    spec: &RingSpec,
    header: &RingHeader,
    rings: &Path,
    map: impl FnOnce(&File) -> io::Result<RingMap>,
) -> Result<RingMap> {
    let size = spec.geometry.file_size();
    reserve(file, size)
        .and_then(|()| room::leave_for_others(file, spec.geometry, header))
        .map_err(Error::io("reserve space for the ring in", rings))?;
    file.write_all_at(bytemuck::bytes_of(header), 0).map_err(Error::io("write the ring's header in", rings))?;
    rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive)
        .map_err(|error| Error::io("lock the ring in", rings)(error.into()))?;
    let map = map(file).map_err(Error::io("map the ring in", rings))?;
    match fill_in(file, &map, spec, rings) {
        Ok(()) => Ok(map),
        Err(error) => {
            map.let_go();
            Err(error)
        }
    }
}

fn fill_in(file: &File, map: &RingMap, spec: &RingSpec, rings: &Path) -> Result<()> {
    let control = map.control();
    filter_change::change(|| spec.filter.clone(), file, spec.geometry, rings)?;
    let anchor = clock::anchor();
    for (cell, word) in anchor_cells(control).into_iter().zip(anchor.words()) {
        cell.store(word, Ordering::Relaxed);
    }
    control.newest_anchor.store(anchor.ticks, Ordering::Relaxed);
    let command = std::fs::read("/proc/self/cmdline").unwrap_or_default();
    let folder = std::env::current_dir().map(|path| path.into_os_string().into_vec()).unwrap_or_default();
    TableWriter::new(map.table(), &control.table_used).describe_process(
        command,
        &spec.filter,
        folder,
        &spec.files,
    );
    let lanes = spec.geometry.lanes();
    for lane in lanes - spec.geometry.overflow_lanes()..lanes {
        let ring_only = spec.records_ring_only() && lane == lanes - 1;
        let kind = if ring_only { lane_kind::RING_ONLY } else { lane_kind::OVERFLOW };
        map.block(lane).kind.store(kind, Ordering::Relaxed);
    }
    test_promises(file, map, rings)
}

fn anchor_cells(control: &Control) -> [&AtomicU64; 4] {
    let cell = &control.anchors[0];
    [&cell.ticks, &cell.boottime_ns, &cell.realtime_ns, &cell.guard]
}

/// The basis of every guarantee, tested on this very file: a store is seen by pread, and two descriptions of one file exclude
/// each other's locks. Some network file systems do neither.
fn test_promises(file: &File, map: &RingMap, rings: &Path) -> Result<()> {
    const MARK: u64 = 0x1a57_0d5e_1f7e_57ed;
    let word = &map.block(0).reserved;
    word.store(MARK, Ordering::SeqCst);
    let mut seen = [0u8; 8];
    let read = file.read_exact_at(&mut seen, map.geometry().block_offset(0));
    word.store(0, Ordering::SeqCst);
    read.map_err(Error::io("read back the ring in", rings))?;
    let place = "put the rings on a local disk or in memory, for instance /dev/shm";
    if u64::from_le_bytes(seen) != MARK {
        return Err(Error::folder(rings, format!("what is stored there is not seen by a read; {place}")));
    }
    let again = open::own_link(file);
    // The one link that is followed: it leads back to the same file.
    if let Ok(other) = File::open(again) {
        let lock = rustix::fs::flock(&other, FlockOperation::NonBlockingLockShared);
        if lock.is_ok() {
            return Err(Error::folder(rings, format!("file locks do not exclude each other there; {place}")));
        }
    }
    Ok(())
}
