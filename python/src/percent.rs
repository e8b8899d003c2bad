//! The `%` operator of text, for what log calls are mostly given: without making an object of any of it.
//!
//! Exact `int`, `float`, `str`, `bool` and `None` are formatted as Python does it, by `%d`, `%i`, `%s`, `%f` with or without a
//! precision, and `%%`. Anything else is left to Python, errors included.

use crate::methods::Arguments;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyInt, PyString};
use std::io::Write;

/// Decimals that `%f` has.
const DECIMALS: usize = 6;

/// Appends the template with the arguments from `next` on. None if Python has to do it; then the contents of `out` are
/// undefined.
pub(crate) fn format(out: &mut Vec<u8>, template: &str, arguments: &Arguments<'_, '_>, mut next: usize) -> Option<()> {
    let mut rest = template.as_bytes();
    // The pieces are short: a search that takes several bytes at once begins too late to be faster.
    while let Some(at) = rest.iter().position(|byte| *byte == b'%') {
        out.extend_from_slice(&rest[..at]);
        let (kind, length) = Kind::parse(&rest[at + 1..])?;
        rest = &rest[at + 1 + length..];
        if matches!(kind, Kind::Percent) {
            out.push(b'%');
            continue;
        }
        kind.append(out, &arguments.get(next)?)?;
        next += 1;
    }
    out.extend_from_slice(rest);
    // Python has an error for arguments that are left over.
    (next == arguments.len()).then_some(())
}

/// What follows a `%`.
enum Kind {
    Percent,
    Integer,
    Text,
    /// With so many decimals.
    Float(usize),
}

impl Kind {
    /// The kind, and the bytes that it takes.
    fn parse(rest: &[u8]) -> Option<(Kind, usize)> {
        match rest {
            [b'%', ..] => Some((Kind::Percent, 1)),
            [b'd' | b'i', ..] => Some((Kind::Integer, 1)),
            [b's', ..] => Some((Kind::Text, 1)),
            [b'f', ..] => Some((Kind::Float(DECIMALS), 1)),
            [b'.', digit @ b'0'..=b'9', b'f', ..] => Some((Kind::Float(usize::from(digit - b'0')), 3)),
            _ => None,
        }
    }

    fn append(&self, out: &mut Vec<u8>, value: &Borrowed<'_, '_, PyAny>) -> Option<()> {
        match self {
            Kind::Percent => None,
            Kind::Integer => integer(out, value),
            Kind::Text => {
                if let Ok(text) = value.cast_exact::<PyString>() {
                    out.extend_from_slice(text.to_str().ok()?.as_bytes());
                    return Some(());
                }
                if let Ok(truth) = value.cast_exact::<PyBool>() {
                    out.extend_from_slice(if truth.is_true() { b"True" } else { b"False" });
                    return Some(());
                }
                if value.is_none() {
                    out.extend_from_slice(b"None");
                    return Some(());
                }
                integer(out, value)
            }
            Kind::Float(decimals) => {
                let value = value.cast_exact::<PyFloat>().ok()?.value();
                // Others have names of their own in Python.
                value.is_finite().then(|| float(out, value, *decimals)).flatten()
            }
        }
    }
}

/// Appends an integer of at most 64 bits.
fn integer(out: &mut Vec<u8>, value: &Borrowed<'_, '_, PyAny>) -> Option<()> {
    let value: i64 = value.cast_exact::<PyInt>().ok()?.extract().ok()?;
    if value < 0 {
        out.push(b'-');
    }
    digits(out, value.unsigned_abs(), 1);
    Some(())
}

/// Appends a finite number with at most 9 decimals, rounded to the nearest, and a half to even digits.
///
/// Most numbers are of a size at which the value is an integer divided by a power of two that fits 128 bits even times 10^9:
/// dividing that by shifts is exact, and takes a fifth of what the general way takes.
fn float(out: &mut Vec<u8>, value: f64, decimals: usize) -> Option<()> {
    const FRACTION: u32 = f64::MANTISSA_DIGITS - 1;
    let bits = value.to_bits();
    let (exponent, fraction) = ((bits >> FRACTION & 0x7ff) as u32, bits & ((1 << FRACTION) - 1));
    // Of the integer, without its sign: value = integer / 2^shift.
    let (integer, shift) = match (exponent, fraction) {
        (0, 0) => (0, FRACTION),
        // 2^-68 to 2^52. Of any other the integer is too large, or the shift is.
        (955..1075, _) => (1 << FRACTION | fraction, 1075 - exponent),
        _ => return write!(out, "{value:.decimals$}").ok(),
    };
    let scale = 10u64.pow(decimals as u32);
    let mask = (1u128 << shift) - 1;
    let scaled = (u128::from(integer) & mask) * u128::from(scale);
    let (mut whole, mut part) = ((u128::from(integer) >> shift) as u64, (scaled >> shift) as u64);
    let last = if decimals == 0 { whole } else { part };
    // Twice what is left over, against the whole of it.
    if ((scaled & mask) << 1) + u128::from(last & 1) > 1 << shift {
        part += 1;
    }
    if part == scale {
        (whole, part) = (whole + 1, 0);
    }
    if value.is_sign_negative() {
        out.push(b'-');
    }
    digits(out, whole, 1);
    if decimals > 0 {
        out.push(b'.');
        digits(out, part, decimals);
    }
    Some(())
}

/// Appends a number with at least so many digits, at most 20.
fn digits(out: &mut Vec<u8>, mut number: u64, least: usize) {
    let mut text = [b'0'; 20];
    let mut start = text.len();
    while number > 0 {
        start -= 1;
        text[start] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    out.extend_from_slice(&text[start.min(text.len() - least)..]);
}
