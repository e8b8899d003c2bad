//! The flusher's own lines in the log files.

use crate::evidence::ending::Ending;
use crate::render::amount::counted;
use crate::render::line::RENDERED_TIMES;
use crate::render::timestamp::Stamp;
use lastwords_ring::error::Error;
use lastwords_ring::place::folder::Folder;
use lastwords_ring::place::zone::{Zone, offset_text};
use lastwords_ring::read::ring_file::RingFileState;
use std::io;
use std::path::Path;
use std::time::Duration;

/// What a line begins with that says which offset the times behind it have.
pub const FROM_HERE: &str = "lastwords: from here on times are UTC";

/// Later times have another offset.
pub(crate) fn offset_changed(from: i32, to: i32, zone: &Zone) -> String {
    let (from, to) = (offset_text(from), offset_text(to));
    // The name would only repeat the offset.
    let name = if zone.name() == to { String::new() } else { format!(" ({})", zone.name()) };
    format!("{FROM_HERE}{to}{name}, before UTC{from}")
}

/// The rules of the folder's zone are not known here.
pub(crate) fn zone_unknown(zone: &Zone) -> String {
    let offset = offset_text(zone.offset(0));
    format!(
        "lastwords: the time zone {} is not known where this process flushes; times have its last offset, UTC{offset}",
        zone.name()
    )
}

/// Records that were overwritten before they could be read.
pub(crate) fn overwritten(count: u64, before: Option<u64>, after: u64, stamp: &mut Stamp) -> String {
    let after = stamp.shown(after);
    let records = counted(count, "record");
    match before {
        Some(before) => {
            let before = stamp.shown(before);
            format!("lastwords: {records} lost, overwritten in the full ring between {before} and {after}")
        }
        None => format!("lastwords: {records} lost, overwritten in the full ring before {after}"),
    }
}

/// Records that the producer dropped.
pub(crate) fn dropped(count: u64, first: u64, last: u64, stamp: &mut Stamp) -> String {
    let (first, last) = (stamp.shown(first), stamp.shown(last));
    let records = counted(count, "record");
    format!("lastwords: {records} lost, dropped at the full ring or before there was one, between {first} and {last}")
}

/// The line above the records of an earlier run, where they are older than what is in the file.
pub(crate) fn earlier_run(rings: usize) -> String {
    let processes = if rings == 1 { "this process".to_owned() } else { format!("{rings} processes") };
    format!(
        "lastwords: the records that follow were left by an earlier run of {processes} and are older than this line"
    )
}

/// Records that carry times from after the moment at which they were read.
pub(crate) fn ahead(name: &str, count: u64, by: Duration) -> String {
    let (records, seconds) = (counted(count, "record"), by.as_secs_f64());
    format!(
        "lastwords: {records} of the ring {name} had times up to {seconds:.1} s ahead of the clock: it went back, or the ring \
         is damaged; they are in the order in which their threads logged them, their times not later than when they were read"
    )
}

/// The kernel has found the clock of the rings wrong.
pub(crate) fn clock_left(source: &str) -> String {
    format!(
        "lastwords: the kernel keeps time by {source} now and no longer by the time-stamp counter, by which running processes \
         order their records: lines of different threads may be out of order, their times off by up to a second of activity; \
         processes that are started anew use the kernel's clock"
    )
}

/// The line above the ring-only records that led up to an error.
pub(crate) fn pulled(records: usize) -> String {
    let records = counted(records as u64, "record");
    format!("lastwords: {records} from before the error below, recorded in the ring only, and older than this line:")
}

/// A file in the rings folder that cannot be drained.
pub(crate) fn refused(error: &Error) -> String {
    format!("lastwords: skipped: {error}")
}

/// Shared memory that is gone, with what it held.
pub(crate) fn memory_gone(name: &str) -> String {
    format!(
        "lastwords: the shared memory of {name} is gone, removed or lost with a reboot, and what it still held with it"
    )
}

/// Something other than a regular file had the log file's name.
pub(crate) fn moved_aside(to: &Path) -> String {
    format!("lastwords: what had this file's name was a link or not a regular file; it is now {}", to.display())
}

/// A log file that may not be written to.
pub(crate) fn unwritable(to: &Path) -> String {
    format!("lastwords: what had this file's name may not be written to; it is now {}", to.display())
}

/// An external modification of the journal.
pub(crate) fn found_by_journal(what: &str) -> String {
    format!("lastwords: {what}")
}

/// The journal was removed or damaged after lines were written.
pub(crate) fn journal_gone() -> &'static str {
    "lastwords: the journal was removed or damaged by somebody else; the last lines above may appear once more below"
}

/// The current log file was truncated.
pub(crate) fn file_cut(from: u64, to: u64) -> String {
    format!("lastwords: this file had {from} bytes and was truncated to {to} by somebody else")
}

/// Another program wrote to the current log file.
pub(crate) fn file_grown(by: u64) -> String {
    format!("lastwords: {by} bytes above this line were not written by lastwords")
}

/// The current log file has another name now.
pub(crate) fn file_renamed() -> &'static str {
    "lastwords: the file that had this name before was renamed by somebody else"
}

/// The current log file is gone.
pub(crate) fn file_removed() -> &'static str {
    "lastwords: the file that had this name before was removed by somebody else, with the lines in it"
}

/// The file of a tracked ring was modified.
pub(crate) fn ring_disturbed(name: &str, state: RingFileState) -> String {
    match state {
        RingFileState::Whole => format!("lastwords: the ring {name} is as it was"),
        RingFileState::Truncated(size) => format!(
            "lastwords: the ring {name} was truncated to {size} bytes by somebody else; what it still held behind them is lost"
        ),
        RingFileState::Overwritten => {
            format!("lastwords: the ring {name} was overwritten by somebody else; what is still whole in it follows")
        }
        RingFileState::Gone => format!(
            "lastwords: the ring {name} was removed or replaced by somebody else; what its process logs is read as long as \
             this flusher lives, and lost after that"
        ),
    }
}

/// A dead process's ring would render to more than any process can have meant.
pub(crate) fn withheld(count: u64, limit: u64) -> String {
    format!(
        "lastwords: {} left out: what this ring holds would fill more than {limit} bytes, {} times its size",
        counted(count, "record"),
        RENDERED_TIMES
    )
}

/// A record that exceeds the file size limit.
pub(crate) fn too_long(bytes: usize, limit: usize) -> String {
    format!(
        "lastwords: a record of {bytes} bytes is left out, the file size limit (ulimit -f) of the flusher allows {limit} for one"
    )
}

/// The current log file cannot be renamed.
pub(crate) fn not_rotated(size: u64, error: &Error) -> String {
    format!(
        "lastwords: this file has its size of {size} bytes and cannot be rotated ({error}); it goes on, and this is tried \
         again after as many bytes more, or a minute"
    )
}

/// Rotated files could not be compressed.
#[cfg(feature = "zstd")]
pub(crate) fn not_compressed(error: &Error) -> String {
    format!("lastwords: {error}; rotated files stay as they are, and this is tried again after a minute")
}

/// Rotated files cannot be compressed by this build.
#[cfg(not(feature = "zstd"))]
pub(crate) const CANNOT_COMPRESS: &str = "lastwords: rotated files stay as they are, although their process asks for compression: \
     the program that flushes is built without the feature \"zstd\" of lastwords";

/// A log file could not be rotated when its hour or day was over.
pub(crate) fn not_rotated_in_time(error: &Error) -> String {
    format!(
        "lastwords: the hour or day of this file is over and it cannot be rotated ({error}); it goes on, and this is tried \
         again after a minute"
    )
}

/// A log file could not be rotated before the first line of another layout.
pub(crate) fn not_rotated_for_layout(error: &Error) -> String {
    format!(
        "lastwords: another layout of lines is asked for and this file cannot be rotated ({error}); it goes on with both, and \
         this is tried again after a minute"
    )
}

/// A log file could not get the requested mode or group.
pub(crate) fn not_shared(error: &io::Error) -> String {
    format!("lastwords: this file could not get the mode and group that are asked for ({error}); it stays as it is")
}

/// The flusher's process has changed its user and may not write in the folder any more.
pub fn rights_lost(folder: &Folder, why: &Error) -> String {
    let path = folder.path().display();
    format!(
        "cannot flush any more: {why}; what is logged stays in the rings until `lastwords flush {path}` is run as root or as that user"
    )
}

/// A write failed for a while.
pub(crate) fn write_failed(duration: Duration, error: &str) -> String {
    format!(
        "lastwords: for {:.1} s the log could not be written ({error}); lines of that time came late",
        duration.as_secs_f64()
    )
}

/// The machine stopped before the end of the file was on the disk.
pub(crate) fn stopped_before(missing: u64) -> String {
    let bytes = counted(missing, "byte");
    format!("lastwords: the machine stopped before {bytes} of lines that were here reached the disk; they are lost")
}

/// The machine stopped before parts of the file were on the disk.
pub(crate) fn stopped_within(zeros: u64) -> String {
    let bytes = counted(zeros, "byte");
    format!(
        "lastwords: the machine stopped before {bytes} of the lines above were on the disk; zeros are in their place"
    )
}

/// The machine stopped, and what the file lacks is not known.
pub(crate) fn stopped() -> &'static str {
    "lastwords: the machine stopped without an orderly end; what was not on its disk by then is missing above or truncated, and \
     some lines may be here twice"
}

/// A sync fails.
pub(crate) fn sync_fails(why: &str) -> String {
    format!(
        "lastwords: the log cannot be brought to the disk ({why}); a power loss may take what is logged from here on"
    )
}

/// Syncs work again.
pub(crate) fn sync_works(duration: Duration, why: &str) -> String {
    let seconds = duration.as_secs_f64();
    format!("lastwords: for {seconds:.1} s the log could not be brought to the disk ({why}); from here on it is again")
}

/// What the alarm about an ended process contains.
#[derive(Debug)]
pub(crate) struct Death<'a> {
    pub(crate) ending: Ending,
    pub(crate) pid: u32,
    pub(crate) role: &'a str,
    /// Records that were drained after it.
    pub(crate) recovered: u64,
    /// Log calls that it interrupted.
    pub(crate) in_flight: usize,
    /// Slots of its ring that were damaged.
    pub(crate) damaged: u64,
}

/// How a process ended, if that is worth an alarm.
pub(crate) fn death(of: &Death<'_>) -> Option<String> {
    let mut text = match of.ending {
        Ending::Exec => return None,
        ending @ Ending::Panic => format!("lastwords: the process {ending}"),
        ending if ending.is_crash() => format!("lastwords: the process {ending} its log"),
        _ if of.damaged > 0 => "lastwords: the process ended".to_owned(),
        _ => return None,
    };
    text += &format!(" (pid {}, role {})", of.pid, of.role);
    text += &format!("; {} recovered after the last drain", counted(of.recovered, "record"));
    match of.in_flight {
        0 => {}
        count => text += &format!(", {} interrupted", counted(count as u64, "log call")),
    }
    if of.damaged > 0 {
        text += &format!(", {} of its ring damaged", counted(of.damaged, "slot"));
    }
    Some(text)
}
