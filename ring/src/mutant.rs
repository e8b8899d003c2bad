//! Seeded defects, so that the suite can be asked whether it would notice them. Test builds only.
//!
//! A test that has never failed proves nothing: the one that kills the flusher everywhere passes just as well if it looks
//! at the wrong folder. So a build with `--cfg lastwords_mutants` has each defect below, at the place where a careless change
//! would make it, and the environment variable `LASTWORDS_MUTANT` says by name which one a process has. `tests/mutants` runs,
//! for each of them, the test that must fail. In every other build [`is`] is the constant `false`, and nothing of this is
//! left in the program. It is no feature, because features are for users, and any crate of a program can turn them on.

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
    /// A logger is closed without a word in its ring.
    ClosedAsDead = "closed-as-dead",
    /// A close does not wait for calls that are in the logger.
    CallsUnawaited = "calls-unawaited",
    /// A flusher does not look at what a closed logger says of its ring.
    LeftUnseen = "left-unseen",
    /// The crash file that was just written is removed as any other.
    CrashFileLost = "crash-file-lost",
    /// A rotated file keeps the space that was reserved behind its end.
    ReservedKept = "reserved-kept",
    /// The line about an earlier run stands above every ring that was found dead.
    AlwaysEarlier = "always-earlier",
    /// A filter that counts for a time is not ended.
    FilterKept = "filter-kept",
    /// What `lastwords level --keep` has left does not count.
    KeptLevelUnheeded = "kept-level-unheeded",
    /// A process that starts takes its time between the kept level and its ring, without the lock.
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
    /// What the message in flight had begun to overwrite counts as damage.
    InFlightDamage = "in-flight-damage",
    /// A header's checksum is not looked at.
    HeaderUnchecked = "header-unchecked",
    /// A slot's checksum is not looked at.
    SlotUnchecked = "slot-unchecked",
    /// The journal's checksum is not looked at.
    JournalUnchecked = "journal-unchecked",
    /// `written` is published before the lines are.
    WrittenEarly = "written-early",
    /// Positions are published before the journal is written.
    PositionsEarly = "positions-early",
    /// A dead ring is removed before the journal says so.
    RemovedEarly = "removed-early",
    /// Where one file of a role is rotated, the other one's part of the record at hand is in the batch before.
    OneFormCarried = "one-form-carried",
    /// An append is applied again without asking what is there already.
    RedoBlind = "redo-blind",
    /// An append is applied again as if what is there were right.
    RedoTrusting = "redo-trusting",
    /// An append is applied again to whatever file has the name.
    RedoAnyFile = "redo-any-file",
    /// A rename is done again to whatever file has the name.
    RenameAnyFile = "rename-any-file",
    /// What has been reported of the drops is kept in memory alone.
    DropsForgotten = "drops-forgotten",
    /// Missing message numbers are not told.
    GapSilent = "gap-silent",
    /// A doorbell that somebody has removed is not noticed.
    DoorbellUnseen = "doorbell-unseen",
    /// A journal that somebody has removed is not noticed.
    JournalUnseen = "journal-unseen",
    /// The journal is not settled.
    NeverSettled = "never-settled",
    /// A spilled message is written after the record that names it.
    SpillLate = "spill-late",
    /// A forked child inherits the ring's mapping.
    NoDontFork = "no-dontfork",
    /// A forked child finds its parent's logger.
    NoWipeOnFork = "no-wipeonfork",
    /// A forked child takes its parent's call-site ids for its own.
    SitesOverFork = "sites-over-fork",
    /// The folder is not synced after a file was made in it or renamed.
    FolderUnsynced = "folder-unsynced",
    /// Nobody looks whether the current log file is still the one that has the name.
    ChangeUnseen = "change-unseen",
    /// Nobody looks whether the lines stand in a file that has a name, once they are written.
    WriteUnchecked = "write-unchecked",
    /// A position is written to a ring wherever that ends by now.
    CutRingGrown = "cut-ring-grown",
    /// An open slot holds lines back however old they are.
    HeldForEver = "held-for-ever",
    /// Rings of an earlier run are ordered by the wall clock.
    WallClockOrder = "wall-clock-order",
    /// Two rings whose names differ in their endings are believed, and have the same spill files.
    TwinTrusted = "twin-trusted",
    /// A dead ring may be rendered to any size.
    RenderedUnbounded = "rendered-unbounded",
    /// A ring's process is the one that has its pid now.
    PidTrusted = "pid-trusted",
    /// The name of a lane's next owner is written over that of an earlier one while its records still count as theirs.
    OwnerRenamed = "owner-renamed",
    /// An ordinary exit does not wait for the files.
    NoExitFlush = "no-exit-flush",
    /// The drain takes what no log file is to show.
    FineDrained = "fine-drained",
    /// A thread takes a lane of the other kind.
    LaneKindMixed = "lane-kind-mixed",
    /// What was decided of a place outlives a change of the filter.
    DecisionKept = "decision-kept",
    /// An error brings records that one before it has brought.
    PulledAgain = "pulled-again",
    /// A shared lane whose owner has ended within a log call stays taken.
    LaneLeftDead = "lane-left-dead",
    /// The table of call sites has a row for each target.
    EveryTarget = "every-target",
    /// A thread asks for its number whenever its logger is another.
    ThreadAskedAgain = "thread-asked-again",
    /// A second `init` is compared with nothing.
    SecondInitIgnored = "second-init-ignored",
    /// A panic makes a backtrace whatever `RUST_BACKTRACE` says.
    AlwaysBacktrace = "always-backtrace",
    /// The end of the main thread by a panic counts as an ordinary exit.
    PanicIsExit = "panic-is-exit",
    /// A removal of shared memory that was cut off in the middle is left so.
    HalfRemoved = "half-removed",
    /// A process that says that it ends in an ordinary way is not believed.
    CloseUnheard = "close-unheard",
    /// A record that may not wait does not ask for room.
    AtOnceBlind = "at-once-blind",
    /// A handler of ours takes every call for one of the kernel's.
    ChainBlind = "chain-blind",
    /// A mark of an ordinary end stays although the process lives on.
    MarkBelieved = "mark-believed",
    /// A child that shares its parent's memory marks its parent.
    MarkOfOthers = "mark-of-others",
    /// An exit within the handler of a fatal signal counts as an ordinary one.
    HandlerExits = "handler-exits",
    /// Nobody asks the kernel how a process ended.
    StatusUnasked = "status-unasked",
    /// A process keeps no descriptor of itself for its children.
    OrphanedWitness = "orphaned-witness",
    /// An exec is looked for every ten seconds.
    ExecUnseen = "exec-unseen",
    /// A taken back mark of an ordinary end stays.
    NeverReopened = "never-reopened",
    /// Threads that are to end for a fork stay.
    ThreadsKept = "threads-kept",
    /// A ring's attachment is not removed with it.
    AttachedLeft = "attached-left",
    /// A new ring does not get the names that levels have.
    NamesForgotten = "names-forgotten",
    /// The ring of a dead process is removed although its lock is held.
    HeldRemoved = "held-removed",
    /// That the log tells of a death is kept in memory alone.
    DeathForgotten = "death-forgotten",
    /// Memory that cannot be seen from here counts as gone.
    UnseenGone = "unseen-gone",
    /// Who replaces the flusher's lock does not look again who held it.
    DisplacedUnread = "displaced-unread",
    /// A flusher writes to the journal without looking whether it still is the one.
    LeaseUnchecked = "lease-unchecked",
    /// A part of an entry that could not be applied is not repeated in the next one.
    HeldDropped = "held-dropped",
    /// A forked child that could not make its ring does not try again.
    TriedOnce = "tried-once",
    /// What it logged meanwhile is not counted.
    MissedUncounted = "missed-uncounted",
    /// An `init` that fails at its last step leaves its ring.
    RingLeft = "ring-left",
    /// Where there was no thread for the flusher, it stays so.
    ThreadNotTriedAgain = "thread-not-tried-again",
    /// Backlog segments are never read.
    KeptUnread = "kept-unread",
    /// A reader looks into the segments before READ:3.
    KeptLookedFirst = "kept-looked-first",
    /// Slots are used again before they are kept.
    KeptLate = "kept-late",
    /// A segment is removed as soon as the flusher is past its first slot.
    KeptUnlinkedEarly = "kept-unlinked-early",
    /// Only what is below the ring's window is looked for in segments, not what a call in flight has torn.
    KeptWindowOnly = "kept-window-only",
    /// The file of a spilled message whose record was kept is removed.
    KeptSpillRemoved = "kept-spill-removed",
    /// A producer adds to a segment although the flusher is past it.
    KeptReused = "kept-reused",
    /// A tool of root's stays root in a user's folder.
    RootStays = "root-stays",
    /// Rotated files beyond those that are kept are looked for at each rotation.
    BeyondAlwaysSought = "beyond-always-sought",
    /// What is made has no more rights than the umask leaves, not even its owner's.
    UmaskObeyed = "umask-obeyed",
    /// A thread of ours stays a real-time thread.
    RealTimeKept = "real-time-kept",
    /// A symbolic link in the place of a log folder is followed, whoever made it.
    AnyLinkFollowed = "any-link-followed",
    /// A process of root's follows a path that others can have lead elsewhere.
    AstrayFollowed = "astray-followed",
    /// A process of root's makes files as root in a user's folder.
    ActsAsRoot = "acts-as-root",
    /// A flusher does not give files the mode and group that a ring asks for.
    AccessForgotten = "access-forgotten",
    /// A program with more rights than its caller obeys its environment.
    CallerObeyed = "caller-obeyed",
    /// In a new root the zone is looked for anew.
    ZoneLost = "zone-lost",
    /// Times are in the zone of whoever flushes.
    ZoneOfFlusher = "zone-of-flusher",
    /// No line says that times have another offset from here on.
    OffsetUntold = "offset-untold",
    /// A process that never flushes opens the lock file in its log calls.
    LockOpenedInCall = "lock-opened-in-call",
    /// A record's clock is believed however far it is ahead of the flusher's.
    ClockBelieved = "clock-believed",
    /// A ring may cost as much in a pass as it likes.
    BudgetUnbounded = "budget-unbounded",
    /// A handler of SIGBUS that was installed after the guard stays before it.
    GuardLast = "guard-last",
    /// A crash file that cannot be written keeps the dead ring for ever.
    CrashFileForEver = "crash-file-for-ever",
    /// The flusher's thread has no descriptor table of its own.
    TableShared = "table-shared",
    /// It keeps in its table what the program had open.
    TableCopied = "table-copied",
    /// What it has to say on standard error is not said.
    ComplaintUnheard = "complaint-unheard",
    /// No defect to be caught: the drain writes no journal, to measure what the journal costs.
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
/// # Panics
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
