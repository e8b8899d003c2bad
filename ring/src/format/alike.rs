//! The known name that an unknown one was probably meant to be.

/// Prefix of our environment variables.
pub const PREFIX: &str = "LASTWORDS_";
/// Names that have at least this share of their letters in common are suggested.
const ALIKE: f64 = 0.6;

/// The known name that an unknown name was probably meant to be.
pub fn alike<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // The common prefix would make any two variables similar.
    let own = |name: &str| name.strip_prefix(PREFIX).unwrap_or(name).to_ascii_lowercase();
    let name = own(name);
    let likeness = known.map(|known| (strsim::normalized_damerau_levenshtein(&name, &own(known)), known));
    let best = likeness.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 >= ALIKE).then_some(best.1)
}
