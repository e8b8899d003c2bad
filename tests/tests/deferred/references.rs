//! Every type that is stored raw, itself and behind references, as callers pass it; and what is not stored raw.

use crate::ring::{drained, escaped, open, recovered};
use crate::sample::{Sample, sample};
use lastwords_flusher::render::value::Value;
use lastwords_ring::format::placeholder::value_tag as tag;
use lastwords_tests::scratch::Scratch;
use proptest::prelude::{Just, any};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, TestRunner};
use proptest::{prop_assert_eq, prop_oneof};
use std::borrow::Cow;

/// Logs with each format string and notes what `format!` makes of it, and the value's tag.
macro_rules! check {
    ($log:ident $expected:ident $tag:ident: $value:expr; $($format:literal)+) => {$(
        lastwords::info!(logger: $log, $format, $value);
        $expected.push((format!($format, $value), tag::$tag));
    )+};
}

/// A value as it is, moved into the call's parentheses, and behind references.
macro_rules! every_way {
    ($log:ident $expected:ident $sample:ident; $($tag:ident $field:ident)+; $formats:tt) => {$(
        let (mut own, mut other) = ($sample.$field.clone(), $sample.$field.clone());
        every_way!(@ $log $expected $tag $formats own, &own, &&own, &&&own, &mut own, &&mut other);
        let _moved = (own, other);
    )+};
    (@ $log:ident $expected:ident $tag:ident $formats:tt $($value:expr),+) => {
        $(every_way!(@ $log $expected $tag $value; $formats);)+
    };
    (@ $log:ident $expected:ident $tag:ident $value:expr; ($($format:literal)+)) => {
        check!($log $expected $tag: $value; $($format)+);
    };
}

fn log_every_way(log: lastwords::Log, sample: &Sample) -> Vec<(String, u8)> {
    let mut expected = Vec::new();
    every_way!(log expected sample; U8 u8 U16 u16 U32 u32 U64 u64 U128 u128 U64 usize I8 i8 I16 i16 I32 i32 I64 i64
        I128 i128 I64 isize; ("{}" "<{:>+9}>" "{:#06x?}" "{:e}"));
    every_way!(log expected sample; F32 f32 F64 f64; ("{}" "{:*^+12.2}" "{:?}" "{:E}"));
    every_way!(log expected sample; BOOL bool CHAR char STR str STR string STR cow; ("{}" "{:?}" "{:é^7.3}|"));
    every_way!(log expected sample; BYTES bytes BYTES array BYTES vec; ("{:?}" "{:#X?}"));
    every_way!(log expected sample; FORMATTED bytes FORMATTED array FORMATTED vec; ("{:02x?}" "{:4?}"));
    expected
}

#[derive(Debug)]
#[allow(dead_code, reason = "shown by Debug")]
struct Camera {
    name: &'static str,
}

impl std::fmt::Display for Camera {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name)
    }
}

fn generic<T: std::fmt::Display>(log: lastwords::Log, expected: &mut Vec<(String, u8)>, value: T) {
    check!(log expected FORMATTED: value; "{}" "{:>9}");
}

fn log_other_types(log: lastwords::Log, sample: &Sample) -> Vec<(String, u8)> {
    let mut expected = Vec::new();
    let camera = Camera { name: "left" };
    check!(log expected FORMATTED: camera; "{}" "{:?}" "{:#?}" "{:*^9}" "{:.2}");
    check!(log expected FORMATTED: &&camera; "{}" "{:?}");
    check!(log expected FORMATTED: Some(sample.u8); "{:?}" "{:#x?}" "{:04?}");
    check!(log expected FORMATTED: (sample.u8, sample.str); "{:?}" "{:#?}");
    check!(log expected FORMATTED: [sample.u16, 7]; "{:?}" "{:03x?}");
    check!(log expected FORMATTED: &sample.u8; "{:p}" "{:#p}");
    check!(log expected FORMATTED: Box::new(sample.u8); "{}" "{:>5}");
    check!(log expected FORMATTED: &camera as &dyn std::fmt::Display; "{}" "{:>7}");
    check!(log expected FORMATTED: Cow::Borrowed(sample.bytes); "{:?}");
    check!(log expected FORMATTED: std::path::Path::new("left").display(); "{}" "{:>7}");
    check!(log expected FORMATTED: format_args!("{} and {}", sample.i8, sample.str); "{}");
    check!(log expected FORMATTED: (); "{:?}");
    generic(log, &mut expected, sample.u8);
    generic(log, &mut expected, sample.str);
    expected
}

/// Logs samples, then compares tags and text.
fn compare(name: &str, log_all: fn(lastwords::Log, &Sample) -> Vec<(String, u8)>) {
    let folder = Scratch::new(name);
    let log = open(&folder, name);
    let mut runner = TestRunner::default();
    let samples = (0..12).map(|_| sample().new_tree(&mut runner).expect("a sample").current());
    let expected: Vec<(String, u8)> = samples.flat_map(|sample| log_all(log, &sample)).collect();
    let (records, lines) = (&recovered(&folder)[name], &drained(&folder)[name]);
    assert_eq!((records.len(), lines.len()), (expected.len(), expected.len()));
    for ((record, line), (text, tag)) in records.iter().zip(lines).zip(&expected) {
        let what = format!("{:?} as {text:?}", record.format());
        assert_eq!((record.has_values, record.body[0]), (true, *tag), "{what}");
        assert_eq!(*line, escaped(text), "{what}");
    }
}

#[test]
fn raw_types_are_stored_raw_behind_any_reference() {
    compare("references", log_every_way);
}

#[test]
fn other_types_are_formatted_by_the_caller() {
    compare("other-types", log_other_types);
}

#[test]
fn floats_have_the_digits_of_format_where_a_faster_crate_writes_them() {
    // Any; some that are neither large nor small; and those with few binary places for their size, which may lie in
    // the middle between two decimal numbers.
    let scaled = (any::<u64>(), 1000u64..1080).prop_map(|(bits, exponent)| f64::from_bits(bits >> 12 | exponent << 52));
    let halves = (any::<u64>(), 0i32..70, 10u32..17)
        .prop_map(|(bits, places, digits)| ((bits % 10u64.pow(digits)) | 1) as f64 / 2f64.powi(places));
    let middles = (1u64 << 40..1 << 53, 2i32..24).prop_map(|(n, places)| {
        // With one binary place more than fit, the last bit is set where there is room.
        let size = 2f64.powi(places) / 10f64.powi(places) * 1e17;
        ((n as f64 / (1u64 << 53) as f64 * size).floor() * 2.0 + 1.0) / 2f64.powi(places)
    });
    let few_digits = (any::<i32>(), -8i32..12).prop_map(|(digits, power)| f64::from(digits) * 10f64.powi(power));
    let floats = prop_oneof![any::<u64>().prop_map(f64::from_bits), scaled, halves, middles, few_digits, Just(-0.0)];
    let mut runner = TestRunner::new(Config { cases: 50_000, failure_persistence: None, ..Config::default() });
    let same = |value: f64| {
        let mut out = Vec::new();
        Value::F64(value).show_plainly(&mut out).expect("shown");
        prop_assert_eq!(String::from_utf8_lossy(&out), value.to_string());
        Ok(())
    };
    runner.run(&floats, same).unwrap_or_else(|error| panic!("{error}"));
}
