//! The values of a log call on their way into a record: copied raw if their type is known, otherwise formatted.
//!
//! A record's body is `ceil(values / 8)` words of tags, a byte per value (see [`crate::format::placeholder::value_tag`]), then
//! the values in order, each a whole number of words. An untagged body has the values alone. The macros build a list
//! `(value, (value, ()))`, so that all sizes and tags known at compile time cost nothing at run time.

use crate::write::words::{WordSink, words_of};
use crate::format::layout::encoding;
use crate::format::placeholder::{COUNT_MAX, VALUES_MAX, value_tag};
use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};

/// Most values of a list that is written without tags.
pub const UNTAGGED_MAX: usize = 8;
/// Words of tags of the longest list.
const TAG_WORDS_MAX: usize = VALUES_MAX / 8;

/// One value of a record.
pub trait Value {
    /// Its tag.
    const TAG: u8;
    /// Whether it is copied raw: nothing has to be formatted, and no user code runs.
    const RAW: bool;

    /// Number of whole words; only for raw ones.
    fn words(&self) -> usize;

    /// Hands over its words. Only for raw ones.
    fn write(&self, sink: &mut impl WordSink);

    /// Appends its words to `out`, formatted now if it is not raw.
    fn push(&self, out: &mut Vec<u8>) {
        self.write(out);
    }

    /// False if a reader would refuse it, so that the caller must format the message.
    #[inline(always)]
    fn fits(&self) -> bool {
        true
    }
}

/// A list of values.
pub trait Values {
    /// Number of values.
    const COUNT: usize;
    /// Their tags, the first in the lowest byte.
    const TAGS: [u64; TAG_WORDS_MAX];
    /// Whether all of them are copied raw.
    const RAW: bool;

    /// Number of whole words, without their tags.
    fn words(&self) -> usize;
    /// Hands over their words, without their tags.
    fn write(&self, sink: &mut impl WordSink);
    /// Appends their words to `out`, without their tags.
    fn push(&self, out: &mut Vec<u8>);
    /// Whether a reader accepts all of them.
    fn fit(&self) -> bool;
}

impl Values for () {
    const COUNT: usize = 0;
    const TAGS: [u64; TAG_WORDS_MAX] = [0; TAG_WORDS_MAX];
    const RAW: bool = true;

    #[inline(always)]
    fn words(&self) -> usize {
        0
    }
    #[inline(always)]
    fn write(&self, _: &mut impl WordSink) {}
    fn push(&self, _: &mut Vec<u8>) {}
    #[inline(always)]
    fn fit(&self) -> bool {
        true
    }
}

impl<V: Value, Rest: Values> Values for (V, Rest) {
    const COUNT: usize = 1 + Rest::COUNT;
    const TAGS: [u64; TAG_WORDS_MAX] = shift_in(Rest::TAGS, V::TAG);
    const RAW: bool = V::RAW && Rest::RAW;

    #[inline(always)]
    fn words(&self) -> usize {
        self.0.words() + self.1.words()
    }
    #[inline(always)]
    fn write(&self, sink: &mut impl WordSink) {
        self.0.write(sink);
        self.1.write(sink);
    }
    fn push(&self, out: &mut Vec<u8>) {
        self.0.push(out);
        self.1.push(out);
    }
    #[inline(always)]
    fn fit(&self) -> bool {
        self.0.fits() && self.1.fit()
    }
}

const fn shift_in(tags: [u64; TAG_WORDS_MAX], first: u8) -> [u64; TAG_WORDS_MAX] {
    let mut shifted = [0; TAG_WORDS_MAX];
    let mut carry = first as u64;
    let mut word = 0;
    while word < TAG_WORDS_MAX {
        shifted[word] = tags[word] << 8 | carry;
        carry = tags[word] >> 56;
        word += 1;
    }
    shifted
}

/// Words of tags of a list of `count` values.
#[inline]
pub const fn tag_words(count: usize) -> usize {
    count.div_ceil(8)
}

/// How [`write_body`] encodes a list of so many values.
#[must_use]
pub const fn encoding_of(count: usize) -> u8 {
    if count > UNTAGGED_MAX { encoding::VALUES } else { encoding::UNTAGGED }
}

/// Words that [`write_body`] hands over.
#[inline(always)]
pub fn body_words<V: Values>(values: &V) -> usize {
    let tags = if V::COUNT > UNTAGGED_MAX { tag_words(V::COUNT) } else { 0 };
    tags + values.words()
}

/// Hands over a whole body for a list of raw values, untagged if there are at most [`UNTAGGED_MAX`].
#[inline(always)]
pub fn write_body<V: Values>(values: &V, sink: &mut impl WordSink) {
    if V::COUNT > UNTAGGED_MAX {
        V::TAGS[..tag_words(V::COUNT)].iter().for_each(|word| sink.word(*word));
    }
    values.write(sink);
}

/// A whole body for any list, with tags.
pub fn push_body<V: Values>(values: &V, out: &mut Vec<u8>) {
    V::TAGS[..tag_words(V::COUNT)].iter().for_each(|word| out.word(*word));
    values.push(out);
}

/// An argument of a log call, before its storage is decided. `PLAIN` says that its placeholder sets neither width nor
/// precision, sign, fill or leading zeros.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a, T: ?Sized, const PLAIN: bool>(pub &'a T);

/// How an argument whose type is stored raw becomes a value. Method resolution finds this before [`ViaText`].
pub trait ViaRaw<'a> {
    /// The value's type.
    type Stored: Value;
    /// The value; the formatted text is not used.
    fn value(&self, formatted: fmt::Arguments<'_>) -> Self::Stored;
}

/// How any other argument becomes a value.
pub trait ViaText {
    /// The value, to be formatted as its placeholder says.
    fn value<'f>(&self, formatted: fmt::Arguments<'f>) -> Text<'f>;
}

impl<'a, T: Raw<PLAIN> + ?Sized, const PLAIN: bool> ViaRaw<'a> for Given<'a, T, PLAIN> {
    type Stored = T::Stored<'a>;

    #[inline]
    fn value(&self, _: fmt::Arguments<'_>) -> T::Stored<'a> {
        self.0.stored()
    }
}

impl<T: ?Sized, const PLAIN: bool> ViaText for &Given<'_, T, PLAIN> {
    #[inline]
    fn value<'f>(&self, formatted: fmt::Arguments<'f>) -> Text<'f> {
        Text(formatted)
    }
}

/// Types that are stored raw: primitives, strings and bytes, and references to them.
pub trait Raw<const PLAIN: bool> {
    /// The value's type.
    type Stored<'a>: Value
    where
        Self: 'a;
    /// The value.
    fn stored(&self) -> Self::Stored<'_>;
}

/// A value of one or two words. They are atomics so that the compiler moves each individually: a wide load of two words that
/// were just stored one by one would stall until both reach the cache.
#[derive(Debug)]
pub struct Scalar<const TAG: u8, const WORDS: usize>([AtomicU64; WORDS]);

impl<const TAG: u8, const WORDS: usize> Value for Scalar<TAG, WORDS> {
    const TAG: u8 = TAG;
    const RAW: bool = true;

    #[inline(always)]
    fn words(&self) -> usize {
        WORDS
    }
    #[inline(always)]
    fn write(&self, sink: &mut impl WordSink) {
        self.0.iter().for_each(|word| sink.word(word.load(Ordering::Relaxed)));
    }
}

macro_rules! raw_scalars {
    ($($type:ty, $tag:ident, $words:literal, |$value:ident| $stored:expr;)*) => {$(
        impl<const PLAIN: bool> Raw<PLAIN> for $type {
            type Stored<'a> = Scalar<{ value_tag::$tag }, $words>;

            #[inline]
            fn stored(&self) -> Self::Stored<'_> {
                let $value = *self;
                Scalar($stored.map(AtomicU64::new))
            }
        }
    )*};
}

raw_scalars! {
    bool, BOOL, 1, |value| [u64::from(value)];
    char, CHAR, 1, |value| [value as u64];
    f32, F32, 1, |value| [u64::from(value.to_bits())];
    f64, F64, 1, |value| [value.to_bits()];
    u8, U8, 1, |value| [u64::from(value)];
    u16, U16, 1, |value| [u64::from(value)];
    u32, U32, 1, |value| [u64::from(value)];
    u64, U64, 1, |value| [value];
    usize, U64, 1, |value| [value as u64];
    u128, U128, 2, |value| [value as u64, (value >> 64) as u64];
    i8, I8, 1, |value| [value as u64];
    i16, I16, 1, |value| [value as u64];
    i32, I32, 1, |value| [value as u64];
    i64, I64, 1, |value| [value as u64];
    isize, I64, 1, |value| [value as u64];
    i128, I128, 2, |value| [value as u64, (value >> 64) as u64];
}

/// A string or bytes.
#[derive(Debug, Clone, Copy)]
pub struct Bytes<'a, const TAG: u8>(&'a [u8]);

impl<const TAG: u8> Value for Bytes<'_, TAG> {
    const TAG: u8 = TAG;
    const RAW: bool = true;

    #[inline(always)]
    fn words(&self) -> usize {
        1 + words_of(self.0.len())
    }
    #[inline(always)]
    fn write(&self, sink: &mut impl WordSink) {
        sink.word(self.0.len() as u64);
        sink.bytes(self.0);
    }
}

fn pad(out: &mut Vec<u8>, length: usize) {
    out.resize(out.len() + length.next_multiple_of(8) - length, 0);
}

macro_rules! raw_bytes {
    ($($(#[$plain:literal])? [$($generics:tt)*] $type:ty, $tag:ident, |$value:ident| $bytes:expr;)*) => {$(
        impl<$($generics)*> Raw<{ raw_bytes!(@plain $($plain)?) }> for $type {
            type Stored<'a> = Bytes<'a, { value_tag::$tag }> where Self: 'a;

            #[inline]
            fn stored(&self) -> Self::Stored<'_> {
                let $value = self;
                Bytes($bytes)
            }
        }
    )*};
    (@plain) => { PLAIN };
    (@plain $plain:literal) => { $plain };
}

raw_bytes! {
    [const PLAIN: bool] str, STR, |value| value.as_bytes();
    [const PLAIN: bool] String, STR, |value| value.as_bytes();
    [const PLAIN: bool] std::borrow::Cow<'_, str>, STR, |value| value.as_bytes();
    // Bytes apply the options of their placeholder to each element, so only plain ones are deferred.
    #[true] [] [u8], BYTES, |value| value;
    #[true] [] Vec<u8>, BYTES, |value| value;
    #[true] [const LENGTH: usize] [u8; LENGTH], BYTES, |value| value;
}

impl<T: Raw<PLAIN> + ?Sized, const PLAIN: bool> Raw<PLAIN> for &T {
    type Stored<'a>
        = T::Stored<'a>
    where
        Self: 'a;

    #[inline]
    fn stored(&self) -> Self::Stored<'_> {
        (**self).stored()
    }
}

impl<T: Raw<PLAIN> + ?Sized, const PLAIN: bool> Raw<PLAIN> for &mut T {
    type Stored<'a>
        = T::Stored<'a>
    where
        Self: 'a;

    #[inline]
    fn stored(&self) -> Self::Stored<'_> {
        (**self).stored()
    }
}

/// A width or precision among the values.
#[derive(Debug, Clone, Copy)]
pub struct Count(pub usize);

impl Value for Count {
    const TAG: u8 = value_tag::U64;
    const RAW: bool = true;

    #[inline(always)]
    fn words(&self) -> usize {
        1
    }
    #[inline(always)]
    fn write(&self, sink: &mut impl WordSink) {
        sink.word(self.0 as u64);
    }
    #[inline(always)]
    fn fits(&self) -> bool {
        self.0 <= usize::from(COUNT_MAX)
    }
}

/// A value that its caller formats.
#[derive(Debug, Clone, Copy)]
pub struct Text<'a>(fmt::Arguments<'a>);

impl<'a> Text<'a> {
    /// The value with the text `formatted`.
    #[inline]
    #[must_use]
    pub fn of(formatted: fmt::Arguments<'a>) -> Text<'a> {
        Text(formatted)
    }
}

impl Value for Text<'_> {
    const TAG: u8 = value_tag::FORMATTED;
    const RAW: bool = false;

    fn words(&self) -> usize {
        0
    }
    fn write(&self, _: &mut impl WordSink) {}
    fn push(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.word(0);
        append_text(out, self.0);
        let length = out.len() - start - 8;
        out[start..start + 8].copy_from_slice(&(length as u64).to_le_bytes());
        pad(out, length);
    }
}

/// Appends formatted text to bytes.
pub fn append_text(out: &mut Vec<u8>, text: fmt::Arguments<'_>) {
    if Target(out).write_fmt(text).is_err() {
        out.extend_from_slice(b" [a Display implementation returned an error]");
    }
}

struct Target<'a>(&'a mut Vec<u8>);

impl Write for Target<'_> {
    #[inline(always)]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// A field's value as text: quoted if it is not a single word and has no quotes yet.
#[derive(Debug, Clone, Copy)]
pub struct Quoted<'a>(pub fmt::Arguments<'a>);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        if is_bare(text.as_bytes()) { f.write_str(&text) } else { write!(f, "{text:?}") }
    }
}

/// Whether a field's value needs no quotes.
pub fn is_bare(text: &[u8]) -> bool {
    let plain = |byte: &u8| !matches!(byte, 0..=b' ' | b'"' | b'=' | b'\\' | 0x7f);
    let quoted = text.len() > 1 && text.starts_with(b"\"") && text.ends_with(b"\"");
    quoted || !text.is_empty() && text.iter().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_more_than_eight_values_stand_in_further_words() {
        type Nine = (Count, (Count, (Count, (Count, (Count, (Count, (Count, (Count, (Text<'static>, ())))))))));
        assert_eq!(<Nine as Values>::COUNT, 9);
        assert_eq!(<Nine as Values>::TAGS[0], 0x0b0b_0b0b_0b0b_0b0b);
        assert_eq!(<Nine as Values>::TAGS[1], u64::from(value_tag::FORMATTED));
        const { assert!(!<Nine as Values>::RAW && <(Count, ()) as Values>::RAW) };
    }

    #[test]
    fn both_ways_to_write_a_body_agree_but_for_the_tags() {
        for text in ["", "a", "12345678", "123456789", "sixteen bytes ok"] {
            let given = (text, (7u8.stored_plain(), (text.as_bytes().stored_plain(), ())));
            let list = (given.0.stored_plain(), given.1);
            let mut bytes = Vec::new();
            push_body(&list, &mut bytes);
            let mut body = Vec::new();
            write_body(&list, &mut body);
            assert_eq!(body, &bytes[8 * tag_words(3)..], "{text:?}");
            assert_eq!(body.len(), body_words(&list) * 8);
        }
    }

    trait StoredPlain: Raw<true> {
        fn stored_plain(&self) -> Self::Stored<'_> {
            self.stored()
        }
    }
    impl<T: Raw<true> + ?Sized> StoredPlain for T {}

    #[test]
    fn fields_are_quoted_where_they_are_no_word() {
        let quoted = |text: &str| Quoted(format_args!("{text}")).to_string();
        assert_eq!((quoted("cam-1"), quoted("a b"), quoted("")), ("cam-1".into(), "\"a b\"".into(), "\"\"".into()));
        assert_eq!(quoted("say \"x\"=1\n"), "\"say \\\"x\\\"=1\\n\"");
    }
}
