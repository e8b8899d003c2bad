//! A record's values, read back and shown as `std::fmt` would have shown them.
//!
//! What `std::fmt` takes from the format string at compile time is here known at run time only, so every combination of flags
//! is written out once. Fill and alignment are done here; everything else is done by `std::fmt` itself, except the plainest
//! cases, for which there are faster crates.

use crate::render::digits::{append, append_integer};
use crate::render::escape::is_plain;
use lastwords_ring::format::placeholder::{
    COUNT_MAX, COUNT_NONE, COUNT_VALUE, KINDS, Placeholder, placeholder_flag, value_tag,
};
use lastwords_ring::format::record::Field;
use std::fmt::{Binary, Debug, Display, LowerExp, LowerHex, Octal, UpperExp, UpperHex};
use std::io::Write;

/// One value of a record.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// Text that the caller formatted, to be shown as it is.
    Formatted(&'a [u8]),
    /// A string.
    Str(&'a [u8]),
    /// Bytes.
    Bytes(&'a [u8]),
    /// Text that claims to be JSON.
    Json(&'a [u8]),
    /// A truth value.
    Bool(bool),
    /// A character.
    Char(char),
    /// A float of 32 bits.
    F32(f32),
    /// A float of 64 bits.
    F64(f64),
    /// An unsigned integer of up to 64 bits.
    Unsigned(u64),
    /// An unsigned integer of 128 bits.
    U128(u128),
    /// A signed integer of 8 bits.
    I8(i8),
    /// A signed integer of 16 bits.
    I16(i16),
    /// A signed integer of 32 bits.
    I32(i32),
    /// A signed integer of 64 bits.
    I64(i64),
    /// A signed integer of 128 bits.
    I128(i128),
}

/// The values of a record's body, one after the other.
#[derive(Debug, Clone, Copy)]
pub struct ValueReader<'a> {
    tags: &'a [u8],
    words: &'a [u8],
}

impl<'a> ValueReader<'a> {
    /// A reader of `count` values, whose tags precede them; None if the body cannot hold the tags.
    #[inline]
    #[must_use]
    pub fn tagged(body: &'a [u8], count: usize) -> Option<ValueReader<'a>> {
        let (tags, words) = body.split_at_checked(count.div_ceil(8) * 8)?;
        Some(ValueReader { tags: &tags[..count], words })
    }

    /// A reader of values with these tags.
    #[inline]
    #[must_use]
    pub fn untagged(tags: &'a [u8], body: &'a [u8]) -> ValueReader<'a> {
        ValueReader { tags, words: body }
    }

    #[inline]
    fn word(&mut self) -> Option<u64> {
        let (word, rest) = self.words.split_first_chunk::<8>()?;
        self.words = rest;
        Some(u64::from_le_bytes(*word))
    }

    #[inline]
    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.word()?).ok()?;
        let (bytes, rest) = self.words.split_at_checked(length.checked_next_multiple_of(8)?)?;
        self.words = rest;
        bytes.get(..length)
    }

    #[inline]
    fn double_word(&mut self) -> Option<u128> {
        let (low, high) = (self.word()?, self.word()?);
        Some(u128::from(low) | u128::from(high) << 64)
    }

    /// The next value; None at the end and where the bytes are no value.
    #[inline]
    #[expect(clippy::should_implement_trait, reason = "an iterator would be asked again after bytes that are no value")]
    pub fn next(&mut self) -> Option<Value<'a>> {
        let (tag, rest) = self.tags.split_first()?;
        self.tags = rest;
        Some(match *tag {
            value_tag::FORMATTED => Value::Formatted(self.bytes()?),
            value_tag::STR => Value::Str(self.bytes()?),
            value_tag::BYTES => Value::Bytes(self.bytes()?),
            value_tag::BOOL => Value::Bool(self.word()? != 0),
            value_tag::CHAR => Value::Char(char::from_u32(u32::try_from(self.word()?).ok()?)?),
            value_tag::F32 => Value::F32(f32::from_bits(self.word()? as u32)),
            value_tag::F64 => Value::F64(f64::from_bits(self.word()?)),
            value_tag::U8..=value_tag::U64 => Value::Unsigned(self.word()?),
            value_tag::U128 => Value::U128(self.double_word()?),
            value_tag::I8 => Value::I8(self.word()? as i8),
            value_tag::I16 => Value::I16(self.word()? as i16),
            value_tag::I32 => Value::I32(self.word()? as i32),
            value_tag::I64 => Value::I64(self.word()? as i64),
            value_tag::I128 => Value::I128(self.double_word()? as i128),
            _ => return None,
        })
    }

    fn count(&mut self, stated: u16) -> Option<Option<usize>> {
        match stated {
            COUNT_NONE => Some(None),
            COUNT_VALUE => match self.next()? {
                Value::Unsigned(count) if count <= u64::from(COUNT_MAX) => Some(Some(count as usize)),
                _ => None,
            },
            literal if literal <= COUNT_MAX => Some(Some(usize::from(literal))),
            _ => None,
        }
    }

    /// Appends the next value as `{}` shows it, and returns whether nothing in it needs to be escaped. The types that most
    /// arguments have go straight to the text.
    #[inline]
    pub fn show_bare(&mut self, out: &mut Vec<u8>) -> Option<bool> {
        match *self.tags.first()? {
            value_tag::U8..=value_tag::U64 => append_integer(out, self.word()?),
            value_tag::I32..=value_tag::I64 => append_integer(out, self.word()? as i64),
            value_tag::F64 => show_f64(f64::from_bits(self.word()?), out),
            value_tag::STR => {
                let text = self.bytes()?;
                append(out, text);
                self.tags = &self.tags[1..];
                return Some(is_plain(text));
            }
            _ => return self.next()?.show_plainly(out),
        }
        self.tags = &self.tags[1..];
        Some(true)
    }

    /// Appends the next value as its placeholder asks, and returns whether nothing in it needs to be escaped; None if the two
    /// do not fit each other. `bare` says that the placeholder is `{}`.
    #[inline]
    pub fn show(&mut self, placeholder: &Placeholder, bare: bool, out: &mut Vec<u8>) -> Option<bool> {
        if bare { self.show_bare(out) } else { self.show_styled(placeholder, out) }
    }

    fn show_styled(&mut self, placeholder: &Placeholder, out: &mut Vec<u8>) -> Option<bool> {
        let width = self.count(placeholder.width)?;
        let precision = self.count(placeholder.precision)?;
        let style = Style {
            kind: KINDS.get(usize::from(placeholder.kind))?,
            flags: placeholder.flags & 7,
            fill: char::from_u32(placeholder.fill)?,
            align: placeholder.align,
            width,
            precision,
        };
        let start = out.len();
        self.next()?.show(&style, out)?;
        Some(is_plain(&out[start..]))
    }
}

/// The format of a placeholder.
struct Style {
    kind: &'static str,
    flags: u8,
    fill: char,
    align: u8,
    width: Option<usize>,
    precision: Option<usize>,
}

/// Alignment of a value within its width, if the placeholder has none.
const LEFT: u8 = 1;
const RIGHT: u8 = 3;

impl<'a> Value<'a> {
    /// The value of a field that its front end named; None where the bytes are none.
    #[must_use]
    pub fn of(field: &Field<'a>) -> Option<Value<'a>> {
        match *field.tag {
            value_tag::FORMATTED => Some(Value::Formatted(field.value)),
            value_tag::STR => Some(Value::Str(field.value)),
            value_tag::BYTES => Some(Value::Bytes(field.value)),
            value_tag::JSON => Some(Value::Json(field.value)),
            _ => ValueReader { tags: std::slice::from_ref(field.tag), words: field.value }.next(),
        }
    }
}

impl Value<'_> {
    /// Appends the value as `{}` shows it, and returns whether nothing in it needs to be escaped.
    #[inline]
    pub fn show_plainly(&self, out: &mut Vec<u8>) -> Option<bool> {
        match *self {
            Value::Str(text) | Value::Formatted(text) | Value::Json(text) => {
                append(out, text);
                return Some(is_plain(text));
            }
            Value::Unsigned(value) => append_integer(out, value),
            Value::I64(value) => append_integer(out, value),
            Value::I32(value) => append_integer(out, value),
            Value::F64(value) => show_f64(value, out),
            Value::Bool(value) => out.extend_from_slice(if value { b"true" } else { b"false" }),
            Value::Char(value) => {
                out.extend_from_slice(value.encode_utf8(&mut [0; 4]).as_bytes());
                return Some((' '..='~').contains(&value));
            }
            Value::Bytes(_) => return None,
            Value::F32(value) => write!(out, "{value}").ok()?,
            Value::I8(value) => append_integer(out, value),
            Value::I16(value) => append_integer(out, value),
            Value::U128(value) => write!(out, "{value}").ok()?,
            Value::I128(value) => write!(out, "{value}").ok()?,
        }
        Some(true)
    }

    fn show(&self, style: &Style, out: &mut Vec<u8>) -> Option<()> {
        let start = out.len();
        match *self {
            Value::Formatted(text) | Value::Json(text) => out.extend_from_slice(text),
            Value::Str(text) => show_str(&String::from_utf8_lossy(text), style, out)?,
            Value::Bytes(bytes) => show_bytes(bytes, style, out)?,
            Value::Bool(value) if matches!(style.kind, "" | "?" | "x?" | "X?") => {
                show_padded(if value { "true" } else { "false" }, style, out);
            }
            Value::Char(value) if style.kind.is_empty() => show_padded(value.encode_utf8(&mut [0; 4]), style, out),
            Value::Char(value) if style.kind.ends_with('?') => write!(out, "{value:?}").ok()?,
            Value::Bool(_) | Value::Char(_) => return None,
            Value::F32(value) => show_number(&value, style, out)?,
            Value::F64(value) => show_number(&value, style, out)?,
            Value::Unsigned(value) => show_integer(&value, style, out)?,
            Value::U128(value) => show_integer(&value, style, out)?,
            Value::I8(value) => show_integer(&value, style, out)?,
            Value::I16(value) => show_integer(&value, style, out)?,
            Value::I32(value) => show_integer(&value, style, out)?,
            Value::I64(value) => show_integer(&value, style, out)?,
            Value::I128(value) => show_integer(&value, style, out)?,
        }
        let number =
            !matches!(self, Value::Formatted(_) | Value::Str(_) | Value::Bytes(_) | Value::Bool(_) | Value::Char(_));
        if number && style.flags & placeholder_flag::ZERO == 0 {
            pad(out, start, style, RIGHT);
        }
        Some(())
    }
}

/// The shortest digits that give the same number back, as `std::fmt` writes them: never with an exponent, and without
/// `.0`.
#[inline]
fn show_f64(value: f64, out: &mut Vec<u8>) {
    if let Some(thousandths) = as_thousandths(value) {
        return show_thousandths(thousandths, out);
    }
    // Where the crate writes no exponent either, and no two shortest texts are equally near: of such it takes another.
    if (1e-4..1e15).contains(&value.abs()) && !may_be_between(value) {
        let mut buffer = zmij::Buffer::new();
        let text = buffer.format_finite(value).as_bytes();
        append(out, text.strip_suffix(b".0").unwrap_or(text));
    } else {
        let _ = write!(out, "{value}");
    }
}

/// Whether the value may lie in the middle between two texts of as many digits. Then its own digits are one more and end
/// with a 5, and a float has as many digits after the point as it has bits there. From 0.0001 on the shortest texts have
/// at most 17 digits and four zeros after the point.
#[inline]
fn may_be_between(value: f64) -> bool {
    const DIGITS_MAX: i64 = 22;
    let bits = value.to_bits();
    let exponent = (bits >> 52 & 0x7ff) as i64 - 1023;
    52 - exponent - i64::from(bits.trailing_zeros()) <= DIGITS_MAX
}

/// The value times 1,000, where its shortest digits have at most three after the point. Below 2^40 two numbers with
/// three such digits are further apart than two floats, so only one of them is nearest to `value`, and the shortest digits
/// are that one's. The division is rounded as reading the digits would be.
#[inline]
fn as_thousandths(value: f64) -> Option<u64> {
    const LIMIT: f64 = (1u64 << 40) as f64;
    // Neither negative zero nor NaN passes.
    if value.is_sign_negative() || value.partial_cmp(&LIMIT) != Some(std::cmp::Ordering::Less) {
        return None;
    }
    let thousandths = (value * 1000.0).round_ties_even() as u64;
    (thousandths as f64 / 1000.0 == value).then_some(thousandths)
}

#[inline]
fn show_thousandths(thousandths: u64, out: &mut Vec<u8>) {
    append_integer(out, thousandths / 1000);
    let rest = thousandths % 1000;
    if rest > 0 {
        let digits = [rest / 100, rest / 10, rest].map(|digits| b'0' + (digits % 10) as u8);
        let kept = if digits[2] != b'0' {
            3
        } else if digits[1] != b'0' {
            2
        } else {
            1
        };
        append(out, &[b'.', digits[0], digits[1], digits[2]][..=kept]);
    }
}

fn show_str(text: &str, style: &Style, out: &mut Vec<u8>) -> Option<()> {
    match style.kind {
        "" => show_padded(text, style, out),
        "?" | "x?" | "X?" => write!(out, "{text:?}").ok()?,
        _ => return None,
    }
    Some(())
}

/// Text that is truncated to the precision and padded to the width.
fn show_padded(text: &str, style: &Style, out: &mut Vec<u8>) {
    let start = out.len();
    let cut = style.precision.and_then(|precision| text.char_indices().nth(precision)).map_or(text.len(), |(at, _)| at);
    out.extend_from_slice(&text.as_bytes()[..cut]);
    pad(out, start, style, LEFT);
}

fn show_bytes(bytes: &[u8], style: &Style, out: &mut Vec<u8>) -> Option<()> {
    match (style.kind, style.flags & placeholder_flag::ALTERNATE != 0) {
        ("?", false) => write!(out, "{bytes:?}"),
        ("?", true) => write!(out, "{bytes:#?}"),
        ("x?", false) => write!(out, "{bytes:x?}"),
        ("x?", true) => write!(out, "{bytes:#x?}"),
        ("X?", false) => write!(out, "{bytes:X?}"),
        ("X?", true) => write!(out, "{bytes:#X?}"),
        _ => return None,
    }
    .ok()
}

/// Pads what is in `out` from `start` on to the width.
fn pad(out: &mut Vec<u8>, start: usize, style: &Style, default: u8) {
    let characters = out[start..].iter().filter(|byte| **byte & 0xc0 != 0x80).count();
    let Some(missing) = style.width.and_then(|width| width.checked_sub(characters)) else { return };
    let before = match if style.align == 0 { default } else { style.align } {
        LEFT => 0,
        RIGHT => missing,
        _ => missing / 2,
    };
    let mut utf8 = [0; 4];
    let fill = style.fill.encode_utf8(&mut utf8).as_bytes();
    out.splice(start..start, fill.repeat(before));
    out.extend_from_slice(&fill.repeat(missing - before));
}

/// Writes a number with every combination of flags: `+`, `#`, `0` with a width, and a precision.
macro_rules! number {
    ($name:ident, $trait:ident, $kind:literal) => {
        fn $name(value: &dyn $trait, style: &Style, out: &mut Vec<u8>) -> std::io::Result<()> {
            // A width of 0 is none, as without the flag.
            let width = if style.flags & placeholder_flag::ZERO == 0 { 0 } else { style.width.unwrap_or(0) };
            match (style.flags & !placeholder_flag::ZERO, style.precision) {
                (0, None) => write!(out, concat!("{:0w$", $kind, "}"), value, w = width),
                (1, None) => write!(out, concat!("{:+0w$", $kind, "}"), value, w = width),
                (2, None) => write!(out, concat!("{:#0w$", $kind, "}"), value, w = width),
                (_, None) => write!(out, concat!("{:+#0w$", $kind, "}"), value, w = width),
                (0, Some(digits)) => write!(out, concat!("{:0w$.d$", $kind, "}"), value, w = width, d = digits),
                (1, Some(digits)) => write!(out, concat!("{:+0w$.d$", $kind, "}"), value, w = width, d = digits),
                (2, Some(digits)) => write!(out, concat!("{:#0w$.d$", $kind, "}"), value, w = width, d = digits),
                (_, Some(digits)) => write!(out, concat!("{:+#0w$.d$", $kind, "}"), value, w = width, d = digits),
            }
        }
    };
}

number!(display, Display, "");
number!(debug, Debug, "?");
number!(debug_lower_hex, Debug, "x?");
number!(debug_upper_hex, Debug, "X?");
number!(lower_hex, LowerHex, "x");
number!(upper_hex, UpperHex, "X");
number!(octal, Octal, "o");
number!(binary, Binary, "b");
number!(lower_exp, LowerExp, "e");
number!(upper_exp, UpperExp, "E");

fn show_number(value: &(impl Display + Debug + LowerExp + UpperExp), style: &Style, out: &mut Vec<u8>) -> Option<()> {
    match style.kind {
        "" => display(value, style, out),
        "?" => debug(value, style, out),
        "x?" => debug_lower_hex(value, style, out),
        "X?" => debug_upper_hex(value, style, out),
        "e" => lower_exp(value, style, out),
        "E" => upper_exp(value, style, out),
        _ => return None,
    }
    .ok()
}

fn show_integer<T>(value: &T, style: &Style, out: &mut Vec<u8>) -> Option<()>
where
    T: Display + Debug + LowerHex + UpperHex + Octal + Binary + LowerExp + UpperExp,
{
    match style.kind {
        "x" => lower_hex(value, style, out),
        "X" => upper_hex(value, style, out),
        "o" => octal(value, style, out),
        "b" => binary(value, style, out),
        _ => return show_number(value, style, out),
    }
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(value: f64) -> String {
        let mut out = Vec::new();
        show_f64(value, &mut out);
        String::from_utf8(out).expect("digits")
    }

    proptest! {
        #[test]
        fn floats_have_the_digits_of_std(bits in any::<u64>(), thousandths in 0u64..1 << 52, exponent in -6i32..18) {
            let short = thousandths as f64 / 1000.0;
            let scaled = (bits >> 12) as f64 / (1u64 << 52) as f64 * 10f64.powi(exponent);
            let coarse = (scaled * 65536.0).round() / 65536.0;
            for value in [f64::from_bits(bits), short, short.next_up(), short.next_down(), -short, scaled, coarse] {
                prop_assert_eq!(shown(value), value.to_string());
            }
        }
    }

    #[test]
    fn floats_at_every_border_have_the_digits_of_std() {
        let limit = (1u64 << 40) as f64;
        let borders =
            [0.0, -0.0, 0.1, 0.001, 0.0005, 1e-4, 9.999e-5, 1e15, 1e16, 1e21, 0.9995, 0.9999, 999.9995, limit];
        let extremes = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN_POSITIVE, 5e-324];
        for value in borders.into_iter().chain(extremes) {
            for value in [value, value.next_up(), value.next_down()] {
                assert_eq!(shown(value), value.to_string());
            }
        }
    }
}
