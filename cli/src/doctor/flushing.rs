//! Who flushes, how far it is behind, and what nobody drains.

use super::finding::Report;
use super::rings::{FoundRing, FoundRings};
use lastwords_flusher::render::amount::counted;
use lastwords_flusher::standstill::Standstill;
use lastwords_ring::format::layout::FORMAT_VERSION;
use lastwords_ring::format::text::escaped_path;
use lastwords_ring::place::clock::boottime_ns;
use lastwords_ring::place::folder::Folder;
use lastwords_ring::place::lock_holder::Holder;
use lastwords_ring::place::process::boot_id;
use std::time::Duration;

const CHECK: &str = "flusher";
/// A flusher that can run and has made no pass for so long, or is so far behind: asleep it has a heartbeat every half second.
const STALE: Duration = Duration::from_secs(2);

pub(super) fn examine(folder: &Folder, found: &FoundRings, report: &mut Report) {
    let holder = Holder::read(folder).filter(Holder::may_live);
    match &holder {
        None => nobody(folder, found, report),
        Some(holder) => {
            look(holder, report);
            found.living().for_each(|ring| behind(ring, report));
        }
    }
    waiting(folder, holder.is_some(), found, report);
}

fn nobody(folder: &Folder, found: &FoundRings, report: &mut Report) {
    let (living, unread) = (found.living().count() as u64, unread(found.living()));
    if living == 0 {
        return report.fine(CHECK, "none, and no process that logs");
    }
    let what = format!(
        "none, while {} to the folder; {} in their rings only",
        if living == 1 { "1 process logs".to_owned() } else { format!("{living} processes log") },
        counted(unread, "record"),
    );
    report.warning(CHECK, what, format_args!("{} drains for all of them", command("lastwords flush", folder)));
}

fn look(holder: &Holder, report: &mut Report) {
    let pid = holder.process.pid;
    if holder.version != FORMAT_VERSION {
        let what = format!(
            "pid {pid} reads rings of format {}, and this program is of format {FORMAT_VERSION}",
            holder.version
        );
        report.warning(CHECK, what, "end the older program, so that one of the newer version flushes");
    }
    // The clock of another boot, of another machine, has nothing to do with ours.
    let same = holder.process.boot_id == boot_id();
    let age = same.then(|| Duration::from_nanos(boottime_ns().saturating_sub(holder.heartbeat_ns)));
    let ago = age.map_or_else(String::new, |age| format!(", no pass for {:.1} s", age.as_secs_f64()));
    match Standstill::of_holder(holder) {
        Some(standstill) => {
            report.problem(CHECK, format_args!("pid {pid} is {}{ago}", standstill.name()), standstill.advice());
        }
        None if age.is_some_and(|age| age >= STALE) => {
            let remedy =
                "see to its nice value, cgroup and processors, or flush in a process that has some: lastwords flush";
            report.warning(CHECK, format_args!("pid {pid}{ago}: it is busy, or short of the processor"), remedy);
        }
        None => report.fine(CHECK, format_args!("pid {pid}")),
    }
}

fn behind(FoundRing { status, .. }: &FoundRing, report: &mut Report) {
    if status.unread > 0 && status.lag >= STALE {
        let (role, pid) = (&status.role, status.pid);
        let records = counted(status.unread, "record");
        let what = format!("{:.1} s behind with {role} (pid {pid}), {records}", status.lag.as_secs_f64());
        report.warning(CHECK, what, "give it a faster disk or more processor, or log less");
    }
}

/// Rings of processes that ended before all was written. Of those that ended in order nothing is missing.
fn waiting(folder: &Folder, has_flusher: bool, found: &FoundRings, report: &mut Report) {
    let (rings, records) = (found.waiting().count() as u64, counted(unread(found.waiting()), "record"));
    let what = format!("{} of ended processes, {records} to come", counted(rings, "ring"));
    match rings {
        0 => {}
        _ if has_flusher => report.fine("ended processes", what),
        _ => report.warning("ended processes", what, command("lastwords flush --once", folder)),
    }
}

fn unread<'a>(rings: impl Iterator<Item = &'a FoundRing>) -> u64 {
    rings.map(|ring| ring.status.unread).sum()
}

fn command(words: &str, folder: &Folder) -> String {
    format!("{words} {}", escaped_path(folder.path()))
}
