//! A logger's settings: builder, environment, defaults.

use crate::config::flusher_role::Flusher;
use crate::config::settings::{self, Settings};
use lastwords_ring::error::{Error, Result};
use lastwords_ring::format::columns::Columns;
use lastwords_ring::format::compress::Compress;
use lastwords_ring::format::directives::Directives;
use lastwords_ring::format::filter::Filter;
use lastwords_ring::format::full_policy::FullPolicy;
use lastwords_ring::format::level::Level;
use lastwords_ring::format::log_format::Format;
use lastwords_ring::format::role::{ROLE_RULE, is_role};
use lastwords_ring::format::rotate_every::RotateEvery;
use lastwords_ring::format::text_layout::TimeDigits;
use lastwords_ring::place::access::Access;
use lastwords_ring::place::environment::variable;
use lastwords_ring::place::folder::{Folder, Trust, default_path, service_path, temporary_path};
use lastwords_ring::place::kept_level::KeptLevel;
use lastwords_ring::place::stderr::complain;
use lastwords_ring::write::ring::Memory;
use std::env;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Generates the methods that take one setting each.
macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident($given:ident: $type:ty) = $value:expr;)*) => {$(
        $(#[$doc])*
        pub fn $name(mut self, $given: $type) -> Builder {
            self.settings.$name = Some($value);
            self
        }
    )*};
}

/// Settings of a process's logger, on their way to [`Builder::init`].
///
/// Each setting has one name: of the method here, of the key in a configuration file, and, after `LASTWORDS_` and in capitals,
/// of an environment variable. Precedence: the builder, then the environment, then the TOML file that `LASTWORDS_CONFIG` names
/// (the table `[role.<role>]` before the rest of it), then the default.
///
/// ```
/// let folder = std::env::temp_dir().join(format!("lastwords-doc-builder-{}", std::process::id()));
/// lastwords::builder("worker").dir(&folder).level(lastwords::Level::DEBUG).init()?;
/// lastwords::debug!("loaded {} plugins", 3);
/// lastwords::flush()?;
/// assert!(std::fs::read_to_string(folder.join("worker.log"))?.contains("[DEBUG] loaded 3 plugins"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until init"]
pub struct Builder {
    pub(crate) role: String,
    pub(crate) settings: Settings,
    /// All settings as of the creation of the process's own logger, for comparison by a second `init`.
    whole: Option<Arc<Settings>>,
    /// The folder already keeps the requested zone: a forked child's logger does not set it again.
    pub(crate) zone_is_kept: bool,
    /// Whether the level kept by `lastwords level --keep` applies.
    pub(crate) heeds_kept: bool,
}

impl Builder {
    /// Defaults for this role.
    pub fn new(role: impl Into<String>) -> Builder {
        Builder { role: role.into(), settings: Settings::default(), whole: None, zone_is_kept: false, heeds_kept: true }
    }

    setters! {
        /// Application name; default is the program's file name. It names the default folder.
        app(app: impl Into<String>) = app.into();

        /// Log folder; default is `LASTWORDS_DIR`, the configuration file, the first folder of systemd's `LOGS_DIRECTORY`, else
        /// `<temp dir>/<app>/logs`.
        dir(folder: impl AsRef<Path>) = folder.as_ref().to_owned();

        /// What is written to the log files, as directives like `info,hyper=warn`, see [`Directives`]; default is
        /// `LASTWORDS_LOG`, else `info`.
        log(directives: impl Into<String>) = directives.into();

        /// Ring-only records: those from this level on are kept in the ring even if they are not written to a log file. When
        /// the process dies without closing its log they are in its crash file. They cost only the call, and the oldest are
        /// overwritten. Default is `LASTWORDS_RING_LEVEL`, else none but what is written.
        ring_level(level: Level) = level;

        /// Bytes of a slot: 128, 256 or 512. A record whose text exceeds the slot less 48 bytes takes several slots.
        record_size(bytes: u32) = bytes;

        /// Slots of a lane, a power of two from 8 to 65536. A message may take a quarter of them.
        slots_per_lane(slots: u32) = slots;

        /// Lanes: threads that log without sharing, plus two overflow lanes for all further ones. With [`Builder::ring_level`] a
        /// thread takes a second lane at its first ring-only record, as long as at most half of the lanes are for those, and
        /// one more overflow lane is for them.
        lanes(lanes: u32) = lanes;

        /// What a log call does if its lane is full.
        full_policy(policy: FullPolicy) = policy;

        /// Bytes of undrained records that the process may keep on disk when lanes are full; default 64 MiB, about 500,000
        /// short records, and with [`Builder::memory`] shared the size of the ring, because there they are memory. 0 to keep
        /// nothing. The files, `rings/….backlog`, are removed when they are drained, at the latest with the ring.
        ///
        /// So up to this size a flusher that is stopped, or too slow, costs no record. If roles have different values, a ring
        /// stops keeping once all rings of the process together have as much as it may.
        ///
        /// ```
        /// let folder = std::env::temp_dir().join(format!("lastwords-doc-backlog-{}", std::process::id()));
        /// // Nobody flushes yet, and a lane of 64 records is full soon.
        /// let never = lastwords::Flusher::Never;
        /// lastwords::builder("worker").dir(&folder).flusher(never).slots_per_lane(64).backlog_max(1 << 20).init()?;
        /// (0..1000).for_each(|n| lastwords::info!("line {n}"));
        /// # let rings = std::fs::read_dir(folder.join("rings"))?.flatten();
        /// # assert!(rings.map(|entry| entry.path()).any(|path| path.extension().is_some_and(|ending| ending == "backlog")));
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        backlog_max(bytes: u64) = bytes;

        /// Whether this process also prints its records on standard error, from a thread of its own. Default false.
        console(console: bool) = console;

        /// For development: the console shows records of every level, whatever is written to the files. Default false.
        console_all_levels(all: bool) = all;

        /// Whether this process may be the flusher.
        flusher(flusher: Flusher) = flusher;

        /// The kind of the ring's memory. Default is a file in the rings folder.
        memory(memory: Memory) = memory;

        /// Folder of the rings, a tmpfs for instance; default is `LASTWORDS_RINGS`, else `rings` in the log folder. All
        /// processes that share a log folder, and its tools, must name the same.
        rings(folder: impl AsRef<Path>) = folder.as_ref().to_owned();

        /// Whether the rings may be on FUSE. Default false, because FUSE may hide a network file system shared by several
        /// machines, where stores and locks are not reliable. Enable it for a local one such as bindfs.
        allow_fuse(allow: bool) = allow;

        /// Whether the process survives a SIGBUS in its own ring. Default true. A ring is a mapped file, and a store into it
        /// raises SIGBUS if that file was truncated, or if a copy-on-write file system (btrfs) finds no room on a full disk.
        ///
        /// A SIGBUS handler replaces each missing page by a private page of zeros. What is logged there reaches no file; the
        /// process reports that once on standard error, the flusher in the log, and `flush` returns an error. SIGBUS for any
        /// other reason goes to the previous handler, so a program that installs a handler of its own does so before `init`, or
        /// passes on faults that are not its own. With false, the signal kills the process; its records up to then are safe as
        /// always.
        sigbus_guard(guard: bool) = guard;

        /// Zone of the times in all files of the log folder: a name (`Europe/Berlin`), `UTC`, or an offset (`+02:00`). The
        /// folder keeps it, whichever process flushes; of processes that set different ones, the one that started last decides.
        /// Default is the zone that the folder keeps, else that of this process.
        ///
        /// ```
        /// let folder = std::env::temp_dir().join(format!("lastwords-doc-zone-{}", std::process::id()));
        /// let error = lastwords::builder("worker").dir(&folder).time_zone("+25:00").init().expect_err("no such offset");
        /// assert!(error.to_string().starts_with("time_zone: \"+25:00\" found, expected a time zone as in Europe/Berlin"));
        /// lastwords::builder("worker").dir(&folder).time_zone("+02:00").init()?;
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        time_zone(zone: impl Into<String>) = zone.into();

        /// Which files the records go to: `<role>.log`, `<role>.jsonl` or both. Default is `LASTWORDS_FORMAT` (`text`, `json`
        /// or `both`), else text. For a role the newest ring's value applies; files of the other form stay as they are.
        ///
        /// ```
        /// use lastwords::Format;
        /// let folder = std::env::temp_dir().join(format!("lastwords-doc-format-{}", std::process::id()));
        /// lastwords::builder("host").dir(&folder).format(Format::Both).init()?;
        /// lastwords::warning!("slow frame"; camera = 3, ms = 41.5);
        /// lastwords::flush()?;
        /// let json = std::fs::read_to_string(folder.join("host.jsonl"))?;
        /// assert!(json.contains(r#""message":"slow frame","fields":{"camera":3,"ms":41.5}"#));
        /// assert!(std::fs::read_to_string(folder.join("host.log"))?.ends_with("[WARNING] slow frame camera=3 ms=41.5\n"));
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        format(format: Format) = format;

        /// What a line of `<role>.log` says besides time, pid and level: any of thread, target and place in the source, behind the
        /// pid in brackets of their own, by which no message can be taken for one. Default is `LASTWORDS_COLUMNS`
        /// (`thread,target,place`), else [`Columns::NONE`]. For a role the newest ring's value applies; lines of another layout
        /// begin a new file. Consoles and JSON lines, which have all of it, are as ever.
        ///
        /// ```
        /// use lastwords::Columns;
        /// let folder = std::env::temp_dir().join(format!("lastwords-doc-columns-{}", std::process::id()));
        /// lastwords::builder("host").dir(&folder).columns(Columns::THREAD | Columns::TARGET).init()?;
        /// let camera = std::thread::Builder::new().name("camera".into());
        /// let logs = || lastwords::warning!(target: "app::core", "slow frame");
        /// camera.spawn(logs)?.join().expect("no panic");
        /// lastwords::flush()?;
        /// assert!(std::fs::read_to_string(folder.join("host.log"))?.ends_with("] (camera) <app::core> [WARNING] slow frame\n"));
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        columns(columns: Columns) = columns;

        /// Digits of the second that a line of `<role>.log` has. Default is `LASTWORDS_TIME_DIGITS` (`3`, `6` or `9`), else three.
        /// For a role the newest ring's value applies; lines of another layout begin a new file.
        time_digits(digits: TimeDigits) = digits;

        /// Whether the time of a line of `<role>.log` is followed by its offset from UTC, as in `05:55:47.606+02:00`. Default is
        /// `LASTWORDS_TIME_OFFSET`, else false. For a role the newest ring's value applies; lines of another layout begin a new
        /// file.
        ///
        /// ```
        /// use lastwords::TimeDigits;
        /// let folder = std::env::temp_dir().join(format!("lastwords-doc-offset-{}", std::process::id()));
        /// let log = lastwords::builder("host").dir(&folder).time_digits(TimeDigits::Six).time_offset(true).open()?;
        /// lastwords::info!(logger: log, "starting up");
        /// log.flush()?;
        /// let text = std::fs::read_to_string(folder.join("host.log"))?;
        /// assert_eq!(text.find(" ["), Some("2025-10-19 05:55:47.606123+02:00".len()));
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        time_offset(shown: bool) = shown;

        /// Size in bytes at which the log file is rotated, at least 4096; default 10 MiB. For a role the newest ring's value
        /// applies.
        rotate_size(bytes: u64) = bytes;

        /// Rotated files kept, 1 to 100; default 5.
        rotate_keep(files: u32) = files;

        /// Rotates the log file before the first line of each hour or day of the log folder's time zone, besides
        /// [`Builder::rotate_size`]. A day is that of the calendar, also where daylight saving makes it longer or shorter. The file of
        /// a program that logs nothing for a while is rotated when it logs again. Default never. For a role the newest ring's
        /// value applies.
        ///
        /// ```
        /// use lastwords::RotateEvery;
        /// # let folder = std::env::temp_dir().join(format!("lastwords-doc-every-{}", std::process::id()));
        /// # std::fs::create_dir_all(&folder)?;
        /// # std::fs::write(folder.join("host.log"), "2026-11-24 13:37:02.606 [7] [INFO] an earlier day\n")?;
        /// // A file with lines of an earlier day is there.
        /// let log = lastwords::builder("host").dir(&folder).rotate_every(RotateEvery::Day).open()?;
        /// lastwords::info!(logger: log, "a new day");
        /// log.flush()?;
        /// assert!(std::fs::read_to_string(folder.join("host.log.1"))?.ends_with("an earlier day\n"));
        /// assert!(std::fs::read_to_string(folder.join("host.log"))?.ends_with("[INFO] a new day\n"));
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        rotate_every(every: RotateEvery) = every;

        /// Compresses files once they are rotated, beside draining: `host.log.1` becomes `host.log.1.zst`, which `zstdcat` shows.
        /// Default never. Needs the Cargo feature `zstd` in the program that flushes, which `lastwords flush` has; a program that
        /// flushes itself and lacks it is refused. For a role the newest ring's value applies.
        compress(compress: Compress) = compress;

        /// Most bytes of all log files of this role together, the current ones and those of every format included; 0, the
        /// default, for no limit. At least [`Builder::rotate_size`], for each of the formats. When there are more, the oldest
        /// rotated files are removed. Of this, [`Builder::rotate_keep`] and [`Builder::keep_for`] the strictest counts. For a
        /// role the newest ring's value applies; where it is less than before, the surplus goes at once. While lines are written
        /// there may be one [`Builder::rotate_size`] more.
        ///
        /// ```
        /// let folder = std::env::temp_dir().join(format!("lastwords-doc-total-{}", std::process::id()));
        /// let builder = lastwords::builder("worker").dir(&folder).rotate_size(4096).rotate_keep(100).keep_total(16 << 10);
        /// let log = builder.open()?;
        /// (0..2000).for_each(|n| lastwords::info!(logger: log, "line {n}"));
        /// log.flush()?;
        /// let files = std::fs::read_dir(&folder)?.flatten().filter(|entry| entry.file_name() != "rings");
        /// assert!(files.map(|entry| entry.metadata().map_or(0, |found| found.len())).sum::<u64>() <= 21 << 10);
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        keep_total(bytes: u64) = bytes;

        /// How long after its last line a rotated file is kept, in whole seconds; zero, the default, for no limit. The current
        /// file stays, however old it is. For a role the newest ring's value applies.
        keep_for(age: Duration) = age;

        /// Makes the flusher sync everything to the disk this often, in whole milliseconds up to an hour, as long as anything
        /// is logged; zero for never. Then a power loss or a kernel crash loses at most what was logged within this time, plus
        /// the time until it is drained, plus that of one sync. Default is `LASTWORDS_DURABLE`, a number of milliseconds, else
        /// never: records survive the death of any process without it. The shortest time of all rings of a folder applies to
        /// the whole folder.
        durable(every: Duration) = every;

        /// Crash files that are kept of this role, up to 10,000; the oldest are removed. 0 for no crash files. Default 20.
        ///
        /// A crash file, `<role>-<pid>-<UTC time>.crash.log`, is written when a process dies without closing its log. It
        /// contains all that the ring still holds, of every level. For a role the dead process's own ring decides.
        crash_files(files: u32) = files;

        /// Most bytes of this role's crash files together; 0 for no limit. Default 256 MiB. When there are more, the earliest
        /// are removed, but neither the newest nor, as long as there is room for it, the first of deaths that follow each other
        /// within ten minutes. For a role the dead process's own ring decides.
        crash_total(bytes: u64) = bytes;

        /// Whether a fatal signal leaves registers, stack and mappings of its thread for the crash file. Default true. It takes
        /// a file of 256 KiB beside the ring, and less than a millisecond at the crash; the program's own handlers, its exit
        /// status and its core dump are as without it.
        crash_capture(capture: bool) = capture;

        /// Bytes of the stack that a fatal signal leaves of its thread, 4096 to 131,072; default 65,536. Of a longer stack the
        /// outermost 8 KiB come besides, or as many bytes as this where that is less. 0 for no memory of the program's at all:
        /// registers and mappings only, of which the log shows the innermost frame. Only with [`Builder::crash_capture`].
        ///
        /// ```
        /// let folder = std::env::temp_dir().join(format!("lastwords-doc-stack-{}", std::process::id()));
        /// let error = lastwords::builder("worker").dir(&folder).crash_stack(100).init().expect_err("too little");
        /// assert_eq!(error.to_string(), "crash_stack: 100 found, expected 0 or 4096 to 131072");
        /// lastwords::builder("worker").dir(&folder).crash_stack(16 << 10).init()?;
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        crash_stack(bytes: u32) = bytes;

        /// Whether a fatal signal that is about to end the process also leaves the stacks of its other threads, up to 64. Default
        /// false. Each of them is stopped for that by a real-time signal that the program does not use, and stays so until the
        /// process has ended, 200 ms later at most; threads that block all signals are not. The file beside the ring takes
        /// 1.8 MiB then. Only with [`Builder::crash_capture`].
        crash_threads(threads: bool) = threads;

        /// Makes a record of level ERROR or above bring the last so many ring-only records of this process into the log file,
        /// above its own line; at most 10,000. Only with [`Builder::ring_level`]. Default 0.
        context_on_error(records: u32) = records;

        /// Mode of log and crash files: 0o600 (default), 0o640, 0o604 or 0o644. For a role the newest ring's value applies. A
        /// log folder that this process creates can be traversed and listed by users who may read the files (0750 for 0640); an
        /// existing one stays as it is. Rings, which hold the same text, are private to this user.
        ///
        /// ```
        /// use std::os::unix::fs::PermissionsExt;
        /// # let folder = std::env::temp_dir().join(format!("lastwords-doc-mode-{}", std::process::id()));
        /// let audit = lastwords::builder("audit").dir(&folder).file_mode(0o640).open()?;
        /// lastwords::info!(logger: audit, "user {} logged in", "ada");
        /// audit.flush()?;
        /// assert_eq!(folder.join("audit.log").metadata()?.permissions().mode() & 0o777, 0o640);
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        file_mode(mode: u32) = mode;

        /// Group of log and crash files, by name or number; default is that of the process, or of a folder with the
        /// set-group-id bit. The user must be in the group. If not, give the folder to the group instead, once, as root: `chgrp
        /// adm logs; chmod g+s logs`.
        file_group(group: impl Into<String>) = group.into();

        /// Whether the log folder may belong to another user if it is meant for a group of this process's: the group may write
        /// there, new files get it (mode 2770 or 2775, or it is the process's own group), and no other user may write. Still
        /// only one user writes there, the owner of the rings in it. Default false.
        group_folder(group: bool) = group;

        /// Whether records of the `log` facade go to this logger; default true. False leaves the facade free, for instance for
        /// `tracing_log::LogTracer`, which forwards them to the `tracing` layer. Only for [`Builder::init`].
        log_facade(take: bool) = take;

        /// Whether a panic is recorded, at CRITICAL and with target `panic`: its message, place and thread, and the backtrace
        /// that `RUST_BACKTRACE` requests. The previous hook runs after that. Default true. Only for [`Builder::init`].
        ///
        /// ```
        /// let folder = std::env::temp_dir().join(format!("lastwords-doc-panic-{}", std::process::id()));
        /// lastwords::builder("worker").dir(&folder).init()?;
        /// let thread = std::thread::Builder::new().name("camera".to_owned()).spawn(|| panic!("no frame"))?;
        /// assert!(thread.join().is_err());
        /// lastwords::flush()?;
        /// let text = std::fs::read_to_string(folder.join("worker.log"))?;
        /// assert!(text.contains("[CRITICAL] thread 'camera' panicked at ") && text.contains(": no frame\n"));
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        panic_hook(record: bool) = record;
    }

    /// Records below this level are not written to the log files: [`Builder::log`] with a level alone.
    pub fn level(self, level: Level) -> Builder {
        self.log(Directives::from(level).to_string())
    }

    /// The directives for this role: those kept by `lastwords level --keep`, else from the builder, the environment, the
    /// configuration file or the default.
    ///
    /// # Errors
    /// [`Error::Setting`] for an invalid value, anywhere.
    pub fn directives(self) -> Result<Directives> {
        Ok(self.filter_at_start()?.directives)
    }

    /// The finest level that its ring records, from the same sources; [`Level::OFF`] if none but what is written.
    ///
    /// # Errors
    /// As [`Builder::directives`].
    pub fn effective_ring_level(self) -> Result<Level> {
        Ok(self.filter_at_start()?.ring_level)
    }

    fn filter_at_start(self) -> Result<Filter> {
        let builder = self.resolve()?;
        let filter = builder.filter()?;
        // A kept level that cannot be read is reported when there is a log.
        Ok(builder.kept_level().map_or_else(|| filter.clone(), |kept| kept.over(&filter)))
    }

    /// The role's kept level, in the folder as of now.
    fn kept_level(&self) -> Option<KeptLevel> {
        if !self.heeds_kept || !is_role(&self.role) {
            return None;
        }
        let folder = Folder::open(&self.folder_path()).ok()?;
        let folder = match &self.settings.rings {
            Some(rings) => folder.with_existing_rings(rings).ok()?,
            None => folder,
        };
        KeptLevel::read(&folder, &self.role).ok().flatten()
    }

    /// Ignores the level kept by `lastwords level --keep`, for the tool itself, which logs it for the role.
    #[doc(hidden)]
    pub fn unkept(self) -> Builder {
        Builder { heeds_kept: false, ..self }
    }

    /// Where the log files will be, according to the builder, else the environment, the configuration file or the default.
    /// Nothing is created.
    ///
    /// # Errors
    /// As [`Builder::directives`].
    pub fn log_folder(self) -> Result<PathBuf> {
        Ok(self.resolve()?.folder_path())
    }

    /// A setting by its name, with its value as text, as in an environment variable of that name.
    ///
    /// # Errors
    /// [`Error::Setting`] for an unknown name, with the probable intended one, or an invalid value.
    ///
    /// ```
    /// let builder = lastwords::builder("worker").set("rotate_size", "1048576")?;
    /// let error = builder.set("rotate_kep", "3").expect_err("no such setting");
    /// assert_eq!(error.to_string(), "rotate_kep: unknown setting; did you mean \"rotate_keep\"?");
    /// # Ok::<(), lastwords::Error>(())
    /// ```
    #[cfg(feature = "config")]
    pub fn set(mut self, name: &str, value: &str) -> Result<Builder> {
        let refused = |why| Error::setting(name.to_owned(), why);
        if self.settings.set(name, value).map_err(refused)? {
            return Ok(self);
        }
        Err(refused(format!("unknown setting; {}", crate::config::file::suggest(name))))
    }

    /// With a note of all settings, for comparison by a second `init`.
    pub(crate) fn noting_all(self) -> Result<Builder> {
        Ok(Builder { whole: Some(Arc::new(self.whole()?)), ..self })
    }

    /// All settings, with the defaults, each in one form.
    fn whole(&self) -> Result<Settings> {
        let filter = self.filter()?;
        let (console, _) = self.console_shows();
        let dir = self.folder_path();
        let rings = self.settings.rings.clone().unwrap_or_else(|| dir.join("rings"));
        let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
        let mut settings = self.settings.clone();
        settings.app = Some(self.app_name());
        settings.dir = Some(absolute(dir));
        settings.rings = Some(absolute(rings));
        settings.log = Some(filter.directives.to_string());
        settings.ring_level = Some(filter.ring_level);
        settings.console = Some(console);
        Ok(settings.or_defaults())
    }

    /// An error if a second `init` requests something that the first one was not given; `first` has its settings.
    pub(crate) fn refuse_second(&self, first: &Builder) -> Result<()> {
        let made = "was initialised";
        if self.role != first.role {
            let [asked, has] = [&self.role, &first.role].map(|role| format!("{role:?}"));
            return Err(Error::SettingDiffers { name: "role", asked, has, made });
        }
        match self.whole.as_ref().zip(first.whole.as_ref()) {
            Some((asked, has)) => asked.with_folders_of(has).refuse_difference(has, made),
            None => Ok(()),
        }
    }

    /// Fills in what the builder was not given from the environment and the configuration file.
    pub(crate) fn resolve(self) -> Result<Builder> {
        settings::name_unknown_variables();
        let settings = self.settings.or(Settings::from_environment()?);
        #[cfg(not(feature = "config"))]
        if variable("LASTWORDS_CONFIG").is_some() {
            let why = unbuilt("no file is read", "config", "unset it");
            return Err(Error::setting("LASTWORDS_CONFIG", why));
        }
        #[cfg(feature = "config")]
        let settings = settings.or(crate::config::file::settings(&self.role)?);
        Ok(Builder { settings, ..self })
    }

    pub(crate) fn flushes(&self) -> bool {
        cfg!(feature = "flusher") && self.settings.flusher.unwrap_or_default() == Flusher::Embedded
    }

    pub(crate) fn takes_facade(&self) -> bool {
        self.settings.log_facade.unwrap_or(true)
    }

    /// Whether there is a console, and whether it shows records that are not written to a file.
    pub(crate) fn console_shows(&self) -> (bool, bool) {
        let all_levels = self.settings.console_all_levels.unwrap_or(false);
        (all_levels || self.settings.console.unwrap_or(false), all_levels)
    }

    pub(crate) fn app_name(&self) -> String {
        let program = || {
            let path = env::current_exe().ok()?;
            Some(path.file_stem()?.to_string_lossy().into_owned())
        };
        self.settings.app.clone().or_else(program).unwrap_or_else(|| "lastwords".to_owned())
    }

    pub(crate) fn folder_path(&self) -> PathBuf {
        self.settings.dir.clone().unwrap_or_else(|| default_path(&self.app_name()))
    }

    /// Makes the folder keep its zone, and notes that zone's name.
    pub(crate) fn keep_zone(&mut self, folder: &Folder) -> Result<()> {
        let asked = self.settings.time_zone.as_deref().filter(|_| !self.zone_is_kept);
        let kept = folder.keep_zone(asked).map_err(|why| self.refused("time_zone", why))?;
        (self.settings.time_zone, self.zone_is_kept) = (Some(kept), true);
        Ok(())
    }

    /// Creates the folder, with its rings in the requested place.
    pub(crate) fn make_folder(&self, access: Access) -> Result<Folder> {
        let folder = self.make_log_folder(access)?;
        folder.check_access(access)?;
        let folder = match &self.settings.rings {
            Some(rings) => folder.with_rings(rings)?,
            None => folder,
        };
        folder.refuse_network(self.settings.allow_fuse.unwrap_or(false))?;
        if let Err(error) = folder.note_rings() {
            complain(format_args!("{error}; tools need --rings {}", folder.rings().display()));
        }
        Ok(folder)
    }

    /// Creates the folder. If the default one cannot be trusted, one with the user's id in its name replaces it.
    fn make_log_folder(&self, access: Access) -> Result<Folder> {
        if let Some(path) = self.settings.dir.clone().or_else(service_path) {
            let for_group = self.settings.group_folder.unwrap_or(false);
            return Folder::make_for(&path, if for_group { Trust::Group } else { Trust::Own }, access);
        }
        Folder::make_default(&temporary_path(&self.app_name()), access).or_else(|error| {
            let uid = rustix::process::geteuid().as_raw();
            let own = temporary_path(&format!("{}-{uid}", self.app_name()));
            let folder = Folder::make_default(&own, access)?;
            complain(format_args!("{error}; logging to {} instead", own.display()));
            Ok(folder)
        })
    }

    /// The error of a setting, by the name of the variable or of the key in a file that it comes from.
    pub(super) fn refused(&self, name: &'static str, why: impl std::fmt::Display) -> Error {
        Error::setting(self.settings.origin(name), why)
    }

    pub(super) fn filter(&self) -> Result<Filter> {
        let directives = match &self.settings.log {
            Some(text) => text.parse().map_err(|error| self.refused("log", error))?,
            None => Directives::from(Level::INFO),
        };
        let (_, all_levels) = self.console_shows();
        let ring_level = self.settings.ring_level.unwrap_or(if all_levels { Level::TRACE } else { Level::OFF });
        Ok(Filter { directives, ring_level })
    }
}

/// Why a setting has no effect: this program was built without the feature.
#[cfg(not(all(feature = "flusher", feature = "config")))]
pub(super) fn unbuilt(found: &str, feature: &str, instead: &str) -> String {
    format!(
        "{found} in a program that is built without the feature \"{feature}\" of lastwords (default-features = false); add it, or {instead}"
    )
}

/// A builder for `role`, which names the log files: `<role>.log`, `<role>.jsonl`.
pub fn builder(role: impl Into<String>) -> Builder {
    Builder::new(role)
}

/// The role in `LASTWORDS_ROLE`, if set.
///
/// # Errors
/// [`Error::Setting`], with the variable's name, if it is invalid.
pub fn role_from_env() -> Result<Option<String>> {
    const VARIABLE: &str = "LASTWORDS_ROLE";
    let Some(role) = variable(VARIABLE) else { return Ok(None) };
    match role.to_str().filter(|role| is_role(role)) {
        Some(role) => Ok(Some(role.to_owned())),
        None => Err(Error::setting(VARIABLE, format!("{role:?} found, expected {ROLE_RULE}"))),
    }
}
