//! What is known of a death of which the process could leave no report, in words.
//!
//! The kernel's wait status is a proof. All else is evidence: the counts of a cgroup are those of all that is in it.

use crate::evidence::ending::{Ending, WaitStatus};
use crate::evidence::last_seen::{LastSeen, Seen, SeenGroup};
use crate::evidence::memory::{GroupMemory, Kills};
use crate::render::amount::{counted, memory};
use crate::render::timestamp::Stamp;
use serde_json::{Value, json};

/// What is known of such a death.
#[derive(Debug)]
pub(crate) struct Clues<'a> {
    status: Option<WaitStatus>,
    /// Nanoseconds since 1970.
    last_record_ns: Option<u64>,
    seen: Option<&'a Seen>,
    /// OOM kills in its cgroup, and since when.
    kills: Option<(Kills, u64)>,
}

impl<'a> Clues<'a> {
    /// Those of a process that ended like this; None if it said itself why, or could have.
    pub(crate) fn of(
        ending: Ending,
        status: Option<WaitStatus>,
        last_record_ns: Option<u64>,
        last: &'a LastSeen,
    ) -> Option<Clues<'a>> {
        const KILL: u32 = libc::SIGKILL.unsigned_abs();
        let kills = match ending {
            Ending::Killed(KILL) | Ending::Unknown => last.kills(),
            // The kernel kills by no other signal for want of memory.
            Ending::Killed(_) => None,
            _ => return None,
        };
        Some(Clues { status, last_record_ns, seen: last.seen(), kills })
    }

    /// A part of the death line; empty if nothing was seen.
    pub(crate) fn in_line(&self, stamp: &mut Stamp) -> String {
        let Some(seen) = self.seen else { return String::new() };
        let mut text = "; evidence: ".to_owned();
        if let Some(ns) = self.last_record_ns {
            text += &format!("last record at {}, ", stamp.shown(ns));
        }
        text += &format!("last seen at {} with {}", stamp.shown(seen.at_ns), usage(seen));
        if let Some(found) = seen.group.as_ref().and_then(|seen| seen.memory) {
            text += &format!(", its cgroup with {}", memory_of(found));
        }
        if let Some((kills, since)) = self.kills {
            text += &format!("; {} counted in its cgroup since {}", oom_kills(kills), stamp.shown(since));
        }
        text
    }

    /// Lines of the crash file's head.
    pub(crate) fn in_head(&self, stamp: &mut Stamp) -> String {
        let Some(seen) = self.seen else { return String::new() };
        let mut lines = vec![format!("last seen at {} with {}", stamp.shown(seen.at_ns), usage(seen))];
        if let Some(SeenGroup { group, memory, .. }) = &seen.group {
            let memory = memory.map_or("unknown".to_owned(), memory_of);
            lines.push(format!("memory of its cgroup {} then: {memory}", group.path.replace('\n', "\\n")));
        }
        if let Some((kills, since)) = self.kills {
            lines.push(format!(
                "{} counted in its cgroup, of whatever process, since {}",
                oom_kills(kills),
                stamp.shown(since)
            ));
        }
        lines.iter().map(|line| format!("{:<13}{line}\n", "evidence")).collect()
    }

    /// A member of the death line in JSON, with a comma before it.
    pub(crate) fn in_json(&self, stamp: &mut Stamp) -> String {
        let mut evidence = json!({
            "wait_status": self.status.map(|status| status.to_string()),
            "last_record": self.last_record_ns.map(|ns| rfc3339(stamp, ns)),
        });
        if let Some(seen) = self.seen {
            evidence["seen"] = rfc3339(stamp, seen.at_ns).into();
            evidence["resident_bytes"] = seen.usage.resident.into();
            evidence["threads"] = seen.usage.threads.into();
            evidence["cpu_seconds"] = seen.usage.cpu.as_secs_f64().into();
        }
        if let Some(found) = self.seen.and_then(|seen| seen.group.as_ref()) {
            evidence["cgroup"] = self.group_json(found, stamp);
        }
        format!(",\"evidence\":{evidence}")
    }

    fn group_json(&self, found: &SeenGroup, stamp: &mut Stamp) -> Value {
        let mut group = json!({
            "path": found.group.path,
            "memory_bytes": found.memory.map(|memory| memory.used),
            "limit_bytes": found.memory.and_then(|memory| memory.limit),
        });
        if let Some((kills, since)) = self.kills {
            group["oom_kills"] = kills.processes.into();
            group["oom_group_kills"] = kills.groups.into();
            group["oom_kills_since"] = rfc3339(stamp, since).into();
        }
        group
    }
}

fn usage(seen: &Seen) -> String {
    let usage = &seen.usage;
    let (resident, threads) = (memory(usage.resident), counted(usage.threads, "thread"));
    format!("{resident} resident, {threads}, {:.1} s of processor time", usage.cpu.as_secs_f64())
}

fn memory_of(found: GroupMemory) -> String {
    let limit = found.limit.map_or("no limit of its own".to_owned(), |limit| format!("limit {}", memory(limit)));
    format!("{}, {limit}", memory(found.used))
}

fn oom_kills(kills: Kills) -> String {
    match kills.groups {
        Some(groups) if groups > 0 => {
            format!("{}, {} of a whole cgroup,", counted(kills.processes, "OOM kill"), groups)
        }
        _ if kills.processes == 0 => "no OOM kill".to_owned(),
        _ => counted(kills.processes, "OOM kill"),
    }
}

fn rfc3339(stamp: &mut Stamp, ns: u64) -> String {
    let mut text = Vec::new();
    stamp.rfc3339(ns, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::last_seen::tests::FakeKernel;
    use lastwords_ring::place::zone::Zone;
    use std::time::Instant;

    const KILLED: Option<WaitStatus> = Some(WaitStatus::Killed(9));
    const RECORD_NS: u64 = 1_760_853_347_606_000_000;

    /// Seen once, and killed when the cgroup had counted so many kills more.
    fn seen(kernel: &FakeKernel, kills: u64) -> LastSeen {
        let mut last = LastSeen::default();
        kernel.look(&mut last, Instant::now());
        kernel.counts(4 + kills);
        last.look_back();
        last
    }

    /// The three forms, with T for the time of the look.
    fn told(ending: Ending, status: Option<WaitStatus>, last: &LastSeen) -> Option<[String; 3]> {
        let clues = Clues::of(ending, status, Some(RECORD_NS), last)?;
        let mut stamp = Stamp::new(Zone::utc());
        let all = [clues.in_line(&mut stamp), clues.in_head(&mut stamp), clues.in_json(&mut stamp)];
        let Some(at_ns) = last.seen().map(|seen| seen.at_ns) else { return Some(all) };
        let (shown, exact) = (stamp.shown(at_ns), rfc3339(&mut stamp, at_ns));
        Some(all.map(|text| text.replace(&shown, "T").replace(&exact, "T")))
    }

    fn json(text: &str) -> Value {
        serde_json::from_str(text.strip_prefix(",\"evidence\":").expect("a member")).expect("JSON")
    }

    #[test]
    fn a_kill_for_want_of_memory_is_told_as_evidence() {
        let kernel = FakeKernel::new("told-oom");
        let page = memory(300 * rustix::param::page_size() as u64);
        let [line, head, member] = told(Ending::Killed(9), KILLED, &seen(&kernel, 1)).expect("clues");
        let uses = format!("last seen at T with {page} resident, 12 threads, 2.5 s of processor time");
        assert_eq!(
            line,
            format!(
                "; evidence: last record at 2025-10-19 05:55:47.606, {uses}, its cgroup with 1 MiB, limit 2 MiB; \
                 1 OOM kill counted in its cgroup since T"
            )
        );
        let expected = format!(
            "evidence     {uses}\nevidence     memory of its cgroup /app then: 1 MiB, limit 2 MiB\n\
             evidence     1 OOM kill counted in its cgroup, of whatever process, since T\n"
        );
        assert_eq!(head, expected);
        let expected = json!({
            "wait_status": "killed by SIGKILL",
            "last_record": "2025-10-19T05:55:47.606000000+00:00",
            "seen": "T",
            "resident_bytes": 300 * rustix::param::page_size(),
            "threads": 12,
            "cpu_seconds": 2.5,
            "cgroup": {
                "path": "/app",
                "memory_bytes": 1 << 20,
                "limit_bytes": 2 << 20,
                "oom_kills": 1,
                "oom_group_kills": 0,
                "oom_kills_since": "T",
            },
        });
        assert_eq!(json(&member), expected);
    }

    #[test]
    fn that_nothing_was_killed_is_told_too() {
        let [line, ..] = told(Ending::Unknown, None, &seen(&FakeKernel::new("told-none"), 0)).expect("clues");
        assert!(line.ends_with("; no OOM kill counted in its cgroup since T"), "{line}");
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let kernel = FakeKernel::new("told-little");
        kernel.put("proc/41/cgroup", "0::/nowhere\n");
        let [line, head, member] = told(Ending::Unknown, None, &seen(&kernel, 1)).expect("clues");
        assert!(
            line.ends_with(" s of processor time") && head.ends_with("cgroup /nowhere then: unknown\n"),
            "{line}{head}"
        );
        let cgroup = json!({ "path": "/nowhere", "memory_bytes": null, "limit_bytes": null });
        assert_eq!((&json(&member)["wait_status"], &json(&member)["cgroup"]), (&Value::Null, &cgroup));
        let [line, head, member] = told(Ending::Unknown, None, &LastSeen::default()).expect("clues");
        let expected = json!({ "wait_status": null, "last_record": "2025-10-19T05:55:47.606000000+00:00" });
        assert_eq!((line.as_str(), head.as_str(), json(&member)), ("", "", expected));
    }

    #[test]
    fn only_deaths_without_a_report_need_evidence_and_oom_kills_come_by_sigkill() {
        let kernel = FakeKernel::new("told-which");
        let last = seen(&kernel, 1);
        for ending in
            [Ending::Exit, Ending::Signal(15), Ending::Exec, Ending::Panic, Ending::Fatal(11), Ending::Status(3)]
        {
            assert!(told(ending, None, &last).is_none(), "{ending:?}");
        }
        for forms in told(Ending::Killed(24), Some(WaitStatus::Killed(24)), &last).expect("clues") {
            assert!(!forms.contains("OOM") && !forms.contains("oom"), "{forms}");
        }
    }

    #[test]
    fn groups_that_were_killed_as_a_whole_are_said() {
        let kills = |processes, groups| oom_kills(Kills { processes, groups });
        assert_eq!(kills(1, None), "1 OOM kill");
        assert_eq!(kills(0, Some(0)), "no OOM kill");
        assert_eq!(kills(7, Some(1)), "7 OOM kills, 1 of a whole cgroup,");
    }
}
