//! A log call is written like a `format!`, with fields after it, and gives the same text.
//!
//! The macros take calls apart and write other code in their place. Users discover what such a macro rejects when they replace
//! another logger's: an argument that is evaluated twice, or at a level that is off, a value that is moved, a variable of
//! theirs that a variable of the macro hides, a call that came through a macro of their own.

use lastwords::{Level, Log};
use lastwords_tests::logs::messages;
use lastwords_tests::scratch::Scratch;
use std::cell::{Cell, RefCell};
use std::fmt::{self, Display};

/// A logger of a test's own and what its log must say.
struct Expected {
    folder: Scratch,
    role: &'static str,
    log: Log,
    lines: RefCell<Vec<String>>,
}

impl Expected {
    fn new(role: &'static str, slots: u32) -> Expected {
        let folder = Scratch::new(role);
        let builder = lastwords::builder(role).dir(&folder).level(Level::DEBUG);
        let log = builder.slots_per_lane(slots).lanes(3).open().expect("a logger");
        Expected { folder, role, log, lines: RefCell::default() }
    }

    fn line(&self, text: impl Into<String>) {
        self.lines.borrow_mut().push(text.into());
    }

    fn compare(self) {
        self.log.flush().expect("flushed");
        let found = messages(self.folder.path(), self.role);
        assert_eq!(found, self.lines.into_inner());
    }
}

/// Logs with `format!`'s arguments, and notes what `format!` makes of them.
macro_rules! check {
    ($expected:ident, $($message:tt)+) => {
        let log = $expected.log;
        lastwords::info!(logger: log, $($message)+);
        $expected.line(format!($($message)+));
    };
}

/// A user's macro around ours.
macro_rules! wrapped {
    ($expected:ident, $format:literal $($argument:tt)*) => {
        lastwords::info!(logger: $expected.log, $format $($argument)*);
        $expected.line(format!($format $($argument)*));
    };
}

#[test]
fn arguments_are_named_numbered_and_captured_as_in_format() {
    let expected = Expected::new("arguments", 256);
    let (x, y, width, precision) = (7, "left", 9, 2);
    check!(expected, "{0} {0} {1}", x, y);
    check!(expected, "{1} {} {0} {}", x, y);
    check!(expected, "{x} {x:?} {y:>width$} {y:.precision$}|");
    check!(expected, "{x} {named} {} {0}", x + 1, named = y);
    check!(expected, "{:1$} {:.*} {:>1$.*}", x, 3, 2.55, 1, 1.25);
    check!(expected, "{{}} {{{x}}} }}{{ {{{{");
    check!(expected, r#"raw "{x}" \n {y:?}"#);
    check!(
        expected,
        "escaped \"{x}\" \u{e9} \x41 and \
        joined {y}\nand a further line"
    );
    check!(expected, "{ } {x } {x:} {x: } {:-5} {:-}", 1, 3, 4);
    check!(expected, "trailing {}", x,);
    check!(expected, "trailing {named}", named = x,);
    check!(expected, "{r} {type}", r = r#"x"#, r#type = 4);
    check!(expected, concat!("{} in ", "concat {x}"), y, x = x);
    check!(expected, "{:}>5} {:{>5}", x, y);
    check!(expected, "static");
    check!(expected, "");
    wrapped!(expected, "{x} of {y:?}");
    wrapped!(expected, "{} of {n}", x, n = y,);
    expected.compare();
}

#[test]
fn many_arguments_and_large_widths_are_those_of_format() {
    let expected = Expected::new("many", 4096);
    check!(expected, "{} {} {} {} {} {} {} {} {:?} {}", 1, 2u8, "3", 4.5, 'c', true, -7i128, 8u128, "nine", b'x');
    check!(
        expected,
        "{0}{1}{2}{3}{4}{5}{6}{7}{0}{1}{2}{3}{4}{5}{6}{7}{0}{1}{2}{3}{4}{5}{6}{7}{0}{1}{2}{3}{4}{5}{6}{7}",
        1,
        2,
        3,
        "4",
        5,
        6,
        7,
        8
    );
    check!(
        expected,
        "{0}{1}{2}{3}{4}{5}{6}{7}{0}{1}{2}{3}{4}{5}{6}{7}{0}{1}{2}{3}{4}{5}{6}{7}{0}{1}{2}{3}{4}{5}{6}{7}{0}",
        1,
        2,
        3,
        "4",
        5,
        6,
        7,
        8
    );
    for count in [1023, 1024, 1025, 3000] {
        check!(expected, "{:count$}|{:>1$}|{:.*}", 7, count, count, 0.5);
        check!(expected, "{:<count$}|{:.count$}", "text", "a longer text");
    }
    check!(expected, "{:1024}|{:1025}|{:.1030}", 1, 2, 0.25);
    expected.compare();
}

#[test]
fn long_strings_are_whole_around_every_limit_of_the_ring() {
    let expected = Expected::new("lengths", 64);
    // A slot takes 80 bytes; a quarter of the lane is 16 slots.
    for length in (40..=90).chain(1240..=1290).chain([5_000, 100_000]) {
        let text = lastwords_tests::logs::long_text(length);
        check!(expected, "{text} {} {:?}", length, &text[..8]);
        // So that the lane never fills up, however late the flusher is.
        if length % 8 == 0 || length > 1000 {
            expected.log.flush().expect("flushed");
        }
    }
    expected.compare();
}

struct Talkative<'a>(&'a Expected);

impl Display for Talkative<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = 2;
        lastwords::info!(logger: self.0.log, "from within {number}");
        f.write_str("shown")
    }
}

#[test]
fn a_display_that_logs_leaves_both_lines() {
    let expected = Expected::new("nested", 256);
    lastwords::info!(logger: expected.log, "{} by {}", 1, Talkative(&expected));
    expected.log.flush().expect("flushed");
    lastwords::info!(logger: expected.log, "{}", { lastwords::info!(logger: expected.log, "{}", 5); 6 });
    ["from within 2", "1 by shown", "5", "6"].into_iter().for_each(|line| expected.line(line));
    expected.compare();
}

#[test]
fn arguments_are_evaluated_once_where_enabled_and_never_where_not() {
    let expected = Expected::new("evaluated", 256);
    let count = Cell::new(0);
    let next = || {
        count.set(count.get() + 1);
        count.get()
    };
    lastwords::info!(logger: expected.log, "{0} {0:?} {n} {n:>3}", next(), n = next(); field = next());
    expected.line("1 1 2   2 field=3");
    lastwords::info!(logger: expected.log, "{:1$} {:2000}", next(), next() as usize);
    expected.line(format!("{:5} {:2000}", 4, 5));
    lastwords::trace!(logger: expected.log, "{} {n:?}", next(), n = Some(next()); field = next());
    lastwords::trace!(logger: expected.log, concat!("{}", "{}"), next(), next());
    assert_eq!(count.get(), 5);
    expected.compare();
}

#[test]
fn arguments_are_borrowed_and_of_any_place() {
    let expected = Expected::new("places", 256);
    let (owned, mut changed, boxed) = (String::from("owned"), 5, Box::<str>::from("boxed"));
    check!(expected, "{} {owned} {}", owned, boxed.to_uppercase());
    let reference = &mut changed;
    check!(expected, "{} {reference}", reference);
    *reference += 1;
    check!(expected, "{} {} {:?}", String::from("temporary").as_str(), vec![1, 2][1], &boxed.as_bytes()[1..]);
    check!(
        expected,
        "{} {}",
        if changed > 5 { "more" } else { "less" },
        match changed {
            6 => 'x',
            _ => 'y',
        }
    );
    check!(expected, "{}", return_or(Some(3)).unwrap_or_else(|| panic!("there")));
    let moved = (owned, boxed);
    assert_eq!(moved.0, "owned");
    expected.compare();
}

fn return_or(value: Option<i32>) -> Option<i32> {
    let expected = Some(value?);
    lastwords::trace!("{}", value?);
    expected
}

#[test]
fn fields_follow_the_message_in_every_form() {
    let expected = Expected::new("fields", 256);
    let (camera, id) = ("left hand", 7);
    let log = expected.log;
    lastwords::info!(logger: log, "a"; id, camera);
    lastwords::info!(logger: log, "b {id}"; gpu.index = 3, "odd key" = 1.5, r#type = 'x',);
    lastwords::info!(logger: log, "c {}", id; debug = ?camera, option = ?Some(id), shown = %camera, bytes = ?b"ab");
    lastwords::info!(logger: log, "d {}", id,; empty = "", quoted = "say \"x\"", sum = 1 + 2);
    lastwords::info!(logger: log, "e";);
    lastwords::info!(logger: log, concat!("f", "{}"), 1; id = id);
    lastwords::info!(logger: log, "g {:2000}", 1; id, camera);
    expected.line("a id=7 camera=\"left hand\"");
    expected.line("b 7 gpu.index=3 odd key=1.5 type=x");
    expected.line("c 7 debug=\"left hand\" option=Some(7) shown=\"left hand\" bytes=\"[97, 98]\"");
    expected.line("d 7 empty=\"\" quoted=\"say \\\"x\\\"\" sum=3");
    expected.line("e");
    expected.line("f1 id=7");
    expected.line(format!("g {:2000} id=7 camera=\"left hand\"", 1));
    expected.compare();
}

#[test]
fn names_of_the_macros_own_are_free_for_users() {
    let expected = Expected::new("names", 256);
    let (enabled, text, argument_0, argument_1, site, value, width, precision) = (1, "two", 3, 4, 5, 6, 7, 1);
    check!(expected, "{enabled} {} {text} {} {argument_0} {argument_1:width$}", enabled, text);
    check!(expected, "{site} {} {value:width$} {:.*}", site, precision, 2.55);
    lastwords::info!(logger: expected.log, "{}", argument_1; enabled, text, site, argument_0);
    expected.line("4 enabled=1 text=two site=5 argument_0=3");
    expected.compare();
}

#[test]
#[allow(non_upper_case_globals, unused, reason = "names that the macros use")]
fn a_users_static_and_modules_of_the_same_name_are_not_confused() {
    static LASTWORDS_SITE: i32 = 8;
    mod core {}
    mod std {}
    let expected = Expected::new("modules", 256);
    lastwords::info!(logger: expected.log, "{} {LASTWORDS_SITE}", LASTWORDS_SITE; id = LASTWORDS_SITE);
    expected.line("8 8 id=8");
    {
        use ::lastwords::info;
        mod lastwords {}
        enum Option {}
        struct Some;
        info!(logger: expected.log, "{}", 9);
        expected.line("9");
    }
    expected.compare();
}
