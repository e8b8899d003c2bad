//! Terminal sequences in a line that some other program printed.

use std::borrow::Cow;

/// The line without its terminal sequences: colours and all others that begin with ESC.
pub(crate) fn without_colours(line: &[u8]) -> Cow<'_, [u8]> {
    if !line.contains(&ESC) {
        return Cow::Borrowed(line);
    }
    let (mut plain, mut rest) = (Vec::with_capacity(line.len()), line);
    while let Some(at) = rest.iter().position(|byte| *byte == ESC) {
        plain.extend_from_slice(&rest[..at]);
        rest = after_sequence(&rest[at + 1..]);
    }
    plain.extend_from_slice(rest);
    Cow::Owned(plain)
}

const ESC: u8 = 0x1b;

/// What follows a sequence, without the ESC that it begins with.
fn after_sequence(rest: &[u8]) -> &[u8] {
    let Some((kind, rest)) = rest.split_first() else { return rest };
    let end = match kind {
        // Parameters, then a letter.
        b'[' => rest.iter().position(|byte| (0x40..=0x7e).contains(byte)).map(|at| at + 1),
        // A title or a link, up to BEL or ESC \\.
        b']' | b'P' | b'X' | b'^' | b'_' => string_end(rest),
        // A character set: one more byte.
        b'(' | b')' | b'*' | b'+' | b'#' | b' ' | b'%' => Some(1.min(rest.len())),
        _ => Some(0),
    };
    &rest[end.unwrap_or(rest.len())..]
}

fn string_end(rest: &[u8]) -> Option<usize> {
    let bell = rest.iter().position(|byte| *byte == 0x07).map(|at| at + 1);
    let terminator = rest.windows(2).position(|pair| pair == [ESC, b'\\']).map(|at| at + 2);
    bell.into_iter().chain(terminator).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_go_and_the_text_stays() {
        for (line, plain) in [
            ("plain", "plain"),
            ("\x1b[31mERROR\x1b[0m x", "ERROR x"),
            ("\x1b[1;38;5;196mred\x1b[K", "red"),
            ("\x1b]8;;http://x\x07link\x1b]8;;\x1b\\ end", "link end"),
            ("\x1b(Bset", "set"),
            ("cut \x1b[31", "cut "),
            ("cut \x1b", "cut "),
            ("\x1bMup", "up"),
        ] {
            assert_eq!(without_colours(line.as_bytes()), plain.as_bytes(), "{line:?}");
        }
    }
}
