//! A message that is too long for its destination.

use lastwords_ring::format::record::{extra_kind, split_extras};
use lastwords_ring::write::body::BodyWriter;
use lastwords_ring::write::lane::{Message, Origin};

/// Room for the extra with the original length.
const LENGTH_ROOM: usize = 32;

/// The beginning of a message, with the length of the whole.
pub(super) struct TruncatedMessage {
    origin: Origin,
    body: Vec<u8>,
}

impl TruncatedMessage {
    /// As much of a message as fits into `room` bytes. Its fields are dropped first, to keep as much as possible of the text.
    pub(super) fn new(message: &Message<'_>, room: usize) -> TruncatedMessage {
        let (text, _) = split_extras(message.body, message.origin.encoding);
        let mut body = text[..char_boundary(text, room - LENGTH_ROOM)].to_vec();
        let length = (message.body.len() as u64).to_le_bytes();
        let encoding = BodyWriter::after_text(&mut body).extra(extra_kind::CUT, &length).finish();
        TruncatedMessage { origin: Origin { encoding, ..message.origin }, body }
    }

    pub(super) fn message(&self) -> Message<'_> {
        Message { origin: self.origin, body: &self.body }
    }
}

/// The last place at or before `at` where no UTF-8 sequence is split.
fn char_boundary(text: &[u8], at: usize) -> usize {
    if at >= text.len() {
        return text.len();
    }
    (at.saturating_sub(3)..=at).rev().find(|end| text[*end] & 0xc0 != 0x80).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lastwords_ring::format::layout::encoding;

    #[test]
    fn a_truncated_message_has_the_length_of_the_whole_and_splits_no_character() {
        let text = "ä".repeat(100);
        let origin = Origin { level: 20, call_site: 1, thread: 2, encoding: encoding::TEXT };
        let whole = Message { origin, body: text.as_bytes() };
        for room in 40..60 {
            let truncated = TruncatedMessage::new(&whole, room);
            let message = truncated.message();
            let (text, extras) = split_extras(message.body, message.origin.encoding);
            assert!(message.body.len() <= room, "{room}");
            assert_eq!(text.len(), (room - LENGTH_ROOM) / 2 * 2);
            assert!(std::str::from_utf8(text).is_ok());
            assert!(extras.windows(8).any(|bytes| bytes == 200u64.to_le_bytes()));
        }
    }
}
