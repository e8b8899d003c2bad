//! One value of each type that is stored raw, what `format!` makes of it, and the words that a record must hold for it.

use lastwords_ring::format::placeholder::value_tag;
use proptest::prelude::*;
use std::borrow::Cow;
use std::fmt::{self, Debug, Display};

/// A value of each type. The names of the fields are those of the table that `build.rs` writes.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "each field is named for its type")]
pub(crate) struct Sample {
    pub(crate) u8: u8,
    pub(crate) u16: u16,
    pub(crate) u32: u32,
    pub(crate) u64: u64,
    pub(crate) u128: u128,
    pub(crate) usize: usize,
    pub(crate) i8: i8,
    pub(crate) i16: i16,
    pub(crate) i32: i32,
    pub(crate) i64: i64,
    pub(crate) i128: i128,
    pub(crate) isize: isize,
    pub(crate) f32: f32,
    pub(crate) f64: f64,
    pub(crate) bool: bool,
    pub(crate) char: char,
    pub(crate) str: &'static str,
    pub(crate) string: String,
    pub(crate) cow: Cow<'static, str>,
    pub(crate) bytes: &'static [u8],
    pub(crate) array: [u8; 3],
    pub(crate) vec: Vec<u8>,
    /// A width and a precision for placeholders that take theirs from an argument.
    pub(crate) width: usize,
    pub(crate) precision: usize,
}

/// A value behind the traits that it has.
#[derive(Clone, Copy)]
pub(crate) enum Shown<'a> {
    Integer(&'a dyn Integer),
    Float(&'a dyn Float),
    Word(&'a dyn Word),
    Bytes(&'a dyn Debug),
}

pub(crate) trait Word: Display + Debug {}
impl<T: Display + Debug> Word for T {}
pub(crate) trait Float: Word + fmt::LowerExp + fmt::UpperExp {}
impl<T: Word + fmt::LowerExp + fmt::UpperExp> Float for T {}
pub(crate) trait Integer: Float + fmt::LowerHex + fmt::UpperHex + fmt::Octal + fmt::Binary {}
impl<T: Float + fmt::LowerHex + fmt::UpperHex + fmt::Octal + fmt::Binary> Integer for T {}

/// Hands the formatter on, with all its options, to the value.
macro_rules! shown {
    ($($name:ident: $($class:ident)+;)*) => {$(
        impl fmt::$name for Shown<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Shown::$class(value) => fmt::$name::fmt(*value, f),)+
                    #[allow(unreachable_patterns, reason = "some traits are of all classes")]
                    _ => Err(fmt::Error),
                }
            }
        }
    )*};
}

shown! {
    Display: Integer Float Word;
    Debug: Integer Float Word Bytes;
    LowerExp: Integer Float;
    UpperExp: Integer Float;
    LowerHex: Integer;
    UpperHex: Integer;
    Octal: Integer;
    Binary: Integer;
}

impl Shown<'_> {
    /// Whether the compiler takes a placeholder of this type for it.
    pub(crate) fn takes(&self, kind: &str) -> bool {
        match self {
            Shown::Integer(_) => true,
            Shown::Float(_) => !["x", "X", "o", "b"].contains(&kind),
            Shown::Word(_) => kind.is_empty() || kind.ends_with('?'),
            Shown::Bytes(_) => kind.ends_with('?'),
        }
    }
}

/// A value as a record must hold it, by docs/design.md, section 3: its tag, and its words as bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored(pub(crate) u8, pub(crate) Vec<u8>);

impl Stored {
    pub(crate) fn word(tag: u8, word: u64) -> Stored {
        Stored(tag, word.to_le_bytes().to_vec())
    }

    fn double(tag: u8, value: u128) -> Stored {
        Stored(tag, value.to_le_bytes().to_vec())
    }

    pub(crate) fn bytes(tag: u8, bytes: &[u8]) -> Stored {
        let mut words = (bytes.len() as u64).to_le_bytes().to_vec();
        words.extend_from_slice(bytes);
        words.resize(words.len().next_multiple_of(8), 0);
        Stored(tag, words)
    }

    /// The body of a record of these values.
    pub(crate) fn body(values: &[Stored]) -> Vec<u8> {
        let mut body: Vec<u8> = values.iter().map(|Stored(tag, _)| *tag).collect();
        body.resize(body.len().next_multiple_of(8), 0);
        values.iter().for_each(|Stored(_, words)| body.extend_from_slice(words));
        body
    }
}

/// A field of a sample: its name, the value, and how it is stored.
pub(crate) type Field<'a> = (&'static str, Shown<'a>, Stored);

impl Sample {
    pub(crate) fn fields(&self) -> Vec<Field<'_>> {
        use Shown::{Bytes, Float, Integer, Word};
        use value_tag as tag;
        vec![
            ("u8", Integer(&self.u8), Stored::word(tag::U8, self.u8.into())),
            ("u16", Integer(&self.u16), Stored::word(tag::U16, self.u16.into())),
            ("u32", Integer(&self.u32), Stored::word(tag::U32, self.u32.into())),
            ("u64", Integer(&self.u64), Stored::word(tag::U64, self.u64)),
            ("u128", Integer(&self.u128), Stored::double(tag::U128, self.u128)),
            ("usize", Integer(&self.usize), Stored::word(tag::U64, self.usize as u64)),
            ("i8", Integer(&self.i8), Stored::word(tag::I8, i64::from(self.i8) as u64)),
            ("i16", Integer(&self.i16), Stored::word(tag::I16, i64::from(self.i16) as u64)),
            ("i32", Integer(&self.i32), Stored::word(tag::I32, i64::from(self.i32) as u64)),
            ("i64", Integer(&self.i64), Stored::word(tag::I64, self.i64 as u64)),
            ("i128", Integer(&self.i128), Stored::double(tag::I128, self.i128 as u128)),
            ("isize", Integer(&self.isize), Stored::word(tag::I64, self.isize as u64)),
            ("f32", Float(&self.f32), Stored::word(tag::F32, self.f32.to_bits().into())),
            ("f64", Float(&self.f64), Stored::word(tag::F64, self.f64.to_bits())),
            ("bool", Word(&self.bool), Stored::word(tag::BOOL, self.bool.into())),
            ("char", Word(&self.char), Stored::word(tag::CHAR, u32::from(self.char).into())),
            ("str", Word(&self.str), Stored::bytes(tag::STR, self.str.as_bytes())),
            ("string", Word(&self.string), Stored::bytes(tag::STR, self.string.as_bytes())),
            ("cow", Word(&self.cow), Stored::bytes(tag::STR, self.cow.as_bytes())),
            ("bytes", Bytes(&self.bytes), Stored::bytes(tag::BYTES, self.bytes)),
            ("array", Bytes(&self.array), Stored::bytes(tag::BYTES, &self.array)),
            ("vec", Bytes(&self.vec), Stored::bytes(tag::BYTES, &self.vec)),
        ]
    }

    /// The field of this name.
    pub(crate) fn field(&self, name: &str) -> Field<'_> {
        self.fields().into_iter().find(|(known, ..)| *known == name).expect("the table names fields")
    }
}

/// Integers at which something changes: where a type ends, where a sign appears, where a digit is added.
fn integer() -> impl Strategy<Value = u128> {
    let edges = (0u32..128, -1i128..=1).prop_map(|(bit, by)| (1i128 << bit).wrapping_add(by) as u128);
    prop_oneof![Just(0), Just(u128::MAX), any::<u128>(), edges, 0u128..2000, any::<i16>().prop_map(|n| n as u128)]
}

/// Floats at which `std::fmt` changes its ways.
fn float() -> impl Strategy<Value = f64> {
    let odd = [
        f64::NAN,
        -f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        0.0,
        -0.0,
        f64::from_bits(1),
        f64::MIN_POSITIVE / 2.0,
        f64::MIN_POSITIVE,
        f64::MAX,
        f64::MIN,
        f64::EPSILON,
        1e16,
        9_999_999_999_999_998.0,
        1e15 + 0.25,
        1e21,
        1e22,
        -1e21,
        1e-4,
        1e-5,
        -1e-5,
        1e-6,
        1e-7,
        0.1,
        0.3,
        0.5,
        1.5,
        2.5,
        9.995,
        999.9995,
        1e15 + 0.3,
        123_456_789.0,
        f64::from_bits(0x7ff0_0000_0000_0001),
        f32::MAX as f64,
        f32::MIN_POSITIVE as f64,
        f32::from_bits(1) as f64,
        16_777_216.0,
        16_777_217.0,
    ];
    let short = (any::<i32>(), -25i32..25).prop_map(|(digits, power)| f64::from(digits) * 10f64.powi(power));
    prop_oneof![
        4 => proptest::sample::select(odd.to_vec()),
        2 => any::<u64>().prop_map(f64::from_bits),
        2 => short,
    ]
}

const ODD: &str = "\0\t\n\r\u{1b}\u{7f}\u{9b}'\"\\{}é日🦀\u{301}\u{202e}\u{2028}\u{fffd}\u{10ffff}";

/// Characters of every width, controls and combining ones included.
fn character() -> impl Strategy<Value = char> {
    prop_oneof![
        2 => any::<char>(),
        2 => proptest::char::range(' ', '~'),
        1 => proptest::sample::select(ODD.chars().collect::<Vec<_>>()),
    ]
}

/// Empty ones, and some that are longer than a slot's 80 bytes.
fn text() -> impl Strategy<Value = String> {
    let characters = |length| proptest::collection::vec(character(), length).prop_map(|all| all.into_iter().collect());
    prop_oneof![1 => Just(String::new()), 6 => characters(0..12), 1 => characters(20..60), 1 => "[ -~]{70,90}"]
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![Just(Vec::new()), proptest::collection::vec(any::<u8>(), 0..20)]
}

/// Random samples.
pub(crate) fn sample() -> impl Strategy<Value = Sample> {
    let numbers = (
        integer(),
        integer(),
        float(),
        prop_oneof![float().prop_map(|f| f as f32), any::<u32>().prop_map(f32::from_bits)],
    );
    let words = (any::<bool>(), character(), text(), text(), bytes(), any::<[u8; 3]>());
    let counts = (prop_oneof![8 => 0usize..40, 1 => Just(130)], prop_oneof![8 => 0usize..25, 1 => Just(130)]);
    (numbers, words, counts).prop_map(|((a, b, f64, f32), (bool, char, one, two, bytes, array), (width, precision))| {
        Sample {
            u8: a as u8,
            u16: b as u16,
            u32: a as u32,
            u64: b as u64,
            u128: a,
            usize: a as usize,
            i8: b as i8,
            i16: a as i16,
            i32: b as i32,
            i64: a as i64,
            i128: b as i128,
            isize: b as isize,
            f32,
            f64,
            bool,
            char,
            str: one.clone().leak(),
            cow: if bool { Cow::Owned(one) } else { Cow::Borrowed(two.clone().leak()) },
            string: two,
            bytes: bytes.clone().leak(),
            array,
            vec: bytes,
            width,
            precision,
        }
    })
}
