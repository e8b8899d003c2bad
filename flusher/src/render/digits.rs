//! Appending short pieces of text, of which a line has a dozen: a call of memcpy for each would be a fifth of the work.

use lexical_core::ToLexical;

/// Longest piece that is appended without a call.
const SHORT: usize = 16;

/// Most digits of an integer of 64 bits, with its sign.
const INTEGER_MAX: usize = 32;

/// Appends `bytes`.
#[inline]
pub(crate) fn append(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = bytes.len();
    if length > SHORT {
        return out.extend_from_slice(bytes);
    }
    // The first and the last half may overlap, so that no length needs a loop.
    let start = out.len();
    out.extend_from_slice(&[0; SHORT]);
    let room = &mut out[start..start + SHORT];
    if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        room[..8].copy_from_slice(first);
        room[length - 8..length].copy_from_slice(last);
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        room[..4].copy_from_slice(first);
        room[length - 4..length].copy_from_slice(last);
    } else {
        room.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    }
    out.truncate(start + length);
}

/// Appends an integer's decimal digits.
#[inline]
pub(crate) fn append_integer<N: ToLexical>(out: &mut Vec<u8>, value: N) {
    let start = out.len();
    // More than the types in use need.
    out.extend_from_slice(&[0; INTEGER_MAX]);
    let length = lexical_core::write(value, &mut out[start..]).len();
    out.truncate(start + length);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extremes_of_every_integer_fit() {
        let mut out = Vec::new();
        append_integer(&mut out, u64::MAX);
        append_integer(&mut out, i64::MIN);
        append_integer(&mut out, 0u8);
        assert_eq!(String::from_utf8_lossy(&out), format!("{}{}0", u64::MAX, i64::MIN));
    }

    #[test]
    fn every_length_is_appended() {
        let bytes: Vec<u8> = (1..=40).collect();
        for length in 0..=bytes.len() {
            let mut out = b"before".to_vec();
            append(&mut out, &bytes[..length]);
            assert_eq!(out, [b"before", &bytes[..length]].concat(), "{length} bytes");
        }
    }
}
