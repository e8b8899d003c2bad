//! Limits of a process (`ulimit`), as this one has them.

use super::finding::Report;
use lastwords::__private::Requested;
use lastwords_flusher::flusher::refuse_file_size_limit;
use lastwords_flusher::render::amount::memory;
use rustix::process::{Resource, getrlimit};

const CHECK: &str = "limits";
/// The flusher's own files and up to 32 rings, beside those of a small program.
const FILES_MIN: u64 = 64;
/// Address space for a program and its threads, beside the ring.
const SPACE: u64 = 256 << 20;

pub(super) fn examine(requested: Option<&Requested>, report: &mut Report) {
    let ring = requested.map_or(0, |requested| requested.ring_bytes);
    let limit = |resource: Resource| getrlimit(resource).current;
    let mut is_fine = true;
    let mut warn = |what: String, remedy: &str| {
        is_fine = false;
        report.warning(CHECK, what, remedy);
    };
    if refuse_file_size_limit().is_err() {
        let bytes = limit(Resource::Fsize).unwrap_or_default();
        let what = format!("files may have {} (ulimit -f): a process flushes only from 1 MiB on", memory(bytes));
        warn(what, "ulimit -f unlimited, or leave flushing to another process");
    } else if let Some(bytes) = limit(Resource::Fsize).filter(|bytes| *bytes < ring) {
        let what =
            format!("files may have {} (ulimit -f): rings are made smaller than {}", memory(bytes), memory(ring));
        warn(what, "ulimit -f unlimited, or lower slots_per_lane or lanes");
    }
    if let Some(files) = limit(Resource::Nofile).filter(|files| *files < FILES_MIN) {
        let what =
            format!("{files} files may be open (ulimit -n): before Linux 5.9 a flusher reads its rings in turn then");
        warn(what, "ulimit -n 1024");
    }
    if let Some(bytes) = limit(Resource::As).filter(|bytes| *bytes < ring.saturating_add(SPACE)) {
        let what = format!("{} of address space (ulimit -v): a ring takes {} of it", memory(bytes), memory(ring));
        warn(what, "ulimit -v unlimited, or lower slots_per_lane or lanes");
    }
    if is_fine {
        report.fine(CHECK, "file size, open files and address space suffice (ulimit -f, -n, -v)");
    }
}
