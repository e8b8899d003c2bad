//! How a message is put together from its call site's format string and the values of a record.

use bytemuck::{Pod, Zeroable};

/// A width or precision that is not given.
pub const COUNT_NONE: u16 = 0xffff;
/// A width or precision that is among the record's values, before the placeholder's own.
pub const COUNT_VALUE: u16 = 0xfffe;
/// Largest width or precision. A record with a larger one is formatted by its caller; a reader refuses it.
pub const COUNT_MAX: u16 = 1024;

/// Bits of [`Placeholder::flags`].
pub mod placeholder_flag {
    /// `+`.
    pub const PLUS: u8 = 1;
    /// `#`.
    pub const ALTERNATE: u8 = 2;
    /// `0`.
    pub const ZERO: u8 = 4;
}

/// A placeholder of a format string, parsed when the program was compiled, so that a reader needs no parser. This is its form
/// in the call-site table.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
pub struct Placeholder {
    /// Byte offset of its opening brace in the format string.
    pub start: u16,
    /// Byte offset after its closing brace.
    pub end: u16,
    /// What fills up to the width, a Unicode scalar value.
    pub fill: u32,
    /// Width, [`COUNT_NONE`] or [`COUNT_VALUE`].
    pub width: u16,
    /// Precision, [`COUNT_NONE`] or [`COUNT_VALUE`].
    pub precision: u16,
    /// The type, an index into [`KINDS`].
    pub kind: u8,
    /// 0 none, 1 left, 2 centre, 3 right.
    pub align: u8,
    /// Bits of [`placeholder_flag`].
    pub flags: u8,
    /// Reserved, zero.
    pub reserved: u8,
}

/// Types of placeholders, as `std::fmt` names them.
pub const KINDS: [&str; 11] = ["", "?", "x?", "X?", "x", "X", "o", "b", "e", "E", "p"];

impl Placeholder {
    /// A placeholder, from the parts that the macros found.
    #[must_use]
    #[allow(clippy::too_many_arguments, reason = "each part once, written by the macros alone")]
    pub const fn new(
        start: u16,
        end: u16,
        kind: u8,
        fill: char,
        align: u8,
        flags: u8,
        width: u16,
        precision: u16,
    ) -> Placeholder {
        Placeholder { start, end, fill: fill as u32, width, precision, kind, align, flags, reserved: 0 }
    }

    /// Whether it is `{}`, with at most a name between the braces.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        let Placeholder { kind, align, flags, width, precision, .. } = *self;
        (kind, align, flags) == (0, 0, 0) && (width, precision) == (COUNT_NONE, COUNT_NONE)
    }

    /// How many values of the record it takes.
    #[must_use]
    pub const fn values(&self) -> usize {
        1 + (self.width == COUNT_VALUE) as usize + (self.precision == COUNT_VALUE) as usize
    }
}

/// Types of values in a record.
pub mod value_tag {
    /// Text that its caller formatted; a length in bytes, then the bytes, zero-padded to a whole word.
    pub const FORMATTED: u8 = 1;
    /// UTF-8; as above.
    pub const STR: u8 = 2;
    /// Bytes; as above.
    pub const BYTES: u8 = 3;
    /// One word, 0 or 1.
    pub const BOOL: u8 = 4;
    /// One word, a Unicode scalar value.
    pub const CHAR: u8 = 5;
    /// One word, the bits of an `f32`.
    pub const F32: u8 = 6;
    /// One word, the bits of an `f64`.
    pub const F64: u8 = 7;
    /// Unsigned integers, one word, of 8, 16, 32 and 64 bits.
    pub const U8: u8 = 8;
    /// See [`U8`].
    pub const U16: u8 = 9;
    /// See [`U8`].
    pub const U32: u8 = 10;
    /// See [`U8`].
    pub const U64: u8 = 11;
    /// Two words, the low one first.
    pub const U128: u8 = 12;
    /// Signed integers, extended to one word, of 8, 16, 32 and 64 bits.
    pub const I8: u8 = 13;
    /// See [`I8`].
    pub const I16: u8 = 14;
    /// See [`I8`].
    pub const I32: u8 = 15;
    /// See [`I8`].
    pub const I64: u8 = 16;
    /// Two words, the low one first.
    pub const I128: u8 = 17;
    /// The JSON text of a field that a front end named.
    pub const JSON: u8 = 18;
}

/// Maximum number of values of a record, for which its tags have room.
pub const VALUES_MAX: usize = 32;

const _: () = assert!(size_of::<Placeholder>() == 16);
