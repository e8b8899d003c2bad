//! What the flusher makes of raw arguments is what `format!` would have made of them.
//!
//! A log call copies its arguments and leaves the formatting to another thread, or another process, after its own has died.
//! That is a second implementation of `std::fmt`, and its mistakes are quiet: a zero flag that is lost, a fill that goes to the
//! wrong side, a `-0.0` without its sign. Users do not compare a log with what `format!` would have printed, so a wrong digit
//! in the last lines before a crash is taken for the truth.
//!
//! A record's body depends on the arguments' types alone, and what is kept of a placeholder on the format string alone.
//! So two tests cover all of it: each spec goes through the macros with a type that changes from spec to spec, and its
//! record must be exactly the documented bytes; then each spec's record of the call-site table shows those bytes for
//! every type that the spec fits.

mod references;
mod ring;
mod sample;

use lastwords::Log;
use lastwords_flusher::render::message::Template;
use lastwords_ring::format::placeholder::value_tag;
use lastwords_tests::scratch::Scratch;
use proptest::prop_assert_eq;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use ring::{Recorded, drained, escaped, open, recovered, shown};
use sample::{Sample, Shown, Stored, sample};
use std::collections::HashSet;

/// Samples that every call of the table logs.
const SAMPLES: usize = 10;
/// Samples that every template shows, each for all types.
const SAMPLES_SHOWN: u32 = 6;

/// A row of the table.
struct Spec {
    kind: &'static str,
    /// Which arguments go before and after the value.
    arguments: &'static str,
    field: &'static str,
    text: &'static str,
    log: fn(Log, &Sample),
    format: fn(Shown<'_>, &Sample) -> String,
}

/// Calls a macro with a format string and the arguments that it takes.
macro_rules! call {
    ($call:ident ($($first:tt)*) [] $spec:literal $value:expr, $sample:ident) => {
        $call!($($first)* $spec, $value)
    };
    ($call:ident ($($first:tt)*) [precision] $spec:literal $value:expr, $sample:ident) => {
        $call!($($first)* $spec, $value, precision = $sample.precision)
    };
    ($call:ident ($($first:tt)*) [star] $spec:literal $value:expr, $sample:ident) => {
        $call!($($first)* $spec, $sample.precision, $value)
    };
    ($call:ident ($($first:tt)*) [width] $spec:literal $value:expr, $sample:ident) => {
        $call!($($first)* $spec, $value, width = $sample.width)
    };
    ($call:ident ($($first:tt)*) [width precision] $spec:literal $value:expr, $sample:ident) => {
        $call!($($first)* $spec, $value, width = $sample.width, precision = $sample.precision)
    };
    ($call:ident ($($first:tt)*) [width star] $spec:literal $value:expr, $sample:ident) => {
        $call!($($first)* $spec, $sample.precision, $value, width = $sample.width)
    };
    ($call:ident ($($first:tt)*) [position] $spec:literal $value:expr, $sample:ident) => {
        $call!($($first)* $spec, $sample.width, $value)
    };
    ($call:ident ($($first:tt)*) [position precision] $spec:literal $value:expr, $sample:ident) => {
        $call!($($first)* $spec, $sample.width, $value, precision = $sample.precision)
    };
    ($call:ident ($($first:tt)*) [position star] $spec:literal $value:expr, $sample:ident) => {
        $call!($($first)* $spec, $sample.precision, $sample.width, $value)
    };
}

macro_rules! specs {
    ($($kind:literal $arguments:tt { $($field:ident $spec:literal)* })*) => {
        // A static each, for the compiler takes time by the square of how many calls one holds.
        static SPECS: &[&[Spec]] = &[$({
            static BLOCK: &[Spec] = &[$(Spec {
                kind: $kind,
                arguments: stringify!($arguments),
                field: stringify!($field),
                text: $spec,
                log: |log, sample| call!(info (logger: log,) $arguments $spec sample.$field, sample),
                format: |value, sample| {
                    let _ = sample;
                    call!(format () $arguments $spec value, sample)
                },
            },)*];
            BLOCK
        },)*];
    };
}

use lastwords::info;

include!(concat!(env!("OUT_DIR"), "/specs.rs"));

impl Spec {
    /// The values that a record of this call holds: width and precision before the value.
    fn stored(&self, value: Stored, sample: &Sample) -> Vec<Stored> {
        let count = |count: usize| Stored::word(value_tag::U64, count as u64);
        let width = ["width", "position"].iter().any(|word| self.arguments.contains(word)).then(|| count(sample.width));
        let precision =
            ["precision", "star"].iter().any(|word| self.arguments.contains(word)).then(|| count(sample.precision));
        width.into_iter().chain(precision).chain([value]).collect()
    }

    /// Whether bytes are stored raw for it; others hand their placeholder's options on to each element.
    fn is_plain(&self) -> bool {
        matches!(self.text, "{:?}" | "{:#?}" | "{:x?}" | "{:#x?}" | "{:X?}" | "{:#X?}")
    }

    /// The body that its record of this sample must have.
    fn body(&self, sample: &Sample) -> Vec<u8> {
        let (_, value, stored) = sample.field(self.field);
        let formatted = matches!(value, Shown::Bytes(_)) && !self.is_plain();
        let value = if formatted {
            Stored::bytes(value_tag::FORMATTED, (self.format)(value, sample).as_bytes())
        } else {
            stored
        };
        Stored::body(&self.stored(value, sample))
    }
}

fn all() -> impl Iterator<Item = &'static Spec> {
    SPECS.iter().copied().flatten()
}

fn kinds() -> Vec<&'static str> {
    let mut kinds: Vec<_> = all().map(|spec| spec.kind).collect();
    kinds.dedup();
    kinds
}

fn of_kind(kind: &str) -> impl Iterator<Item = &'static Spec> {
    all().filter(move |spec| spec.kind == kind)
}

/// One logger for each type of placeholder, because a ring's call-site table has no room for all specs.
fn loggers(folder: &Scratch) -> Vec<(&'static str, String, Log)> {
    let named = kinds().into_iter().enumerate().map(|(n, kind)| (kind, format!("kind{n}")));
    named.map(|(kind, role)| (kind, role.clone(), open(folder, &role))).collect()
}

#[test]
fn the_table_has_every_combination_once() {
    let distinct: HashSet<_> = all().map(|spec| (spec.kind, spec.text)).collect();
    assert_eq!(distinct.len(), 10 * 8 * 4 * (2 + 3 * 6), "types, flags, precisions, widths with fills and alignments");
    assert_eq!(all().count(), distinct.len());
}

#[test]
fn every_spec_is_stored_raw_and_shows_every_type_as_format_does() {
    let folder = Scratch::new("deferred");
    let loggers = loggers(&folder);
    let mut runner = TestRunner::new(Config { cases: SAMPLES_SHOWN, failure_persistence: None, ..Config::default() });
    let samples: Vec<Sample> =
        (0..SAMPLES).map(|_| sample().new_tree(&mut runner).expect("a sample").current()).collect();
    for (kind, _, log) in &loggers {
        samples.iter().for_each(|sample| of_kind(kind).for_each(|spec| (spec.log)(*log, sample)));
    }
    let (recovered, drained) = (recovered(&folder), drained(&folder));
    let mut templates = Vec::new();
    for (kind, role, _) in &loggers {
        let calls: Vec<_> = samples.iter().flat_map(|sample| of_kind(kind).map(move |spec| (spec, sample))).collect();
        let (records, lines) = (&recovered[role], &drained[role]);
        assert_eq!((records.len(), lines.len()), (calls.len(), records.len()), "{role}");
        for ((spec, sample), (record, line)) in calls.into_iter().zip(records.iter().zip(lines)) {
            stored_and_shown(spec, sample, record, line);
        }
        templates.extend(of_kind(kind).zip(records).map(|(spec, record)| (spec, record.template())));
    }
    runner.run(&sample(), |sample| shows_all(&templates, &sample)).unwrap_or_else(|error| panic!("{error}"));
}

/// Compares what the macros made of one call.
fn stored_and_shown(spec: &Spec, sample: &Sample, record: &Recorded, line: &str) {
    let (_, value, _) = sample.field(spec.field);
    let call = || format!("{:?} of {:?} in {sample:?}", spec.text, spec.field);
    assert!(record.has_values, "the caller formatted {}", call());
    assert_eq!(record.format(), spec.text, "{}", call());
    assert!(record.body == spec.body(sample), "{:?} is stored for {}", record.body, call());
    assert_eq!(line, escaped(&(spec.format)(value, sample)), "{}", call());
}

/// Shows one sample's values of all types by every template.
fn shows_all(templates: &[(&Spec, Template)], sample: &Sample) -> Result<(), TestCaseError> {
    let fields = sample.fields();
    for (spec, template) in templates {
        for (name, value, stored) in &fields {
            if !value.takes(spec.kind) || matches!(value, Shown::Bytes(_)) && !spec.is_plain() {
                continue;
            }
            let body = Stored::body(&spec.stored(stored.clone(), sample));
            let expected = (spec.format)(*value, sample);
            prop_assert_eq!(shown(template, &body), Some(expected), "{} of {}", spec.text, name);
        }
    }
    Ok(())
}
