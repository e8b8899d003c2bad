//! Build script: writes the table of specs, every one that the compiler takes, each with a type that it fits.
//!
//! A macro that logs must see a literal, and no macro by example can make one.

use std::fmt::Write;
use std::path::PathBuf;

/// Types of placeholders, in the table's order.
const KINDS: [&str; 10] = ["", "?", "x?", "X?", "x", "X", "o", "b", "e", "E"];
/// Fields of a sample, which are named for their types.
const INTEGERS: &[&str] = &["u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64", "u128", "i128", "usize", "isize"];
const FLOATS: &[&str] = &["f32", "f64"];
const WORDS: &[&str] = &["bool", "char", "str", "string", "cow"];
const BYTES: &[&str] = &["bytes", "array", "vec"];

/// Fills and alignments; without a width none of them does anything, so that two represent all.
const ALIGNMENTS: [&str; 6] = ["", "<", "^", ">", "*^", "é>"];
const ALIGNMENTS_WITHOUT_WIDTH: [&str; 2] = ["", "é>"];
const FLAGS: [&str; 8] = ["", "+", "#", "0", "+#", "+0", "#0", "+#0"];
const PRECISIONS: [Precision; 4] = [Precision::None, Precision::Literal, Precision::Name, Precision::Star];
const WIDTHS: [Width; 4] = [Width::None, Width::Literal, Width::Name, Width::Position];

#[derive(Clone, Copy, PartialEq)]
enum Width {
    None,
    Literal,
    Name,
    Position,
}

#[derive(Clone, Copy, PartialEq)]
enum Precision {
    None,
    Literal,
    Name,
    Star,
}

fn main() {
    println!("cargo::rerun-if-changed=tests/deferred/build.rs");
    let folder = PathBuf::from(std::env::var_os("OUT_DIR").expect("set by Cargo"));
    std::fs::write(folder.join("specs.rs"), table()).expect("written");
}

/// The table's text: a block for each type of placeholder and the arguments that go with it.
fn table() -> String {
    let mut out = String::new();
    for kind in KINDS {
        let fields = fields(kind);
        let mut turn = 0;
        for (width, precision) in WIDTHS.iter().flat_map(|width| PRECISIONS.map(|precision| (*width, precision))) {
            let _ = writeln!(out, "{kind:?} {} {{", arguments(width, precision));
            for spec in specs(kind, width, precision) {
                // Shifted by one a round, so that no type meets the same combinations again and again.
                let _ = writeln!(out, "{} {spec:?}", fields[(turn + turn / fields.len()) % fields.len()]);
                turn += 1;
            }
            out.push_str("}\n");
        }
    }
    format!("specs! {{\n{out}}}\n")
}

fn fields(kind: &str) -> Vec<&'static str> {
    let classes: &[&[&str]] = match kind {
        "" => &[INTEGERS, FLOATS, WORDS],
        "?" | "x?" | "X?" => &[INTEGERS, FLOATS, WORDS, BYTES],
        "e" | "E" => &[INTEGERS, FLOATS],
        _ => &[INTEGERS],
    };
    classes.concat()
}

/// Which arguments go with the placeholder, as the macro `specs!` names them.
fn arguments(width: Width, precision: Precision) -> String {
    let width = match width {
        Width::None | Width::Literal => "",
        Width::Name => "width",
        Width::Position => "position",
    };
    let precision = match precision {
        Precision::None | Precision::Literal => "",
        Precision::Name => "precision",
        Precision::Star => "star",
    };
    format!("[{width} {precision}]").replace("[ ", "[").replace(" ]", "]")
}

fn specs(kind: &str, width: Width, precision: Precision) -> impl Iterator<Item = String> {
    let alignments = if width == Width::None { &ALIGNMENTS_WITHOUT_WIDTH[..] } else { &ALIGNMENTS };
    // The arguments are in the order precision, width, value.
    let (value, width_text) = match (width, precision) {
        (Width::None, _) => ("", ""),
        (Width::Literal, _) => ("", "13"),
        (Width::Name, _) => ("", "width$"),
        (Width::Position, Precision::Star) => ("2", "1$"),
        (Width::Position, _) => ("1", "0$"),
    };
    let precision_text = match precision {
        Precision::None => "",
        Precision::Literal => ".3",
        Precision::Name => ".precision$",
        Precision::Star => ".*",
    };
    alignments.iter().flat_map(move |alignment| {
        FLAGS.iter().map(move |flags| {
            let spec = format!("{alignment}{flags}{width_text}{precision_text}{kind}");
            if spec.is_empty() { format!("{{{value}}}") } else { format!("{{{value}:{spec}}}") }
        })
    })
}
