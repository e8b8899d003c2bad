//! The name that was meant by one that is none.

/// What the names of our variables begin with.
pub const PREFIX: &str = "LASTWORDS_";
/// Names with so much of their letters in common may be meant.
const ALIKE: f64 = 0.6;

/// Which of the known names a name that is none was probably meant for.
pub fn alike<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // What all of our variables begin with would make any two of them alike.
    let own = |name: &str| name.strip_prefix(PREFIX).unwrap_or(name).to_ascii_lowercase();
    let name = own(name);
    let likeness = known.map(|known| (strsim::normalized_damerau_levenshtein(&name, &own(known)), known));
    let best = likeness.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 >= ALIKE).then_some(best.1)
}
