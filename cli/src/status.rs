//! `lastwords status`.

use crate::cli::Status;
use crate::exit::Exit;
use crate::level::keep;
use crate::say;
use crate::table::table;
use lastwords::{Directives, Result};
use lastwords_flusher::recover::cgroup::{self, Cgroups};
use lastwords_flusher::recover::status::RingStatus;
use lastwords_flusher::render::timestamp::Stamp;
use lastwords_flusher::standstill::Standstill;
use lastwords_ring::format::text::{escaped, escaped_json};
use lastwords_ring::place::clock::boottime_ns;
use lastwords_ring::place::folder::Folder;
use lastwords_ring::place::lock_holder::Holder;
use lastwords_ring::place::process::boot_id;
use lastwords_ring::place::zone::Zone;
use serde_json::{Value, json};
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

/// A flusher that can run and has made no pass for so long is reported: asleep it has a heartbeat every half second.
const STALE_MS: u64 = 2000;
/// Time between two refreshes of `--watch`.
const WATCH: Duration = Duration::from_secs(1);
/// Characters of a command line in the table.
const COMMAND_SHOWN: usize = 60;
/// Characters of a cgroup's name in the table: enough to distinguish containers.
const CGROUP_SHOWN: usize = 24;

pub(crate) fn run(arguments: &Status) -> Result<Exit> {
    let folder = arguments.logs.open()?;
    if !arguments.watch {
        return look(&folder, arguments.json).map(|(exit, _)| exit);
    }
    loop {
        // Clears the screen of a terminal; a file gets one table after the other.
        if io::stdout().is_terminal() {
            say::print(b"\x1b[H\x1b[2J")?;
        }
        if !look(&folder, arguments.json)?.1 {
            return Ok(Exit::Done);
        }
        std::thread::sleep(WATCH);
        // What cannot be inspected is taken as unchanged; another folder that has its path by now is read from now on.
        let _ = folder.refresh();
    }
}

/// A ring and its process.
struct Found {
    name: String,
    status: RingStatus,
    cgroup: Option<String>,
}

/// Prints all rings once, and returns whether somebody reads it.
fn look(folder: &Folder, json: bool) -> Result<(Exit, bool)> {
    let (mut rings, mut refused, cgroups) = (Vec::new(), Vec::new(), Cgroups::default());
    for name in folder.ring_names()? {
        match RingStatus::of(folder, &name) {
            Ok(Some(status)) => {
                let cgroup = if status.alive { cgroups.of(&status.process, status.inode) } else { None };
                rings.push(Found { name, status, cgroup });
            }
            // The flusher may have removed it since it was listed.
            Ok(None) => {}
            Err(error) => refused.push(error.to_string()),
        }
    }
    let mut kept = Vec::new();
    for (role, level) in keep::of(folder, None)? {
        match level {
            Ok(level) => kept.push((role, level)),
            Err(error) => refused.push(error.to_string()),
        }
    }
    let flusher = Holder::read(folder).filter(Holder::may_live);
    let text = if json {
        let rings: Vec<Value> = rings.iter().map(object).collect();
        let kept: Vec<Value> = kept.iter().map(|(role, level)| keep::object(role, level)).collect();
        let all =
            json!({ "flusher": flusher.map(describe), "rings": rings, "kept_levels": kept, "unreadable": refused });
        escaped_json(&all.to_string()) + "\n"
    } else {
        show(flusher, &rings) + &kept.iter().map(|(role, level)| keep::line(role, level)).collect::<String>()
    };
    let has_reader = say::has_reader(say::Output.write_all(text.as_bytes()));
    refused.iter().for_each(|error| say::note(format_args!("{error}")));
    let exit = match rings.len() {
        _ if !refused.is_empty() => Exit::Damaged,
        0 => Exit::Nothing,
        _ => Exit::Done,
    };
    Ok((exit, has_reader?))
}

fn describe(holder: Holder) -> Value {
    let state = Standstill::of_holder(&holder).map_or("running", |standstill| match standstill {
        Standstill::Stopped => "stopped",
        Standstill::Traced => "traced",
        Standstill::Frozen => "frozen",
        Standstill::Kernel => "waits in the kernel",
    });
    json!({ "pid": holder.process.pid, "last_pass_ms": since_last_pass(&holder), "state": state })
}

/// Milliseconds since the flusher's last pass; None if it belongs to another boot or machine.
fn since_last_pass(holder: &Holder) -> Option<u64> {
    (holder.process.boot_id == boot_id()).then(|| boottime_ns().saturating_sub(holder.heartbeat_ns) / 1_000_000)
}

fn object(Found { name, status, cgroup }: &Found) -> Value {
    json!({
        "ring": name,
        "role": status.role,
        "pid": status.pid,
        "alive": status.alive,
        "state": status.state,
        "started": rfc3339(status.started_ns),
        "command": status.command,
        "cgroup": cgroup,
        "unread": status.unread,
        "fill": status.fill,
        "records": status.records,
        "ring_only": status.ring_only,
        "lost": status.lost,
        "late": status.late,
        "lag_ms": status.lag.as_secs_f64() * 1e3,
        "smaller": status.smaller,
        "kept_bytes": status.kept,
        "backlog_max_bytes": status.backlog_max,
        "log": status.filter.directives.to_string(),
        "unmatched": status.unmatched,
        "ring_level": Directives::from(status.filter.ring_level).to_string(),
    })
}

/// When it began, in local time, to the second.
fn started(ns: u64) -> String {
    let mut text = Stamp::new(Zone::local()).shown(ns);
    text.truncate("2025-10-19 05:55:47".len());
    text
}

fn rfc3339(ns: u64) -> String {
    Stamp::new(Zone::utc()).shown(ns).replacen(' ', "T", 1) + "Z"
}

/// The command line as far as a table has room for it; the whole of it is in the JSON.
fn command(arguments: &[String]) -> String {
    shown(&arguments.join(" "), COMMAND_SHOWN)
}

/// Service or container, as far as a table has room for it.
fn cgroup(path: Option<&str>) -> String {
    path.and_then(cgroup::name).map_or_else(|| "-".to_owned(), |name| shown(name, CGROUP_SHOWN))
}

fn shown(text: &str, characters: usize) -> String {
    let whole = escaped(text);
    let short: String = whole.chars().take(characters).collect();
    if short.len() < whole.len() { short + "…" } else { short }
}

/// The backlog and its limit, in MiB.
fn kept(status: &RingStatus) -> String {
    let mib = |bytes: u64| {
        let text = format!("{:.1}", bytes as f64 / f64::from(1 << 20));
        text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
    };
    match (status.kept, status.backlog_max) {
        (0, _) => "0".to_owned(),
        (kept, max) => format!("{} of {} MiB", mib(kept), mib(max)),
    }
}

/// Whether the flusher is at work; if it is stalled, since when, and what to do.
fn how_it_is(holder: &Holder) -> String {
    let ago = since_last_pass(holder);
    let no_pass = ago.map_or_else(String::new, |ms| format!(", no pass for {:.1} s", ms as f64 / 1e3));
    match Standstill::of_holder(holder) {
        Some(standstill) => {
            let (name, advice) = (standstill.name(), standstill.advice());
            format!(
                ", {name}{no_pass}: {advice}; until then the log files show nothing new, and what is logged is kept beside \
                 the rings as far as KEPT allows"
            )
        }
        None if ago.is_some_and(|ms| ms >= STALE_MS) => format!("{no_pass}: it is busy, or short of the processor"),
        None => ago.map_or_else(String::new, |ms| format!(", its last pass {ms} ms ago or less")),
    }
}

fn show(flusher: Option<Holder>, rings: &[Found]) -> String {
    let mut text = match flusher {
        None => "flusher: none; what is logged stays in the rings\n".to_owned(),
        Some(holder) => format!("flusher: pid {}{}\n", holder.process.pid, how_it_is(&holder)),
    };
    if rings.is_empty() {
        return text + "no rings\n";
    }
    let titles = [
        "ROLE",
        "PID",
        "STATE",
        "FILL",
        "RECORDS",
        "UNREAD",
        "RING-ONLY",
        "LOST",
        "LATE",
        "LAG",
        "KEPT",
        "LOG",
        "RING-LEVEL",
        "STARTED",
        "CGROUP",
        "COMMAND",
    ];
    let mut rows = vec![titles.map(str::to_owned)];
    rows.extend(rings.iter().map(|Found { status, cgroup: path, .. }| {
        [
            escaped(&status.role),
            status.pid.to_string(),
            escaped(&status.state),
            format!("{:.0}%", status.fill * 100.0),
            status.records.to_string(),
            status.unread.to_string(),
            status.ring_only.to_string(),
            status.lost.to_string(),
            status.late.to_string(),
            format!("{:.1} ms", status.lag.as_secs_f64() * 1e3),
            kept(status),
            escaped(&status.filter.directives.to_string()),
            Directives::from(status.filter.ring_level).to_string(),
            started(status.started_ns),
            cgroup(path.as_deref()),
            command(&status.command),
        ]
    }));
    text += &table(&rows);
    for Found { status, .. } in rings {
        if !status.unmatched.is_empty() {
            let (directives, pid) = (escaped(&status.unmatched.join(",")), status.pid);
            text += &format!("nothing of pid {pid} has matched {directives} so far: no call had such a target\n");
        }
        if let Some(size) = status.smaller {
            text +=
                &format!("the ring of pid {} has only {size} bytes, because there was no room for more\n", status.pid);
        }
    }
    text
}
