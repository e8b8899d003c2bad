//! What is given to the `log` facade arrives whole: the text, and the key-values with their types.
//!
//! A back end that drops key-values is silent about it: a query for `user=ada` finds nothing, and everybody believes that
//! nothing happened.

use lastwords::{Flusher, Level};
use lastwords_tests::actor::flush_once;
use lastwords_tests::logs::messages;
use lastwords_tests::recovered::records;
use lastwords_tests::scratch::Scratch;
use log::kv::{self, Key, Source, Value, VisitSource};
use std::fmt;

/// Logs while it is shown for a log call.
struct Chatty;

impl fmt::Display for Chatty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        log::info!(inner = 1; "from within");
        f.write_str("shown")
    }
}

/// A source that breaks off.
struct Broken;

impl Source for Broken {
    fn visit<'kvs>(&'kvs self, visitor: &mut dyn VisitSource<'kvs>) -> Result<(), kv::Error> {
        visitor.visit_pair(Key::from("first"), Value::from(1))?;
        Err(kv::Error::msg("no more"))
    }
}

/// Modules that a macro writes to one line.
macro_rules! modules {
    ($($name:ident)*) => {$(
        mod $name {
            pub(super) fn say() {
                log::info!("by a module");
            }
        }
    )*};
}

modules!(one other);

/// Returns the line of the record whose target is named.
fn log_all() -> u32 {
    let (user, list, error) = ("ada", [1, 2], std::io::Error::other("disk full"));
    log::info!("plain");
    log::info!("formatted {}", 7);
    log::info!(user, n = 7, below = -7i8, wide = u128::MAX, deep = i128::MIN; "numbers of {}", user);
    log::warn!(ratio = 0.5, ok = true, letter = 'ß', list:? = list, shown:% = 1.50, none = None::<u8>; "others");
    log::error!(err:err = error, words = "two words", empty = ""; "quoted");
    let line = line!() + 1;
    log::info!(target: "audit", chatty:% = Chatty; "outer");
    let record = log::Record::builder().key_values(&Broken).target("made").args(format_args!("by hand")).build();
    log::logger().log(&record);
    log::info!(long = "x".repeat(100_000).as_str(); "spilled");
    log::debug!(unseen = 1; "disabled");
    one::say();
    other::say();
    line
}

#[test]
fn key_values_are_typed_fields_and_stand_behind_the_text() {
    let folder = Scratch::new("facade");
    lastwords::builder("host").dir(&folder).level(Level::INFO).flusher(Flusher::Never).init().expect("a ring");
    let line = log_all();
    let found = records(&folder);
    let fields: Vec<(&str, Vec<&str>)> = found
        .iter()
        .filter(|record| record.text != "spilled" && record.text != "by a module")
        .map(|record| (record.text.as_str(), record.fields.iter().map(String::as_str).collect()))
        .collect();
    let wide = format!("wide: U128({})", u128::MAX);
    let deep = format!("deep: I128({})", i128::MIN);
    assert_eq!(
        fields,
        [
            ("plain", vec![]),
            ("formatted 7", vec![]),
            ("numbers of ada", vec!["user: Str(ada)", "n: I64(7)", "below: I64(-7)", &wide, &deep]),
            (
                "others",
                vec![
                    "ratio: F64(0.5)",
                    "ok: Bool(true)",
                    "letter: Char('ß')",
                    "list: Formatted([1, 2])",
                    "shown: Formatted(1.5)",
                    "none: Formatted(None)",
                ]
            ),
            ("quoted", vec!["err: Formatted(disk full)", "words: Str(two words)", "empty: Str()"]),
            ("from within", vec!["inner: I64(1)"]),
            ("outer", vec!["chatty: Formatted(shown)"]),
            ("by hand", vec!["first: I64(1)"]),
        ]
    );
    assert!(found.iter().all(|record| record.has_site == (record.text != "by hand")), "{found:?}");
    let outer = found.iter().find(|record| record.text == "outer").expect("there");
    assert_eq!((outer.target.as_str(), outer.module.as_str(), outer.line), ("audit", "facade", line));
    let by_hand = found.iter().find(|record| record.text == "by hand").expect("there");
    assert_eq!((by_hand.target.as_str(), by_hand.line), ("made", 0));

    let of_modules = found.iter().filter(|record| record.text == "by a module").map(|record| record.target.as_str());
    assert!(of_modules.eq(["facade::one", "facade::other"]), "one line of the source, two targets");

    flush_once(&folder);
    let lines = messages(&folder, "host");
    assert_eq!(lines[3], "others ratio=0.5 ok=true letter=ß list=\"[1, 2]\" shown=1.5 none=None");
    assert_eq!(lines[4], "quoted err=\"disk full\" words=\"two words\" empty=\"\"");
    assert_eq!(lines[8], format!("spilled long={}", "x".repeat(100_000)));
}
