//! Every system call of a flusher may fail, write less than it should, or be the last.
//!
//! Disks fill up, controllers give up, signals interrupt. A logger that believes that its calls succeed loses the lines of the
//! batch that was on its way, prints them again when the error is over, skips a ring for good because one read of it failed, or
//! ends its flusher's thread and goes silent. So a drain is counted through, one that takes over where a first flusher was
//! killed in the middle of a write, with rings of killed processes, a log call in flight, spilled messages and rotations. Then
//! for each of its system calls and each fault a fresh copy is drained by a flusher that meets that fault. It must go on by
//! itself until everything is drained; only a kill may leave the rest to the next one.

use lastwords_tests::about::About;
use lastwords_tests::actor::Actor;
use lastwords_tests::flushers::{Call, Drainer, Fault, FaultKind, KillAt, is_log};
use lastwords_tests::logs::{assert_numbered, read};
use lastwords_tests::oracle::Random;
use lastwords_tests::scratch::Scratch;
use lastwords_tests::sys;
use lastwords_tests::watchdog::Watchdog;
use lastwords_tests::wreck::{Outcome, Size, Wreck};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Two rotations of the larger files.
const SIZE: Size = Size { messages: 160, spiller_messages: 16, rotate_size: 13 << 10, rotate_keep: 6, format: "text" };
/// [`SIZE`] in both forms; objects fill more files.
const BOTH: Size = Size { rotate_keep: 40, format: "both", ..SIZE };
/// Time for the points of one test, unless all are asked for, or `LASTWORDS_FAULTS_SECONDS` says another.
const TIME: Duration = Duration::from_secs(30);
/// On a slow machine one point of so many is tried all the same.
const POINTS_SHARE: usize = 400;
/// Errors that pass, which a call may meet. Some calls cannot fail so; they are made to all the same.
const ERRORS: [i32; 15] = [
    libc::ENOSPC,
    libc::EIO,
    libc::EINTR,
    libc::EDQUOT,
    libc::EMFILE,
    libc::ENFILE,
    libc::ENOMEM,
    libc::ENOBUFS,
    libc::EAGAIN,
    libc::EBUSY,
    libc::ESTALE,
    libc::ENOTCONN,
    libc::ETIMEDOUT,
    libc::EROFS,
    libc::EFBIG,
];
/// How often in a row: once, and for about a second, in which a flusher tries ten times what holds up its role.
const TIMES: [u32; 2] = [1, 10];

/// A wreck, and where its first flusher is killed.
struct Takeover {
    wreck: Wreck,
    drainer: Drainer,
    killed: KillAt,
}

impl Takeover {
    fn new(name: &str, since: &'static str, size: Size, random: &mut Random) -> Takeover {
        let wreck = Wreck::new(name, size);
        assert!(wreck.spilled() >= 1, "messages are spilled");
        assert!(wreck.segments() >= 1, "slots are kept beside a ring");
        wreck.leave_a_call_in_flight();
        let drainer = Drainer { since, elsewhere: wreck.elsewhere() };
        let calls = drainer.drain_until(&wreck.copy(), KillAt::Never).expect("an undisturbed drain");
        // In the middle of a log file's write in the first half of the drain: much is left, and something half done.
        let logs = |k: &usize| calls[*k].write.as_ref().is_some_and(|(_, name)| is_log(name));
        let writes: Vec<usize> = (0..calls.len()).filter(logs).collect();
        assert!(writes.len() >= 4, "{writes:?}");
        let killed = KillAt::Within(writes[random.below(writes.len() as u64 / 2) as usize]);
        Takeover { wreck, drainer, killed }
    }

    /// A fresh copy as the first flusher left it. Drains may differ by a call or two.
    fn folder(&self) -> PathBuf {
        let KillAt::Within(call) = self.killed else { unreachable!() };
        for nearby in [call, call + 1, call + 2, call.saturating_sub(1), call.saturating_sub(2)] {
            let folder = self.wreck.copy();
            if self.drainer.drain_until(&folder, KillAt::Within(nearby)).is_some() {
                return folder;
            }
        }
        panic!("no write near call {call}");
    }

    /// Has a flusher meet `fault`, and judges what is left in the end. Whether the fault happened.
    fn try_fault(&self, fault: Fault, reference: &Outcome) -> bool {
        let folder = self.folder();
        let found = self.drainer.drain_with(&folder, Some(fault));
        if !found.reached {
            return false;
        }
        self.drainer.drain(&folder);
        let outcome = Outcome::of(&self.wreck, &folder);
        outcome.assert_same_lines(reference);
        if let FaultKind::Fail(error, _) = fault.kind
            && !found.killed
            && error != libc::EINTR
            && found.failed.iter().any(|k| found.calls[*k].writes_lines())
        {
            let reported = outcome.complaints.iter().any(|text| text.contains("could not be written"));
            assert!(reported, "the log does not say that it could not be written: {:?}", outcome.complaints);
        }
        true
    }
}

/// The points that there are: each call with each fault that it can have.
fn points(calls: &[Call]) -> Vec<Fault> {
    let mut points = Vec::new();
    for (call, made) in calls.iter().enumerate() {
        let mut add = |kind| points.push(Fault { call, kind });
        add(FaultKind::Kill);
        for error in ERRORS {
            if made.may_fail(error) {
                TIMES.into_iter().for_each(|times| add(FaultKind::Fail(error, times)));
            }
        }
        if made.write.as_ref().is_some_and(|(length, _)| *length > 1) {
            add(FaultKind::Half);
            add(FaultKind::OneByte);
        }
    }
    points
}

fn name_of(kind: FaultKind) -> String {
    match kind {
        FaultKind::Kill => "killed before".to_owned(),
        FaultKind::Fail(error, times) => format!("{} x {times}", std::io::Error::from_raw_os_error(error)),
        FaultKind::Half => "half written".to_owned(),
        FaultKind::OneByte => "one byte written".to_owned(),
    }
}

/// Tries every point, or as many as there is time for, in an order that the seed gives.
fn try_points(name: &'static str, since: &'static str, size: Size) {
    if !sys::CALLS_CAN_BE_CHANGED {
        println!("skipped: the registers of this processor are not known to the test");
        return;
    }
    let all = std::env::var("LASTWORDS_ALL_POINTS").is_ok();
    let seconds = std::env::var("LASTWORDS_FAULTS_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    let time = seconds.map_or(TIME, Duration::from_secs);
    let _watchdog = Watchdog::new(name, Duration::from_secs(if all { 5 * 3600 } else { 600 + 2 * time.as_secs() }));
    let mut random = Random::from_env("LASTWORDS_POINTS_SEED");
    let takeover = Takeover::new(name, since, size, &mut random);
    let folder = takeover.folder();
    let calls = takeover.drainer.drain_with(&folder, None).calls;
    takeover.drainer.drain(&folder);
    let reference = Outcome::of(&takeover.wreck, &folder);
    let deaths = reference.deaths();
    assert_eq!(deaths.len(), 3, "{deaths:?}");
    assert_eq!(deaths.iter().filter(|death| death.2.contains("1 log call interrupted")).count(), 1, "{deaths:?}");
    assert!(reference.files.iter().any(|file| file == "host.log.2"), "two rotations: {:?}", reference.files);
    assert_eq!(reference.complaints, Vec::<String>::new());
    let mut points = points(&calls);
    random.shuffle(&mut points);
    let (start, counted, mut tried) = (Instant::now(), points.len(), BTreeMap::<String, usize>::new());
    for fault in points {
        let count: usize = tried.values().sum();
        if !all && start.elapsed() > time && count * POINTS_SHARE >= counted {
            break;
        }
        let _about = About((fault, takeover.killed, &calls[fault.call]));
        // Drains differ by a call or two, so a point may not be reached.
        if takeover.try_fault(fault, &reference) {
            *tried.entry(name_of(fault.kind)).or_default() += 1;
        }
    }
    let count: usize = tried.values().sum();
    println!(
        "{name}: {count} of {counted} points tried, {} system calls, {:.1} s",
        calls.len(),
        start.elapsed().as_secs_f64()
    );
    tried.into_iter().for_each(|(kind, count)| println!("  {kind}: {count}"));
}

/// The rings of the others are of processes that are dead; they are removed with what was not written to them. How far
/// a living process's ring is drained must not be known by the flusher alone, or its death doubles lines.
#[test]
fn positions_that_cannot_be_written_to_a_living_ring_outlive_the_flusher() {
    if !sys::CALLS_CAN_BE_CHANGED {
        println!("skipped: the registers of this processor are not known to the test");
        return;
    }
    let _watchdog = Watchdog::new("unwritable rings", Duration::from_secs(120));
    let scratch = Scratch::new("unwritable-rings");
    let (folder, elsewhere) = (scratch.join("logs"), scratch.path().to_owned());
    // Three rotations, so that an entry about a rotation is among the journal's.
    let script = "flusher=never rotate=8192 keep=20 log:400 line:up wait";
    let mut actor = Actor::start("worker", &folder, script).until("up");
    let drainer = Drainer { since: "all", elsewhere };
    // Enough to fall asleep, before which a flusher checkpoints its journal.
    for passes in [20, 3] {
        drainer.pass_without_writing_to_rings(&folder, passes);
    }
    actor.kill();
    drainer.drain(&folder);
    let lines = read(&folder, "worker");
    assert_numbered(&lines, 400, "");
}

#[test]
fn a_flusher_with_any_failing_call_loses_and_doubles_nothing() {
    try_points("flusher-faults", "all", SIZE);
}

#[test]
fn a_flusher_with_any_failing_call_in_an_earlier_runs_rings_loses_and_doubles_nothing() {
    try_points("flusher-faults-earlier", "now", BOTH);
}
