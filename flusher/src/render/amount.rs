//! Numbers with what they count, in words.

/// So many of these: `1 ring`, `2 rings`.
#[must_use]
pub fn counted(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// Memory, in the largest unit of which there is one: `512 MiB`, `1.5 GiB`.
#[must_use]
pub fn memory(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let Some((shift, unit)) = units.into_iter().find(|(shift, _)| bytes >> shift > 0) else {
        return counted(bytes, "byte");
    };
    let number = format!("{:.1}", bytes as f64 / (1u64 << shift) as f64);
    format!("{} {unit}", number.strip_suffix(".0").unwrap_or(&number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_in_the_largest_unit_of_which_there_is_one() {
        let rows = [
            (0, "0 bytes"),
            (1, "1 byte"),
            (4096, "4 KiB"),
            (1_572_864, "1.5 MiB"),
            (512 << 20, "512 MiB"),
            (1 << 30, "1 GiB"),
            (u64::MAX, "17179869184 GiB"),
        ];
        for (bytes, expected) in rows {
            assert_eq!(memory(bytes), expected);
        }
    }
}
