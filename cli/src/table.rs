//! Columns for people.

/// Lines of columns as wide as their widest cell, two spaces between them. The first row holds the titles.
pub(crate) fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text += cells.join("  ").trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["ROLE", "PID"], ["worker-1", "7"], ["é", "41570"]].map(|row| row.map(str::to_owned));
        assert_eq!(table(&rows), "ROLE      PID\nworker-1  7\né         41570\n");
    }
}
