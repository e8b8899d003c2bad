//! The `%` operator of text, for what log calls are mostly given: without making an object of any of it.
//!
//! Exact `int`, `float`, `str`, `bool` and `None` are formatted as Python does it, by `%d`, `%i`, `%s`, `%f` with or without a
//! precision, and `%%`. Anything else is left to Python, errors included.

use crate::methods::Arguments;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyInt, PyString};
use std::fmt::Write;

/// Decimals that `%f` has.
const DECIMALS: usize = 6;

/// Appends the template with the arguments from `next` on. None if Python has to do it; then the contents of `out` are
/// undefined.
pub(crate) fn format(out: &mut String, template: &str, arguments: &Arguments<'_, '_>, mut next: usize) -> Option<()> {
    let mut rest = template;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let (kind, length) = Kind::parse(&rest.as_bytes()[at + 1..])?;
        rest = &rest[at + 1 + length..];
        if matches!(kind, Kind::Percent) {
            out.push('%');
            continue;
        }
        kind.append(out, &arguments.get(next)?)?;
        next += 1;
    }
    out.push_str(rest);
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

    fn append(&self, out: &mut String, value: &Borrowed<'_, '_, PyAny>) -> Option<()> {
        match self {
            Kind::Percent => None,
            Kind::Integer => integer(out, value),
            Kind::Text => {
                if let Ok(text) = value.cast_exact::<PyString>() {
                    out.push_str(text.to_str().ok()?);
                    return Some(());
                }
                if let Ok(truth) = value.cast_exact::<PyBool>() {
                    out.push_str(if truth.is_true() { "True" } else { "False" });
                    return Some(());
                }
                if value.is_none() {
                    out.push_str("None");
                    return Some(());
                }
                integer(out, value)
            }
            Kind::Float(decimals) => {
                let value = value.cast_exact::<PyFloat>().ok()?.value();
                // Others have names of their own in Python.
                value.is_finite().then(|| write!(out, "{value:.decimals$}").ok()).flatten()
            }
        }
    }
}

/// Appends an integer of at most 64 bits.
fn integer(out: &mut String, value: &Borrowed<'_, '_, PyAny>) -> Option<()> {
    let value: i64 = value.cast_exact::<PyInt>().ok()?.extract().ok()?;
    write!(out, "{value}").ok()
}
