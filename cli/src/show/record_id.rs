//! Which record a JSON line is of.

use lastwords_flusher::render::json::RecordId;
use memchr::{memchr, memmem};

const MEMBER: &[u8] = b",\"id\":\"";

/// The identity in a line that was made of a record; None for a flusher's own lines, and for what has none.
pub(crate) fn of_line(line: &[u8]) -> Option<RecordId> {
    // In a string the quotes would be escaped, and whatever has members of its own comes behind the message.
    let head = &line[..memmem::find(line, b",\"message\":")?];
    let text = &head[memmem::find(head, MEMBER)? + MEMBER.len()..];
    let text = std::str::from_utf8(&text[..memchr(b'"', text)?]).ok()?;
    let (ring, rest) = text.split_once('-')?;
    let (lane, sequence) = rest.split_once('-')?;
    if ring.len() != 32 || !ring.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let ring = u128::from_str_radix(ring, 16).ok()?.to_be_bytes();
    Some(RecordId { ring, lane: lane.parse().ok()?, sequence: sequence.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_found_where_a_flusher_writes_it_and_nowhere_else() {
        let ring = "00010203040506070809aaabacadaeff";
        let line = format!(r#"{{"time":"","pid":1,"id":"{ring}-3-18446744073709551615","thread":7,"message":"x"}}"#);
        let found = of_line(line.as_bytes()).expect("an identity");
        assert_eq!((found.ring[1], found.ring[15], found.lane, found.sequence), (1, 0xff, 3, u64::MAX));
        for other in [
            format!(r#"{{"time":"","pid":1,"message":"x","fields":{{"a":1,"id":"{ring}-3-7"}}}}"#),
            format!(r#"{{"time":"","level":",\"id\":\"{ring}-3-7","message":"x"}}"#),
            r#"{"time":"","id":"7","message":"x"}"#.to_owned(),
            format!(r#"{{"time":"","id":"{ring}-3","message":"x"}}"#),
            format!(r#"{{"time":"","id":"+{}-3-7","message":"x"}}"#, &ring[1..]),
            format!(r#"{{"time":"","id":"{ring}-3-7"#),
        ] {
            assert_eq!(of_line(other.as_bytes()), None, "{other}");
        }
    }
}
