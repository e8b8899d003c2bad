//! The records of crash files, of which only those are shown that no log file has: what a process recorded in its ring alone.
//!
//! A crash file has no mark of what was drained before, so a record is known again by its process, level and message: of equal
//! ones the newest are those that are in the log.

use super::forward::Forward;
use super::head::{Head, LevelsByName};
use super::piece::{Bytes, Piece};
use super::role_log::{Record, RoleLog};
use super::select::message_of;
use super::spool::{MEMORY, Spool};
use super::timeline::Timeline;
use super::when::LineClock;
use lastwords::{Error, Result};
use lastwords_flusher::recover::crash_name::CrashName;
use lastwords_flusher::render::timestamp::Stamp;
use lastwords_ring::place::folder::Folder;
use lastwords_ring::place::open;
use serde_json::json;
use std::collections::HashMap;
use std::io::{self, Write};
use std::path::Path;
use std::rc::Rc;
use xxhash_rust::xxh3::Xxh3;

const MILLISECOND: u64 = 1_000_000;
/// What ends the records of a crash file.
const ENDS: [&[u8]; 2] = [b"\n\nattached     ", b"\n\nend          "];

/// Adds the records of a folder's crash files to its logs, each as a log of its own.
///
/// # Errors
/// [`Error::Io`] if the folder cannot be listed, or a file not be read.
pub(crate) fn add(folder: &Folder, roles: &[String], logs: &mut Vec<RoleLog>) -> Result<()> {
    let (zone, mut memory, mut found) = (folder.zone(), MEMORY, Vec::new());
    for name in open::list(folder.path()).map_err(Error::io("list the log folder", folder.path()))? {
        let Some(crash) = name.to_str().and_then(CrashName::parse) else { continue };
        if !roles.is_empty() && !roles.contains(&crash.role) {
            continue;
        }
        let path = folder.path().join(&name);
        let failed = || Error::io("read", &path);
        let own = RoleLog {
            role: crash.role.clone(),
            zone: zone.clone(),
            levels: logs.first().map_or_else(LevelsByName::default, |log| log.levels.clone()),
            text: Vec::new(),
            json: Vec::new(),
            spool: Rc::new(Spool::default()),
            spool_from: 0,
            shown: Rc::default(),
        };
        let size = open::look(&path).map_err(failed())?.st_size as u64;
        let piece = Piece::new(Bytes::File(open::to_read(&path).map_err(failed())?), 0..size);
        let mut records = Vec::new();
        read(&own, &piece, &path, &mut |crashed| {
            let record = Record { role: &own.role, head: crashed.head, text: Some(crashed.text), json: None };
            records.push((key(&record), crashed.head.ns));
            Ok(())
        })?;
        let alone = alone(&records, known(&crash, &records, logs).map_err(failed())?);
        let (mut spool, mut number, mut stamp) = (Spool::default(), 0, Stamp::new(zone.clone()));
        read(&own, &piece, &path, &mut |crashed| {
            number += 1;
            let Some(Some(ns)) = alone.get(number - 1) else { return Ok(()) };
            spool.add((0, 0, number as u64), crashed.text, &crashed.object(&own.role, *ns, &mut stamp), &mut memory)
        })?;
        if spool.len() > 0 {
            found.push(RoleLog { spool: Rc::new(spool), ..own });
        }
    }
    logs.extend(found);
    Ok(())
}

/// The times of the records that no log has; None for all others. A crash file has milliseconds: where the record before has a
/// better time in the log, it was not earlier than that.
fn alone(records: &[(u64, u64)], mut known: HashMap<u64, Vec<u64>>) -> Vec<Option<u64>> {
    // Of equal ones the newest are in the log.
    let mut twins: Vec<Option<u64>> = records.iter().rev().map(|(key, _)| known.get_mut(key)?.pop()).collect();
    twins.reverse();
    let mut least = 0;
    let times = records.iter().zip(twins).map(|((_, ns), twin)| match twin {
        Some(twin) => {
            least = twin;
            None
        }
        None if least / MILLISECOND == ns / MILLISECOND => Some(least.max(*ns)),
        None => Some(*ns),
    });
    times.collect()
}

/// The times of the records of each kind that the log of the role has.
fn known(crash: &CrashName, records: &[(u64, u64)], logs: &[RoleLog]) -> io::Result<HashMap<u64, Vec<u64>>> {
    let mut known: HashMap<u64, Vec<u64>> = records.iter().map(|(key, _)| (*key, Vec::new())).collect();
    let of_role: Vec<RoleLog> = logs.iter().filter(|log| log.role == crash.role).cloned().collect();
    let mut timeline = Timeline::forward(&of_role, None)?;
    while timeline.advance()? {
        let record = timeline.record();
        if record.head.pid == crash.pid
            && let Some(times) = known.get_mut(&key(&record))
        {
            times.push(record.head.ns);
        }
    }
    Ok(known)
}

fn key(record: &Record<'_>) -> u64 {
    let (start, end) = record.head.level_at;
    let line = record.text.or(record.json).unwrap_or_default();
    let mut sum = Xxh3::new();
    sum.update(&record.head.pid.to_le_bytes());
    sum.update(&line[start as usize..end as usize]);
    sum.update(&message_of(record));
    sum.digest()
}

/// A record of a crash file.
struct Crashed<'a> {
    head: Head,
    /// As a text file has it.
    text: &'a [u8],
    /// Name and number of its thread.
    thread: Option<(&'a [u8], u32)>,
}

impl Crashed<'_> {
    /// As an object, with its thread.
    fn object(&self, role: &str, ns: u64, stamp: &mut Stamp) -> Vec<u8> {
        let (head, mut object) = (&self.head, b"{\"time\":\"".to_vec());
        stamp.rfc3339(ns, &mut object);
        let level = String::from_utf8_lossy(&self.text[head.level_at.0 as usize..head.level_at.1 as usize]);
        let _ = write!(object, "\",\"level\":{}", json!(level));
        if let Some(level) = head.level {
            let _ = write!(object, ",\"level_number\":{}", level.number());
        }
        let _ = write!(object, ",\"role\":{},\"pid\":{}", json!(role), head.pid);
        if let Some((name, number)) = self.thread {
            let _ = write!(object, ",\"thread\":{number}");
            if !name.is_empty() {
                let _ = write!(object, ",\"thread_name\":{}", json!(String::from_utf8_lossy(name)));
            }
        }
        let message = &self.text[head.message_at as usize..];
        let message = String::from_utf8_lossy(message.strip_suffix(b"\n").unwrap_or(message));
        let _ = writeln!(object, ",\"message\":{}}}", json!(message));
        object
    }
}

/// Hands over each record of a crash file.
fn read(own: &RoleLog, piece: &Piece, path: &Path, take: &mut dyn FnMut(&Crashed<'_>) -> Result<()>) -> Result<()> {
    let (mut clock, mut levels) = (LineClock::new(own.zone.clone()), own.levels.clone());
    let (mut reader, mut text) = (Forward::new(vec![piece.clone()], false, None), Vec::new());
    while reader.advance().map_err(Error::io("read", path))? {
        let record = reader.record();
        // What is above the first one, and below the last, says what is known of the process.
        let Some(head) = Head::of_text(record, &mut clock, &mut levels) else { continue };
        let (before, message) = record.split_at(head.message_at as usize);
        let end = ENDS.iter().filter_map(|end| memchr::memmem::find(message, end)).min();
        let (thread, message) = thread_of(end.map_or(message, |end| &message[..end]));
        text.clear();
        text.extend_from_slice(before);
        text.extend_from_slice(message.strip_suffix(b"\n").unwrap_or(message));
        text.push(b'\n');
        take(&Crashed { head, text: &text, thread })?;
    }
    Ok(())
}

/// Name and number of the thread that stand before a message, and the message.
fn thread_of(message: &[u8]) -> (Option<(&[u8], u32)>, &[u8]) {
    let inner = message.strip_prefix(b"[").unwrap_or_default();
    let found = memchr::memmem::find_iter(inner, b"] ").find_map(|end| {
        let start = inner[..end].iter().rposition(|byte| *byte == b' ').map_or(0, |space| space + 1);
        let number = std::str::from_utf8(&inner[start..end]).ok()?.parse().ok()?;
        Some(((&inner[..start.saturating_sub(1)], number), &inner[end + 2..]))
    });
    found.map_or((None, message), |(thread, rest)| (Some(thread), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thread_is_told_from_the_message() {
        for (text, thread, message) in [
            ("[main 12] text", Some(("main", 12)), "text"),
            ("[12] [x] text", Some(("", 12)), "[x] text"),
            ("[a] b 7] x", Some(("a] b", 7)), "x"),
            ("text", None, "text"),
            ("[text", None, "[text"),
        ] {
            let expected = thread.map(|(name, number): (&str, u32)| (name.as_bytes(), number));
            assert_eq!(thread_of(text.as_bytes()), (expected, message.as_bytes()), "{text}");
        }
    }
}
