//! What was seen of a process while it lived, for the case that its death leaves no other trace.
//!
//! Noted when the flusher finds the ring, and in passes that drain it, at most once a second: whoever is idle costs nothing. The
//! count of OOM kills is read before the look at the process. So what a process that was seen to run died of was counted later,
//! but for one that was killed and not yet gone: therefore the count before is that of the look before the last, if there was
//! one.

use crate::evidence::memory::{GroupMemory, Kills, MemoryGroup};
use crate::evidence::mounts::Mounts;
use crate::evidence::usage::Usage;
use lastwords_ring::mutant::{self, Mutant};
use lastwords_ring::place::clock;
use lastwords_ring::place::process::{self, ProcessId};
use std::cell::OnceCell;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Time between two looks at a process.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Longest file that is read of a process, in bytes.
const FILE_MAX: u64 = 16 << 10;

/// Where processes and their cgroups can be seen.
#[derive(Debug)]
pub(crate) struct Sight {
    proc: PathBuf,
    mounts: OnceCell<Mounts>,
}

impl Default for Sight {
    fn default() -> Sight {
        Sight::from_proc("/proc")
    }
}

impl Sight {
    fn from_proc(proc: impl Into<PathBuf>) -> Sight {
        Sight { proc: proc.into(), mounts: OnceCell::new() }
    }

    fn file(&self, process: ProcessId, name: &str) -> Option<String> {
        process::read_start(self.proc.join(process.pid.to_string()).join(name), FILE_MAX).ok()
    }

    /// The cgroup comes first, see above.
    fn of(&self, process: ProcessId) -> Option<Seen> {
        let mounts = self.mounts.get_or_init(|| Mounts::read(&self.proc));
        let group = self.file(process, "cgroup").and_then(|cgroups| mounts.group(&cgroups));
        let group = group.map(|group| SeenGroup { memory: group.memory(), kills: group.kills(), group });
        let usage = Usage::of(&self.file(process, "stat")?, process.start_time)?;
        Some(Seen { at_ns: clock::realtime_ns(), usage, group })
    }
}

/// A process at a moment.
#[derive(Debug)]
pub(super) struct Seen {
    /// Nanoseconds since 1970.
    pub(super) at_ns: u64,
    pub(super) usage: Usage,
    /// The cgroup that accounts for its memory, if it can be seen.
    pub(super) group: Option<SeenGroup>,
}

/// A cgroup at the same moment.
#[derive(Debug)]
pub(super) struct SeenGroup {
    pub(super) group: MemoryGroup,
    pub(super) memory: Option<GroupMemory>,
    pub(super) kills: Option<Kills>,
}

impl Seen {
    /// The count of OOM kills, if it is that of this cgroup.
    fn counted(&self, group: &MemoryGroup) -> Option<Counted> {
        let seen = self.group.as_ref().filter(|seen| seen.group == *group)?;
        Some(Counted { at_ns: self.at_ns, kills: seen.kills? })
    }
}

/// How many OOM kills had been counted at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counted {
    at_ns: u64,
    kills: Kills,
}

/// What was seen of a process last.
#[derive(Debug, Default)]
pub(crate) struct LastSeen {
    looked: Option<Instant>,
    seen: Option<Seen>,
    /// What the cgroup had counted before.
    before: Option<Counted>,
    /// What it has counted after the end.
    after: Option<Kills>,
    is_over: bool,
}

impl LastSeen {
    /// Whether nobody has looked so far.
    pub(crate) fn is_new(&self) -> bool {
        self.looked.is_none()
    }

    /// Looks at a living process, if the last look is long enough ago.
    pub(crate) fn look(&mut self, process: ProcessId, sight: &Sight, now: Instant) {
        if self.looked.is_some_and(|looked| now.duration_since(looked) < LOOK_EVERY) {
            return;
        }
        self.looked = Some(now);
        let Some(seen) = sight.of(process) else { return };
        let counted = seen.group.as_ref().and_then(|found| {
            let now = seen.counted(&found.group)?;
            let before = self.seen.as_ref().and_then(|seen| seen.counted(&found.group));
            let same = |before: &Counted| now.kills.since(before.kills).is_some();
            Some(before.filter(same).filter(|_| !mutant::is(Mutant::OomCountLate)).unwrap_or(now))
        });
        (self.before, self.seen) = (counted, Some(seen));
    }

    /// Looks, once, at what remains when the process has ended.
    pub(crate) fn look_back(&mut self) {
        if !self.is_over {
            self.is_over = true;
            self.after = self.seen.as_ref().and_then(|seen| seen.group.as_ref()?.group.kills());
        }
    }

    /// The last look, if there was one.
    pub(super) fn seen(&self) -> Option<&Seen> {
        self.seen.as_ref()
    }

    /// The OOM kills that its cgroup counted before and after the end, and since when. None if they cannot be read.
    pub(super) fn kills(&self) -> Option<(Kills, u64)> {
        let before = self.before?;
        Some((self.after?.since(before.kills)?, before.at_ns))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::evidence::usage::tests::stat;
    use crate::scratch::Scratch;
    use std::fs;

    const PROCESS: ProcessId =
        ProcessId { boot_id: [1; 16], pid_namespace: 1, pid: 41, start_time: 5, time_namespace: 1 };

    /// Files as the kernel has them: a process in a cgroup of version 2, mounted beside `/proc`.
    pub(in crate::evidence) struct FakeKernel {
        folder: Scratch,
        pub(in crate::evidence) sight: Sight,
    }

    impl FakeKernel {
        pub(in crate::evidence) fn new(name: &str) -> FakeKernel {
            let folder = Scratch::new(name);
            let kernel = FakeKernel { sight: Sight::from_proc(folder.join("proc")), folder };
            let mount = format!("30 23 0:26 / {}/cgroup rw - cgroup2 cgroup2 rw\n", kernel.folder.display());
            kernel.put("proc/self/mountinfo", &mount);
            kernel.put("proc/41/cgroup", "0::/app\n");
            kernel.uses(300, 12);
            kernel.counts(4);
            kernel.put("cgroup/app/memory.current", "1048576\n");
            kernel.put("cgroup/app/memory.max", "2097152\n");
            kernel
        }

        pub(in crate::evidence) fn put(&self, path: &str, text: &str) {
            let path = self.folder.join(path);
            fs::create_dir_all(path.parent().expect("in a folder")).expect("a folder");
            fs::write(path, text).expect("written");
        }

        /// The process has so many resident pages and threads.
        pub(in crate::evidence) fn uses(&self, pages: u64, threads: u64) {
            let ticks = rustix::param::clock_ticks_per_second() * 5 / 2;
            self.put("proc/41/stat", &stat("S", 5, (pages, threads, ticks)));
        }

        pub(in crate::evidence) fn counts(&self, kills: u64) {
            self.put("cgroup/app/memory.events", &format!("oom 9\noom_kill {kills}\noom_group_kill 0\n"));
        }

        fn remove(&self, path: &str) {
            fs::remove_dir_all(self.folder.join(path)).expect("removed");
        }

        pub(in crate::evidence) fn look(&self, last: &mut LastSeen, now: Instant) {
            last.look(PROCESS, &self.sight, now);
        }
    }

    fn kills(last: &LastSeen) -> Option<(u64, Option<u64>)> {
        last.kills().map(|(kills, _)| (kills.processes, kills.groups))
    }

    fn threads(last: &LastSeen) -> Option<u64> {
        last.seen().map(|seen| seen.usage.threads)
    }

    #[test]
    fn a_kill_after_the_last_look_is_found() {
        let (kernel, mut last) = (FakeKernel::new("killed"), LastSeen::default());
        assert!(last.is_new());
        kernel.look(&mut last, Instant::now());
        assert!(!last.is_new());
        kernel.counts(5);
        last.look_back();
        assert_eq!(kills(&last), Some((1, Some(0))));
        kernel.counts(9);
        last.look_back();
        assert_eq!(kills(&last), Some((1, Some(0))), "what comes later is of others");
    }

    /// The count may have been read when the process had been killed and was not gone.
    #[test]
    fn the_count_before_is_of_the_look_before_the_last() {
        let (kernel, mut last, now) = (FakeKernel::new("before"), LastSeen::default(), Instant::now());
        kernel.look(&mut last, now);
        let first = last.seen().expect("seen").at_ns;
        kernel.counts(5);
        kernel.look(&mut last, now + LOOK_EVERY);
        last.look_back();
        assert_eq!(last.kills().map(|(kills, since)| (kills.processes, since)), Some((1, first)));
        let mut last = LastSeen::default();
        for (second, count) in [(0, 4), (1, 5), (2, 6)] {
            kernel.counts(count);
            kernel.look(&mut last, now + LOOK_EVERY * second);
        }
        last.look_back();
        assert_eq!(kills(&last).map(|(processes, _)| processes), Some(1));
    }

    #[test]
    fn nobody_looks_twice_in_a_second() {
        let (kernel, mut last, now) = (FakeKernel::new("twice"), LastSeen::default(), Instant::now());
        kernel.look(&mut last, now);
        kernel.uses(300, 13);
        kernel.look(&mut last, now + LOOK_EVERY - Duration::from_millis(1));
        assert_eq!(threads(&last), Some(12));
        kernel.look(&mut last, now + LOOK_EVERY);
        assert_eq!(threads(&last), Some(13));
    }

    #[test]
    fn what_was_seen_of_the_living_stays_when_it_ends() {
        let (kernel, mut last, now) = (FakeKernel::new("ends"), LastSeen::default(), Instant::now());
        kernel.look(&mut last, now);
        kernel.uses(0, 1);
        kernel.look(&mut last, now + LOOK_EVERY);
        kernel.put("proc/41/stat", &stat("Z", 5, (0, 1, 0)));
        kernel.look(&mut last, now + 2 * LOOK_EVERY);
        assert_eq!(threads(&last), Some(12));
    }

    #[test]
    fn another_cgroup_of_the_same_name_or_none_proves_nothing() {
        let now = Instant::now();
        let after = |name: &str, change: fn(&FakeKernel)| {
            let (kernel, mut last) = (FakeKernel::new(name), LastSeen::default());
            kernel.look(&mut last, now);
            change(&kernel);
            last.look_back();
            (kills(&last), threads(&last))
        };
        assert_eq!(after("made-anew", |kernel| kernel.counts(0)), (None, Some(12)));
        assert_eq!(after("gone", |kernel| kernel.remove("cgroup/app")), (None, Some(12)));
        assert_eq!(after("garbage", |kernel| kernel.put("cgroup/app/memory.events", "\0\0")), (None, Some(12)));
    }

    #[test]
    fn counts_of_different_cgroups_are_not_compared() {
        let (kernel, mut last, now) = (FakeKernel::new("moved"), LastSeen::default(), Instant::now());
        kernel.look(&mut last, now);
        kernel.put("cgroup/other/memory.events", "oom_kill 9\noom_group_kill 2\n");
        kernel.put("proc/41/cgroup", "0::/other\n");
        kernel.look(&mut last, now + LOOK_EVERY);
        last.look_back();
        assert_eq!(kills(&last), Some((0, Some(0))));
    }

    #[test]
    fn without_a_controller_or_the_right_to_look_the_process_is_seen_all_the_same() {
        let kernel = FakeKernel::new("no-controller");
        for path in ["", "0::/\n", "0::/../app\n", "garbage"] {
            let mut last = LastSeen::default();
            kernel.put("proc/41/cgroup", path);
            kernel.look(&mut last, Instant::now());
            last.look_back();
            assert_eq!((kills(&last), threads(&last)), (None, Some(12)), "{path}");
        }
        kernel.remove("proc/41");
        let mut last = LastSeen::default();
        kernel.look(&mut last, Instant::now());
        last.look_back();
        assert!(last.seen().is_none() && last.kills().is_none());
    }
}
