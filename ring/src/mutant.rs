//! Seeded defects, so that the suite can be asked whether it would notice them. Test builds only.
//!
//! A test that has never failed proves nothing: the one that kills the flusher everywhere passes just as well if it checks the
//! wrong folder. So a build with `--cfg lastwords_mutants` has each defect below, at the place where a careless change would
//! make it, and the environment variable `LASTWORDS_MUTANT` selects one by name. `tests/mutants` runs, for each of them, the
//! test that must fail. In every other build [`is`] is the constant `false`, and nothing of this is left in the program. It is
//! not a feature, because features are for users, and any crate of a program can turn them on.

/// Makes the list, so that each defect has its name once.
macro_rules! mutants {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// A defect.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[allow(dead_code, reason = "builds without the flusher, and loom's, have fewer places")]
        pub enum Mutant {
            $($(#[$doc])* $variant,)*
        }

        #[cfg(lastwords_mutants)]
        const NAMES: &[(&str, Mutant)] = &[$(($name, Mutant::$variant)),*];
    };
}

mutants! {
    /// Closing a logger does not mark its ring.
    ClosedAsDead = "closed-as-dead",
    /// A close does not wait for calls in progress.
    CallsUnawaited = "calls-unawaited",
    /// A flusher does not check whether a ring's logger was closed.
    LeftUnseen = "left-unseen",
    /// The crash file that was just written is removed like any other.
    CrashFileLost = "crash-file-lost",
    /// A rotated file keeps the space that was reserved after its end.
    ReservedKept = "reserved-kept",
    /// The line about an earlier run precedes every ring that was found dead.
    AlwaysEarlier = "always-earlier",
    /// A temporary filter is never ended.
    FilterKept = "filter-kept",
    /// The level kept by `lastwords level --keep` is ignored.
    KeptLevelUnheeded = "kept-level-unheeded",
    /// A starting process reads the kept level and creates its ring without the lock.
    KeptLevelUnlocked = "kept-level-unlocked",
    /// A directive that has decided is not noted.
    MatchUnnoted = "match-unnoted",
    /// LANE:A comes after LANE:C.
    ReservedLate = "reserved-late",
    /// LANE:B is missing: the slot never becomes BUSY.
    NoBusy = "no-busy",
    /// LANE:C is missing.
    NoFence = "no-fence",
    /// LANE:D comes before the body.
    CommitFirst = "commit-first",
    /// An owner that finds its lane open does not seal it.
    NoSeal = "no-seal",
    /// A producer believes a position whose two words do not agree.
    TornPosition = "torn-position",
    /// A drop is not counted.
    DropUncounted = "drop-uncounted",
    /// READ:3 is missing: what was overwritten while it was read is not discarded.
    NoThirdStep = "no-third-step",
    /// The fence before READ:3 is missing.
    NoReadFence = "no-read-fence",
    /// The fence between the flusher's store of `armed` and its last look is missing.
    ArmUnfenced = "arm-unfenced",
    /// What the message in flight had begun to overwrite is reported as damage.
    InFlightDamage = "in-flight-damage",
    /// A header's checksum is not checked.
    HeaderUnchecked = "header-unchecked",
    /// A slot's checksum is not checked.
    SlotUnchecked = "slot-unchecked",
    /// The journal's checksum is not checked.
    JournalUnchecked = "journal-unchecked",
    /// `written` is published before the lines are.
    WrittenEarly = "written-early",
    /// Positions are published before the journal is written.
    PositionsEarly = "positions-early",
    /// A dead ring is removed before that is in the journal.
    RemovedEarly = "removed-early",
    /// When one file of a role is rotated, the other one's part of the current record is in the batch before.
    OneFormCarried = "one-form-carried",
    /// An append is applied again without checking what is there already.
    RedoBlind = "redo-blind",
    /// An append is applied again on the assumption that what is there is right.
    RedoTrusting = "redo-trusting",
    /// An append is applied again to any file that has the name.
    RedoAnyFile = "redo-any-file",
    /// A rename is repeated for any file that has the name.
    RenameAnyFile = "rename-any-file",
    /// The number of reported drops is only in memory.
    DropsForgotten = "drops-forgotten",
    /// Missing message numbers are not logged.
    GapSilent = "gap-silent",
    /// The removal of the doorbell is not noticed.
    DoorbellUnseen = "doorbell-unseen",
    /// The removal of the journal is not noticed.
    JournalUnseen = "journal-unseen",
    /// The journal is not checkpointed.
    NeverSettled = "never-settled",
    /// A spilled message is written after the record that names it.
    SpillLate = "spill-late",
    /// A forked child inherits the ring's mapping.
    NoDontFork = "no-dontfork",
    /// A forked child finds its parent's logger.
    NoWipeOnFork = "no-wipeonfork",
    /// A forked child takes its parent's call-site ids for its own.
    SitesOverFork = "sites-over-fork",
    /// The folder is not synced after a file in it was created or renamed.
    FolderUnsynced = "folder-unsynced",
    /// The flusher does not check whether the current log file still has the name.
    ChangeUnseen = "change-unseen",
    /// The flusher does not check whether the lines it wrote are in a file that has a name.
    WriteUnchecked = "write-unchecked",
    /// A position is written to a ring even beyond its current end.
    CutRingGrown = "cut-ring-grown",
    /// An open slot holds lines back however old they are.
    HeldForEver = "held-for-ever",
    /// Rings of an earlier run are ordered by the wall clock.
    WallClockOrder = "wall-clock-order",
    /// Two rings whose names differ only in their endings are both accepted, and share spill files.
    TwinTrusted = "twin-trusted",
    /// A dead ring may be rendered to any size.
    RenderedUnbounded = "rendered-unbounded",
    /// The process that has the pid now is taken for the ring's.
    PidTrusted = "pid-trusted",
    /// A lane's next owner is named in place of an earlier one whose records are still attributed to it.
    OwnerRenamed = "owner-renamed",
    /// An ordinary exit does not wait for the files.
    NoExitFlush = "no-exit-flush",
    /// The drain takes ring-only records.
    FineDrained = "fine-drained",
    /// A thread takes a lane of the other kind.
    LaneKindMixed = "lane-kind-mixed",
    /// A call site's cached decision survives a change of the filter.
    DecisionKept = "decision-kept",
    /// An error brings records that an earlier one has already brought.
    PulledAgain = "pulled-again",
    /// An overflow lane whose owner ended within a log call stays taken.
    LaneLeftDead = "lane-left-dead",
    /// The call-site table gets a row for each target.
    EveryTarget = "every-target",
    /// A thread asks for its id whenever its logger changes.
    ThreadAskedAgain = "thread-asked-again",
    /// A second `init` is not compared with the first.
    SecondInitIgnored = "second-init-ignored",
    /// A panic makes a backtrace whatever `RUST_BACKTRACE` says.
    AlwaysBacktrace = "always-backtrace",
    /// The end of the main thread by a panic is treated as an ordinary exit.
    PanicIsExit = "panic-is-exit",
    /// An interrupted removal of shared memory is not completed.
    HalfRemoved = "half-removed",
    /// The close mark of a process that ends normally is ignored.
    CloseUnheard = "close-unheard",
    /// A record that may not wait does not check for room.
    AtOnceBlind = "at-once-blind",
    /// Our handler takes every call for one by the kernel.
    ChainBlind = "chain-blind",
    /// A mark of an ordinary end stays although the process lives on.
    MarkBelieved = "mark-believed",
    /// A child that shares its parent's memory marks its parent.
    MarkOfOthers = "mark-of-others",
    /// An exit within the handler of a fatal signal is treated as an ordinary one.
    HandlerExits = "handler-exits",
    /// The kernel is not asked how a process ended.
    StatusUnasked = "status-unasked",
    /// A process is looked at in passes that find no record of it.
    IdleLookedAt = "idle-looked-at",
    /// The count of OOM kills before a death is the one of the last look.
    OomCountLate = "oom-count-late",
    /// A process keeps no descriptor of itself for its children.
    OrphanedWitness = "orphaned-witness",
    /// Execs are checked for only every ten seconds.
    ExecUnseen = "exec-unseen",
    /// A mark of an ordinary end stays after it was withdrawn.
    NeverReopened = "never-reopened",
    /// Threads that must end for a fork stay.
    ThreadsKept = "threads-kept",
    /// A ring's attachment is not removed with it.
    AttachedLeft = "attached-left",
    /// A ring's capture is not removed with it.
    CaptureLeft = "capture-left",
    /// A thread that blocks the signal is asked for its stack all the same.
    DeafAsked = "deaf-asked",
    /// The other threads are stopped although an earlier handler may make the fault good.
    SurvivorParked = "survivor-parked",
    /// A signal that the program uses is taken for the other threads.
    SignalInUse = "signal-in-use",
    /// A new ring does not get the custom level names.
    NamesForgotten = "names-forgotten",
    /// The ring of a dead process is removed although its lock is held.
    HeldRemoved = "held-removed",
    /// That a death is logged is only in memory.
    DeathForgotten = "death-forgotten",
    /// Memory that cannot be seen from here is treated as gone.
    UnseenGone = "unseen-gone",
    /// A flusher that replaces the lock does not check again who held it.
    DisplacedUnread = "displaced-unread",
    /// A flusher writes to the journal without checking that it still is the flusher.
    LeaseUnchecked = "lease-unchecked",
    /// A part of an entry that could not be applied is not repeated in the next one.
    HeldDropped = "held-dropped",
    /// A forked child that could not make its ring does not try again.
    TriedOnce = "tried-once",
    /// Records that a forked child logs without a ring are not counted.
    MissedUncounted = "missed-uncounted",
    /// An `init` that fails at its last step leaves its ring.
    RingLeft = "ring-left",
    /// A missing flusher thread is never started again.
    ThreadNotTriedAgain = "thread-not-tried-again",
    /// Backlog segments are never read.
    KeptUnread = "kept-unread",
    /// A reader checks the segments before READ:3.
    KeptLookedFirst = "kept-looked-first",
    /// Slots are reused before they are copied.
    KeptLate = "kept-late",
    /// A segment is removed as soon as the flusher is past its first slot.
    KeptUnlinkedEarly = "kept-unlinked-early",
    /// Segments are searched only for what is below the ring's window, not for what a call in flight has torn.
    KeptWindowOnly = "kept-window-only",
    /// The spill file of a record in a segment is removed.
    KeptSpillRemoved = "kept-spill-removed",
    /// A producer adds to a segment although the flusher is past it.
    KeptReused = "kept-reused",
    /// A root tool stays root in a user's folder.
    RootStays = "root-stays",
    /// Rotated files beyond the limit are searched for at each rotation.
    BeyondAlwaysSought = "beyond-always-sought",
    /// Files get only the rights that the umask leaves, even for their owner.
    UmaskObeyed = "umask-obeyed",
    /// A library thread stays a real-time thread.
    RealTimeKept = "real-time-kept",
    /// A symbolic link in the place of a log folder is followed, no matter who made it.
    AnyLinkFollowed = "any-link-followed",
    /// A root process follows a path that other users can redirect.
    AstrayFollowed = "astray-followed",
    /// A root process creates files as root in a user's folder.
    ActsAsRoot = "acts-as-root",
    /// A flusher does not give files the requested mode and group.
    AccessForgotten = "access-forgotten",
    /// A privileged program obeys its caller's environment.
    CallerObeyed = "caller-obeyed",
    /// After a chroot the zone is looked up again.
    ZoneLost = "zone-lost",
    /// Times are in the zone of the flusher.
    ZoneOfFlusher = "zone-of-flusher",
    /// A change of the times' offset is not logged.
    OffsetUntold = "offset-untold",
    /// A process that never flushes opens the lock file in its log calls.
    LockOpenedInCall = "lock-opened-in-call",
    /// A record's clock is believed however far it is ahead of the flusher's.
    ClockBelieved = "clock-believed",
    /// A ring's cost per pass is unbounded.
    BudgetUnbounded = "budget-unbounded",
    /// A handler of SIGBUS that was installed after the guard stays before it.
    GuardLast = "guard-last",
    /// A crash file that cannot be written keeps the dead ring for ever.
    CrashFileForEver = "crash-file-for-ever",
    /// The flusher's thread has no descriptor table of its own.
    TableShared = "table-shared",
    /// The flusher's thread keeps in its table what the program had open.
    TableCopied = "table-copied",
    /// What the flusher's thread prints on standard error is lost.
    ComplaintUnheard = "complaint-unheard",
    /// Not a defect to be caught: the drain writes no journal, to measure what the journal costs.
    JournalOff = "journal-off",
}

/// Whether this process has the defect.
#[cfg(not(lastwords_mutants))]
#[inline(always)]
pub const fn is(_: Mutant) -> bool {
    false
}

/// Whether this process has the defect.
///
/// If the environment variable names none of them: a test with a misspelt defect would pass.
#[cfg(lastwords_mutants)]
pub fn is(mutant: Mutant) -> bool {
    static CHOSEN: std::sync::OnceLock<Option<Mutant>> = std::sync::OnceLock::new();
    *CHOSEN.get_or_init(chosen) == Some(mutant)
}

#[cfg(lastwords_mutants)]
fn chosen() -> Option<Mutant> {
    let name = std::env::var("LASTWORDS_MUTANT").ok().filter(|name| !name.is_empty())?;
    let found = NAMES.iter().find(|(known, _)| *known == name);
    Some(found.unwrap_or_else(|| panic!("no mutant \"{name}\" found, expected one of {NAMES:?}")).1)
}
