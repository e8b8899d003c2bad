//! What a standby thread sees of the flusher: whether its heartbeat moves.
//!
//! A standstill only leads to a message, and to syncs of this process's own rings: a stalled flusher keeps its lock and is not
//! replaced.

use crate::standstill::Standstill;
use lastwords_ring::place::folder::Folder;
use lastwords_ring::place::lock_holder::Holder;
use lastwords_ring::place::process::{ProcessId, ProcessState};
use lastwords_ring::place::stderr::complain;
use std::time::{Duration, Instant};

/// A flusher without a heartbeat for so long is stalled; asleep it beats every half second.
const STALLED: Duration = Duration::from_secs(2);
/// The limit for one that appears able to run: a pass over a long backlog takes a while.
const IS_LATE: Duration = Duration::from_secs(10);
/// Checks without a heartbeat that are required as well: after a suspend, or if this process itself was stopped, much time has
/// passed between two.
const LOOKS_MIN: u32 = 10;
/// Time between two checks once one has seen no heartbeat.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// What was seen so far.
#[derive(Debug, Default)]
pub struct Vigil {
    last: Option<Seen>,
    /// The process that was reported as stalled.
    reported: Option<ProcessId>,
}

/// A heartbeat that does not move.
#[derive(Debug, Clone, Copy)]
struct Seen {
    holder: Holder,
    since: Instant,
    looks: u32,
}

impl Vigil {
    /// One check. Reports once on standard error that the flusher is stalled, and returns whether it is.
    pub fn look(&mut self, folder: &Folder, holder: Option<Holder>, now: Instant) -> bool {
        let Some(holder) = holder else {
            self.last = None;
            return false;
        };
        let seen = match self.last {
            Some(seen) if seen.holder == holder => Seen { looks: seen.looks + 1, ..seen },
            _ => Seen { holder, since: now, looks: 0 },
        };
        self.last = Some(seen);
        let still = now.duration_since(seen.since);
        if still < STALLED || seen.looks < LOOKS_MIN {
            return false;
        }
        let (why, visible) = (Standstill::of_holder(&holder), holder.process.state(holder.file) == ProcessState::Alive);
        if self.reported != Some(holder.process) && (why.is_some() || !visible || still >= IS_LATE) {
            self.reported = Some(holder.process);
            complain(format_args!("{}", text(folder, &holder, why, still)));
        }
        true
    }

    /// How long to sleep before the next check, if `usual` is enough as long as the heartbeat moves.
    pub fn sleep(&self, usual: Duration) -> Duration {
        let suspicious = self.last.is_some_and(|seen| seen.looks > 0);
        if suspicious { usual.min(LOOK_AGAIN) } else { usual }
    }
}

fn text(folder: &Folder, holder: &Holder, why: Option<Standstill>, still: Duration) -> String {
    let (pid, seconds, folder) = (holder.process.pid, still.as_secs(), folder.path().display());
    let (how, advice) = match why {
        Some(why) => (format!("is {}", why.name().replace("waits", "waiting")), why.advice()),
        None => ("does not get on".to_owned(), "see whether it is short of the processor, or end it"),
    };
    format!(
        "the flusher of {folder} (pid {pid}) {how}, no pass for {seconds} s: {advice}; until then the log files show nothing \
         new, and what is logged is kept beside the rings, up to backlog_max"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn a_flusher_stands_still_after_two_seconds_and_ten_looks_and_not_after_a_suspend() {
        let scratch = Scratch::new("vigil");
        let folder = Folder::create(scratch.path()).expect("made");
        let (start, holder) = (Instant::now(), Holder::current());
        let at = |ms| start + Duration::from_millis(ms);
        let mut vigil = Vigil::default();
        assert_eq!(vigil.sleep(Duration::from_secs(1)), Duration::from_secs(1));
        let seen: Vec<bool> = (0..=11).map(|n| vigil.look(&folder, Some(holder), at(n * 200))).collect();
        assert_eq!(seen.iter().position(|still| *still), Some(10));
        assert_eq!(vigil.sleep(Duration::from_secs(1)), LOOK_AGAIN);
        let beat = Holder { heartbeat_ns: holder.heartbeat_ns + 1, ..holder };
        assert!(!vigil.look(&folder, Some(beat), at(2400)), "it beats");
        assert!(!vigil.look(&folder, Some(beat), at(3_600_000)), "an hour between two looks");
        assert!(!vigil.look(&folder, None, at(3_600_200)), "it is gone");
    }
}
