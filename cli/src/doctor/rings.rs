//! The rings of a folder, and what they say of their processes.

use super::finding::Report;
use lastwords_flusher::recover::status::RingStatus;
use lastwords_flusher::render::amount::{counted, memory};
use lastwords_ring::format::layout::{RingHeader, clock_kind, ring_flag};
use lastwords_ring::format::text::escaped_path;
use lastwords_ring::place::folder::Folder;
use lastwords_ring::read::reader::RingReader;
use std::collections::BTreeMap;

const CHECK: &str = "rings";

/// A ring that was read.
pub(super) struct FoundRing {
    pub(super) status: RingStatus,
    /// Its role's log files take at most so many bytes.
    log_bytes: u64,
    /// Its records carry the processor's time-stamp counter.
    has_counter: bool,
    /// Its process did not close it.
    is_open: bool,
}

impl FoundRing {
    /// Whether a flusher has still something to write for it: records, or a crash file.
    pub(super) fn waits(&self) -> bool {
        !self.status.alive && (self.status.unread > 0 || self.is_open)
    }
}

/// All rings of a folder.
pub(super) struct FoundRings {
    pub(super) rings: Vec<FoundRing>,
    /// Why others could not be read.
    refused: Vec<String>,
}

impl FoundRings {
    /// Reads them, without a change to any.
    pub(super) fn of(folder: &Folder) -> FoundRings {
        let (mut rings, mut refused) = (Vec::new(), Vec::new());
        let names = folder.ring_names().unwrap_or_else(|error| {
            refused.push(error.to_string());
            Vec::new()
        });
        for name in names {
            match RingStatus::of(folder, &name) {
                Ok(Some(status)) => {
                    let reader = RingReader::open_in(folder, &name).ok();
                    let header = reader.as_ref().map(RingReader::header);
                    let has_counter = header.is_some_and(|header| header.clock_kind == clock_kind::TSC);
                    let control = reader.as_ref().and_then(|reader| reader.control().ok());
                    let is_open = control.is_some_and(|control| control.closed.is_crash());
                    let log_bytes = header.map_or(0, log_bytes);
                    rings.push(FoundRing { status, log_bytes, has_counter, is_open });
                }
                // The flusher may have removed it since it was listed.
                Ok(None) => {}
                Err(error) => refused.push(error.to_string()),
            }
        }
        FoundRings { rings, refused }
    }

    pub(super) fn living(&self) -> impl Iterator<Item = &FoundRing> {
        self.rings.iter().filter(|ring| ring.status.alive)
    }

    pub(super) fn waiting(&self) -> impl Iterator<Item = &FoundRing> {
        self.rings.iter().filter(|ring| ring.waits())
    }

    /// The greatest size of each role's log files.
    pub(super) fn log_bytes(&self) -> BTreeMap<String, u64> {
        self.living().filter(|ring| ring.log_bytes > 0).map(|ring| (ring.status.role.clone(), ring.log_bytes)).collect()
    }

    /// Says what there is, and what is wrong with it.
    pub(super) fn report(&self, folder: &Folder, report: &mut Report) {
        let (all, living) = (self.rings.len() as u64, self.living().count());
        report.fine(CHECK, format_args!("{} that can be read, {living} of processes that live", counted(all, "ring")));
        let kept = format!(
            "move it out of {}; lastwords recover FILE prints what can be read of it",
            escaped_path(&folder.rings())
        );
        self.refused.iter().for_each(|error| report.refused(CHECK, error, &kept));
        for ring in &self.rings {
            losses(&ring.status, report);
        }
        for ring in self.living() {
            of_living(ring, report);
        }
    }
}

fn log_bytes(header: &RingHeader) -> u64 {
    let has = |flag: u32| header.flags & flag != 0;
    let files = if has(ring_flag::JSON) && !has(ring_flag::NO_TEXT) { 2 } else { 1 };
    header.rotate_size.saturating_mul(u64::from(header.rotate_keep) + 1).saturating_mul(files)
}

fn losses(status: &RingStatus, report: &mut Report) {
    let RingStatus { role, pid, lost, records, .. } = status;
    if *lost > 0 {
        report.warning(
            "losses",
            format_args!("{lost} of {records} records of {role} (pid {pid}) were lost"),
            "with full_policy = block, more slots_per_lane or a larger backlog_max fewer are; see that the flusher keeps up",
        );
    }
}

fn of_living(ring: &FoundRing, report: &mut Report) {
    let status = &ring.status;
    let whose = format!("{} (pid {})", status.role, status.pid);
    if status.inode == 0 {
        let remedy = "share one /dev/shm (--ipc), or put the rings into the log folder (memory = file)";
        report.warning(CHECK, format_args!("of {whose}: {}", status.state), remedy);
        return;
    }
    if let Some(size) = status.smaller {
        let what = format!("the ring of {whose} has only {}, because there was no room for more", memory(size));
        report.warning(CHECK, what, "free space, then start that process again");
    }
    if status.backlog_max > 0 && status.kept >= status.backlog_max / 2 {
        let what =
            format!("{whose} keeps {} of at most {} beside its ring", memory(status.kept), memory(status.backlog_max));
        report.warning("backlog", what, "see to the flusher; beyond that, full_policy decides what is lost");
    }
    if !status.unmatched.is_empty() {
        let what = format!("nothing of {whose} has matched {} so far", status.unmatched.join(","));
        report.warning("settings", what, "correct the target in log; directives match the beginning of a target");
    }
    if ring.has_counter
        && let Some(source) = super::machine::clock_source().filter(|source| source != "tsc")
    {
        let what = format!("{whose} began with the time-stamp counter, which the kernel has left for {source} since");
        report.warning("clock", what, "its times may be wrong: start that process again");
    }
}
