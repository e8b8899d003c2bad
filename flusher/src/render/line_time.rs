//! The time that a record's first line begins with, in every layout: by it the line is told from further lines of a message.

use crate::render::timestamp::TIME;

const FORM: &[u8; TIME] = b"0000-00-00 00:00:00.000";

/// Bytes from which it can be told whether a line is a head's: a time with nine digits and an offset, and a bracket.
pub const HEAD_SEEN: usize = TIME + 6 + " +00:00".len() + " [".len();

/// How many digits of the second a time has.
pub(crate) fn digits_of(time: &[u8]) -> usize {
    3 + time.iter().skip(TIME).take(6).take_while(|byte| byte.is_ascii_digit()).count()
}

/// Where the time ends that a record's first line begins with, in any layout; None for another line.
#[inline]
#[must_use]
pub fn time_end(line: &[u8]) -> Option<usize> {
    let start = line.first_chunk::<TIME>()?;
    if start[4] != b'-' || start[13] != b':' {
        return None;
    }
    let agrees = |(form, byte): (&u8, &u8)| if *form == b'0' { byte.is_ascii_digit() } else { form == byte };
    if !FORM.iter().zip(start).all(agrees) {
        return None;
    }
    if line.get(TIME..TIME + 2) == Some(b" [") {
        return Some(TIME);
    }
    time_end_slowly(line)
}

#[cold]
fn time_end_slowly(line: &[u8]) -> Option<usize> {
    let end = TIME - 3 + digits_of(line);
    let rest = line.get(end..)?;
    let offset = match rest {
        [b'Z', ..] => 1,
        [b'+' | b'-', a, b, b':', c, d, ..] if [a, b, c, d].iter().all(|digit| digit.is_ascii_digit()) => 6,
        [b' ', b'+' | b'-', a, b, b':', c, d, ..] if [a, b, c, d].iter().all(|digit| digit.is_ascii_digit()) => 7,
        _ => 0,
    };
    rest.get(offset..)?.starts_with(b" [").then_some(end + offset)
}
