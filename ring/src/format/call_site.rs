//! The call-site table: what all records of one place in the program share, written once.
//!
//! The table is append-only. A writer takes words by one atomic addition, writes the payload, and commits the entry by storing
//! its first word; only then do records refer to it. An id is the word offset of the entry, valid only in its ring. A full
//! table is not an error: records then carry target and place themselves.
//!
//! Custom level names are entries too. No record refers to them, so each has the id of the previous one, and the control page
//! that of the newest.

use crate::format::level::{LEVEL_NAME_MAX, Level};
use crate::format::placeholder::Placeholder;
use std::sync::Arc;

/// Longest payload of an entry in bytes; longer call sites are refused and logged as text.
pub const ENTRY_MAX: usize = 4096;

/// Id of the entry that holds the command line.
pub const COMMAND_ID: u32 = 1;

/// What all records of a call site share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallSite {
    /// Level number.
    pub level: u16,
    /// Line in `file`, 0 if unknown.
    pub line: u32,
    /// Target, usually the module path.
    pub target: Arc<str>,
    /// Module path.
    pub module: Arc<str>,
    /// Source file.
    pub file: Arc<str>,
    /// Format string, empty for a facade's records.
    pub format: Arc<str>,
    /// Placeholders of the format string.
    pub placeholders: Vec<Placeholder>,
    /// Tags of the values of its untagged records, see [`crate::format::placeholder::value_tag`].
    pub types: Vec<u8>,
    /// Names of the fields that follow the message.
    pub fields: Vec<Arc<str>>,
}

/// A call site on its way into the table, borrowed.
#[derive(Debug, Clone, Copy)]
pub struct CallSiteRef<'a> {
    /// Level number.
    pub level: u16,
    /// Line in `file`, 0 if unknown.
    pub line: u32,
    /// Target, usually the module path.
    pub target: &'a str,
    /// Module path.
    pub module: &'a str,
    /// Source file.
    pub file: &'a str,
    /// Format string, empty for a facade's records.
    pub format: &'a str,
    /// Placeholders of the format string.
    pub placeholders: &'a [Placeholder],
    /// Tags of the values of its untagged records; empty if it has none.
    pub types: &'a [u8],
    /// Names of the fields that follow the message.
    pub fields: &'a [&'a str],
}

impl CallSiteRef<'_> {
    /// Its payload; None if it is too long for the table.
    #[must_use]
    pub fn encode(&self) -> Option<Vec<u8>> {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend_from_slice(&self.level.to_le_bytes());
        bytes.extend_from_slice(&u16::try_from(self.fields.len()).ok()?.to_le_bytes());
        bytes.extend_from_slice(&self.line.to_le_bytes());
        bytes.extend_from_slice(&u16::try_from(self.placeholders.len()).ok()?.to_le_bytes());
        bytes.extend_from_slice(bytemuck::cast_slice(self.placeholders));
        bytes.push(u8::try_from(self.types.len()).ok()?);
        bytes.extend_from_slice(self.types);
        for text in [self.target, self.module, self.file, self.format].iter().chain(self.fields) {
            bytes.extend_from_slice(&u16::try_from(text.len()).ok()?.to_le_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        (bytes.len() <= ENTRY_MAX).then_some(bytes)
    }
}

impl CallSite {
    /// Decodes an entry's payload; None if it is not whole.
    #[must_use]
    pub fn decode(payload: &[u8]) -> Option<CallSite> {
        let mut rest = payload;
        let level = u16::from_le_bytes(take(&mut rest)?);
        let count = u16::from_le_bytes(take(&mut rest)?);
        let line = u32::from_le_bytes(take(&mut rest)?);
        let placeholders = u16::from_le_bytes(take(&mut rest)?);
        let placeholders = (0..placeholders)
            .map(|_| take::<{ size_of::<Placeholder>() }>(&mut rest).map(|bytes| bytemuck::pod_read_unaligned(&bytes)))
            .collect::<Option<_>>()?;
        let [types] = take(&mut rest)?;
        let (types, after) = rest.split_at_checked(usize::from(types))?;
        rest = after;
        let mut text = || -> Option<Arc<str>> {
            let length = u16::from_le_bytes(take(&mut rest)?) as usize;
            let (text, after) = rest.split_at_checked(length)?;
            rest = after;
            std::str::from_utf8(text).ok().map(Arc::from)
        };
        let (target, module, file, format) = (text()?, text()?, text()?, text()?);
        let fields = (0..count).map(|_| text()).collect::<Option<_>>()?;
        Some(CallSite { level, line, target, module, file, format, placeholders, types: types.to_vec(), fields })
    }
}

/// A custom level name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LevelName {
    /// Id of the previous entry of this kind, 0 for none.
    pub previous: u32,
    /// The level.
    pub level: Level,
    /// Its name, at most [`LEVEL_NAME_MAX`] bytes; empty if the level has no custom name any more.
    pub name: String,
}

impl LevelName {
    /// Its payload.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let name = cut_name(&self.name);
        let mut bytes = Vec::with_capacity(8 + name.len());
        bytes.extend_from_slice(&self.previous.to_le_bytes());
        bytes.extend_from_slice(&self.level.number().to_le_bytes());
        bytes.extend_from_slice(&(name.len() as u16).to_le_bytes());
        bytes.extend_from_slice(name.as_bytes());
        bytes
    }

    /// Decodes an entry's payload; None if it is not whole.
    #[must_use]
    pub fn decode(payload: &[u8]) -> Option<LevelName> {
        let mut rest = payload;
        let previous = u32::from_le_bytes(take(&mut rest)?);
        let level = Level::new(u16::from_le_bytes(take(&mut rest)?));
        let length = u16::from_le_bytes(take(&mut rest)?);
        let name = std::str::from_utf8(rest.get(..usize::from(length))?).ok()?;
        Some(LevelName { previous, level, name: cut_name(name).to_owned() })
    }
}

/// A level name, truncated to the maximum length.
pub fn cut_name(name: &str) -> &str {
    let end = name.len().min(LEVEL_NAME_MAX);
    // A character ends at most three bytes back.
    let end = (end.saturating_sub(3)..=end).rfind(|end| name.is_char_boundary(*end));
    &name[..end.unwrap_or(0)]
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*taken)
}

/// Splits an entry's commit word into kind, payload length and checksum.
#[must_use]
pub fn split_entry_word(word: u64) -> (u8, usize, u32) {
    (word as u8, (word >> 8 & 0xff_ffff) as usize, (word >> 32) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_name_decodes_to_what_it_was_cut_at_a_character() {
        let encode = |name: &str| LevelName { previous: 7, level: Level::new(25), name: name.to_owned() }.encode();
        let decode = |name: &str| LevelName::decode(&encode(name)).expect("whole");
        for name in ["NOTICE", "", "größer", &"x".repeat(LEVEL_NAME_MAX)] {
            assert_eq!(decode(name), LevelName { previous: 7, level: Level::new(25), name: name.to_owned() });
        }
        let long = format!("{}🦀", "x".repeat(LEVEL_NAME_MAX - 3));
        assert_eq!(decode(&long).name, "x".repeat(LEVEL_NAME_MAX - 3));
    }

    #[test]
    fn a_level_name_of_any_bytes_is_refused_or_cut() {
        let payload = |length: u16, name: &[u8]| [&[0, 0, 0, 0, 25, 0], &length.to_le_bytes()[..], name].concat();
        assert_eq!(LevelName::decode(&payload(3, b"ab")), None, "longer than the entry");
        assert_eq!(LevelName::decode(&payload(2, b"\xff\xfe")), None, "no UTF-8");
        assert_eq!(LevelName::decode(&payload(0, b"")[..7]), None, "no length");
        let name = |length, name: &[u8]| LevelName::decode(&payload(length, name)).expect("whole").name;
        assert_eq!(name(2, b"ab, and what a later version adds"), "ab");
        assert_eq!(name(4000, &[b'x'; 4000]), "x".repeat(LEVEL_NAME_MAX));
    }
}
