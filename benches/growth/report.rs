//! The answer to a question: tables in Markdown, and curves.

/// An answer.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) title: &'static str,
    /// What the reader must know of how it was measured.
    pub(crate) note: String,
    pub(crate) tables: Vec<Table>,
    pub(crate) figure: Figure,
}

/// A table of numbers.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) columns: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<String>>,
}

/// Curves in panels beside each other, one file.
#[derive(Debug)]
pub(crate) struct Figure {
    /// Stem of the file's name.
    pub(crate) name: &'static str,
    pub(crate) panels: Vec<Panel>,
}

/// One plot.
#[derive(Debug)]
pub(crate) struct Panel {
    pub(crate) title: &'static str,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) curves: Vec<Curve>,
}

/// What an axis shows, with its unit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Axis {
    pub(crate) label: &'static str,
    pub(crate) scale: Scale,
}

/// How values become places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// From zero.
    Linear,
    /// Logarithmic, a mark at each power of 2.
    Doubling,
    /// Logarithmic, a mark at each power of 10.
    Decades,
}

/// One line of a plot.
#[derive(Debug)]
pub(crate) struct Curve {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

impl Axis {
    pub(crate) const fn new(label: &'static str, scale: Scale) -> Axis {
        Axis { label, scale }
    }
}

impl Curve {
    pub(crate) fn new(name: impl Into<String>, points: impl Iterator<Item = (f64, f64)>) -> Curve {
        Curve { name: name.into(), points: points.collect() }
    }
}

impl Report {
    /// Prints title, note and tables.
    pub(crate) fn print(&self) {
        println!("## {}\n\n{}", self.title, self.note);
        for table in &self.tables {
            println!("\n| {} |", table.columns.join(" | "));
            println!("|{}", "---:|".repeat(table.columns.len()));
            for row in &table.rows {
                println!("| {} |", row.join(" | "));
            }
        }
        println!();
    }
}

/// A number with separators between thousands.
pub(crate) fn grouped(number: impl Into<u64>) -> String {
    let digits = number.into().to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes in MiB.
pub(crate) fn mebibytes(bytes: f64) -> f64 {
    bytes / f64::from(1 << 20)
}
