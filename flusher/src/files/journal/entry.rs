//! What an entry holds, and the bytes of its changes.

use lastwords_ring::format::role::is_role;
use lastwords_ring::place::folder::{is_log_name, is_ring_name};
use lastwords_ring::place::process::is_another_boot;

/// One change of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// What follows, up to the next of these, belongs to this role, and is applied independently of the others'.
    Of {
        /// The role.
        role: String,
    },
    /// Bytes for a log file.
    Append {
        /// Name of the log file, see [`is_log_name`].
        log: String,
        /// Device and inode of the file.
        file: (u64, u64),
        /// Where they go.
        offset: u64,
        /// How many.
        length: u64,
    },
    /// A lane's new position.
    Position {
        /// Name of the ring's file.
        ring: String,
        /// The ring's UUID.
        uuid: [u8; 16],
        /// Lane number.
        lane: u32,
        /// The consumer's words.
        words: [u64; 8],
    },
    /// A dead ring that has been drained to the end.
    Remove {
        /// Name of the ring's file.
        ring: String,
        /// The ring's UUID.
        uuid: [u8; 16],
    },
    /// The death of the ring's process is logged; the ring stays, because it is still locked.
    DeathLogged {
        /// Name of the ring's file.
        ring: String,
        /// The ring's UUID.
        uuid: [u8; 16],
    },
    /// One rename of a rotation: `host.log.<from>` to `host.log.<to>`, where 0 is `host.log`, or of archives.
    Rename {
        /// Name of the log file, see [`is_log_name`].
        log: String,
        /// Device and inode of the file.
        file: (u64, u64),
        /// Its number now.
        from: u32,
        /// Its number after.
        to: u32,
        /// It is an archive: `host.log.<from>.zst`.
        archive: bool,
    },
    /// A rotated file whose archive is complete goes, if the archive has its name.
    Archived {
        /// Name of the log file, see [`is_log_name`].
        log: String,
        /// Device and inode of the file.
        file: (u64, u64),
        /// Those of its archive.
        archive: (u64, u64),
        /// The number of both.
        number: u32,
    },
}

impl Change {
    /// Whether it decides the fate of a dead process's ring.
    pub(crate) fn ends_ring(&self) -> bool {
        matches!(self, Change::Remove { .. } | Change::DeathLogged { .. })
    }
}

/// A whole entry, as found at the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Epoch.
    pub epoch: u64,
    /// Boot during which it was written.
    pub boot_id: [u8; 16],
    /// Changes, in the order in which they are applied.
    pub changes: Vec<Change>,
    /// Bytes of all appends.
    pub bytes: Vec<u8>,
}

impl Entry {
    /// Whether the machine has stopped since: what was written may not have reached the disk.
    #[must_use]
    pub fn is_of_another_boot(&self) -> bool {
        is_another_boot(&self.boot_id)
    }

    /// Whether it only records that everything has been applied, and how long the files were then.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let says_sizes = |change: &Change| matches!(change, Change::Append { .. } | Change::Of { .. });
        self.bytes.is_empty() && self.changes.iter().all(says_sizes)
    }

    /// The changes of each role, with the bytes of its appends, as entries of their own. What precedes the first role's comes
    /// first.
    #[must_use]
    pub fn parts(&self) -> Vec<Entry> {
        let mut parts = Vec::<Entry>::new();
        for (change, bytes) in self.changes_with_bytes() {
            if parts.is_empty() || matches!(change, Change::Of { .. }) {
                parts.push(Entry { changes: Vec::new(), bytes: Vec::new(), ..*self });
            }
            let Some(part) = parts.last_mut() else { continue };
            part.bytes.extend_from_slice(bytes);
            part.changes.push(change.clone());
        }
        parts
    }

    /// Each change with its bytes; only appends have any.
    pub(crate) fn changes_with_bytes(&self) -> impl Iterator<Item = (&Change, &[u8])> {
        let mut rest = self.bytes.as_slice();
        self.changes.iter().map(move |change| {
            let length = if let Change::Append { length, .. } = change { *length as usize } else { 0 };
            let (own, further) = rest.split_at_checked(length).unwrap_or((rest, &[]));
            rest = further;
            (change, own)
        })
    }

    /// The role that its first change names.
    pub(crate) fn role(&self) -> Option<&str> {
        if let Some(Change::Of { role }) = self.changes.first() { Some(role) } else { None }
    }

    /// The change for a dead process's ring; a part has at most one.
    pub(crate) fn ending(&self) -> Option<&Change> {
        self.changes.iter().find(|change| change.ends_ring())
    }

    /// The ring that it is about.
    pub(crate) fn ended(&self) -> Option<&str> {
        match self.ending()? {
            Change::Remove { ring, .. } | Change::DeathLogged { ring, .. } => Some(ring),
            _ => None,
        }
    }
}

mod change_kind {
    pub(super) const APPEND: u8 = 1;
    pub(super) const POSITION: u8 = 2;
    pub(super) const REMOVE: u8 = 3;
    pub(super) const RENAME: u8 = 4;
    pub(super) const DEATH_LOGGED: u8 = 5;
    pub(super) const OF: u8 = 6;
    pub(super) const RENAME_ARCHIVE: u8 = 7;
    pub(super) const ARCHIVED: u8 = 8;
}

/// Each change: kind, payload length, payload, so that unknown kinds are noticed and refused as a whole.
pub(super) fn encode(changes: &[Change]) -> Vec<u8> {
    let mut out = Vec::new();
    for change in changes {
        let (kind, payload) = match change {
            Change::Of { role } => (change_kind::OF, join(role, &[], &[])),
            Change::Append { log, file, offset, length } => {
                (change_kind::APPEND, join(log, &[file.0, file.1, *offset, *length], &[]))
            }
            Change::Position { ring, uuid, lane, words } => {
                let mut numbers = vec![u64::from(*lane)];
                numbers.extend_from_slice(words);
                (change_kind::POSITION, join(ring, &numbers, uuid))
            }
            Change::Remove { ring, uuid } => (change_kind::REMOVE, join(ring, &[], uuid)),
            Change::DeathLogged { ring, uuid } => (change_kind::DEATH_LOGGED, join(ring, &[], uuid)),
            Change::Rename { log, file, from, to, archive } => {
                let numbers = [file.0, file.1, u64::from(*from), u64::from(*to)];
                let kind = if *archive { change_kind::RENAME_ARCHIVE } else { change_kind::RENAME };
                (kind, join(log, &numbers, &[]))
            }
            Change::Archived { log, file, archive, number } => {
                let numbers = [file.0, file.1, archive.0, archive.1, u64::from(*number)];
                (change_kind::ARCHIVED, join(log, &numbers, &[]))
            }
        };
        out.push(kind);
        out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        out.extend_from_slice(&payload);
    }
    out
}

fn join(name: &str, numbers: &[u64], uuid: &[u8]) -> Vec<u8> {
    let mut payload = vec![name.len() as u8];
    payload.extend_from_slice(name.as_bytes());
    payload.extend_from_slice(uuid);
    payload.extend_from_slice(bytemuck::cast_slice(numbers));
    payload
}

pub(super) fn decode(mut bytes: &[u8]) -> Option<Vec<Change>> {
    let mut changes = Vec::new();
    while let Some((kind, rest)) = bytes.split_first() {
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (payload, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        bytes = rest;
        changes.push(decode_change(*kind, payload)?);
    }
    Some(changes)
}

fn decode_change(kind: u8, payload: &[u8]) -> Option<Change> {
    let (length, rest) = payload.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(*length))?;
    let name = std::str::from_utf8(name).ok()?.to_owned();
    match kind {
        change_kind::OF => (is_role(&name) && rest.is_empty()).then_some(Change::Of { role: name }),
        change_kind::APPEND => {
            let [device, inode, offset, length] = numbers::<4>(rest)?;
            is_log_name(&name).then_some(Change::Append { log: name, file: (device, inode), offset, length })
        }
        change_kind::RENAME | change_kind::RENAME_ARCHIVE => {
            let [device, inode, from, to] = numbers::<4>(rest)?;
            let (from, to) = (from.try_into().ok()?, to.try_into().ok()?);
            let archive = kind == change_kind::RENAME_ARCHIVE;
            is_log_name(&name).then_some(Change::Rename { log: name, file: (device, inode), from, to, archive })
        }
        change_kind::ARCHIVED => {
            let [device, inode, archive_device, archive_inode, number] = numbers::<5>(rest)?;
            let number = number.try_into().ok()?;
            let (file, archive) = ((device, inode), (archive_device, archive_inode));
            is_log_name(&name).then_some(Change::Archived { log: name, file, archive, number })
        }
        change_kind::POSITION => {
            let (uuid, rest) = rest.split_first_chunk::<16>()?;
            let [lane, words @ ..] = numbers::<9>(rest)?;
            let lane = lane.try_into().ok()?;
            is_ring_name(&name).then_some(Change::Position { ring: name, uuid: *uuid, lane, words })
        }
        change_kind::REMOVE => {
            let uuid = rest.try_into().ok()?;
            is_ring_name(&name).then_some(Change::Remove { ring: name, uuid })
        }
        change_kind::DEATH_LOGGED => {
            let uuid = rest.try_into().ok()?;
            is_ring_name(&name).then_some(Change::DeathLogged { ring: name, uuid })
        }
        _ => None,
    }
}

fn numbers<const N: usize>(bytes: &[u8]) -> Option<[u64; N]> {
    if bytes.len() != N * 8 {
        return None;
    }
    let mut numbers = [0; N];
    for (number, chunk) in numbers.iter_mut().zip(bytes.chunks_exact(8)) {
        *number = u64::from_le_bytes(*chunk.first_chunk()?);
    }
    Some(numbers)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn changes() -> Vec<Change> {
        vec![
            Change::Of { role: "host".into() },
            Change::Append { log: "host".into(), file: (1, 2), offset: 3, length: 5 },
            Change::Position { ring: "host-1-ab.ring".into(), uuid: [7; 16], lane: 3, words: [9; 8] },
            Change::Rename { log: "host".into(), file: (1, 2), from: 0, to: 1, archive: false },
            Change::Rename { log: "host".into(), file: (1, 3), from: 1, to: 2, archive: true },
            Change::Archived { log: "host.jsonl".into(), file: (1, 2), archive: (3, 4), number: 5 },
            Change::Remove { ring: "host-1-ab.ring".into(), uuid: [7; 16] },
            Change::DeathLogged { ring: "host-1-ab.ring".into(), uuid: [7; 16] },
        ]
    }

    #[test]
    fn changes_decode_to_what_they_were() {
        assert_eq!(decode(&encode(&changes())), Some(changes()));
    }

    #[test]
    fn an_entry_falls_into_the_parts_of_its_roles() {
        let append = |log: &str, length| Change::Append { log: log.into(), file: (1, 2), offset: 0, length };
        let of = |role: &str| Change::Of { role: role.into() };
        let changes = vec![
            append("x", 1),
            of("host"),
            append("host", 2),
            append("host.jsonl", 3),
            of("worker"),
            append("worker", 1),
        ];
        let entry = Entry { epoch: 7, boot_id: [1; 16], changes: changes.clone(), bytes: b"1abcde2".to_vec() };
        let found: Vec<_> =
            entry.parts().into_iter().map(|part| (part.role().map(str::to_owned), part.changes, part.bytes)).collect();
        let part = |role: Option<&str>, from: usize, to: usize, bytes: &[u8]| {
            (role.map(str::to_owned), changes[from..to].to_vec(), bytes.to_vec())
        };
        let expected = [part(None, 0, 1, b"1"), part(Some("host"), 1, 4, b"abcde"), part(Some("worker"), 4, 6, b"2")];
        assert_eq!(found, expected);
    }

    #[test]
    fn names_that_leave_the_folder_are_refused() {
        for ring in ["../x.ring", "/etc/x.ring", "passwd", ".x.ring"] {
            let change = Change::Remove { ring: ring.into(), uuid: [0; 16] };
            assert_eq!(decode(&encode(&[change])), None, "{ring}");
        }
        let change = Change::Append { log: "../x".into(), file: (0, 0), offset: 0, length: 0 };
        assert_eq!(decode(&encode(&[change])), None);
    }
}
