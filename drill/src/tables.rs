//! Tables as text: aligned columns for a terminal, and Markdown.

use std::fmt::Write as _;

/// The width of each column, in characters.
fn widths(rows: &[Vec<String>]) -> Vec<usize> {
    let most = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cells = |column: usize| rows.iter().filter_map(move |row| row.get(column));
    (0..most).map(|column| cells(column).map(|cell| cell.chars().count()).max().unwrap_or(0)).collect()
}

/// A row of texts.
#[must_use]
pub fn row<const CELLS: usize>(cells: [&str; CELLS]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

/// Rows as aligned columns, two spaces apart, numbers to the right.
#[must_use]
pub fn columns(rows: &[Vec<String>]) -> String {
    let widths = widths(rows);
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| {
            let number = cell.starts_with(|c: char| c.is_ascii_digit() || c == '-');
            if number { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        // Writing to a string never fails; the same below.
        let _written = writeln!(text, "{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    text
}

/// A head and rows as a Markdown table that is aligned for a terminal too: the first column to the left, the others to
/// the right.
#[must_use]
pub fn markdown(heads: &[&str], rows: &[Vec<String>]) -> String {
    let heads: Vec<String> = heads.iter().map(|head| (*head).to_owned()).collect();
    let all: Vec<Vec<String>> = std::iter::once(heads).chain(rows.iter().cloned()).collect();
    let widths: Vec<usize> = widths(&all).into_iter().map(|width| width.max(2)).collect();
    let mut text = String::new();
    for (number, row) in all.iter().enumerate() {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        let _written = writeln!(text, "| {} |", cells.collect::<Vec<_>>().join(" | "));
        if number == 0 {
            let rule = widths.iter().enumerate().map(|(column, width)| {
                if column == 0 { "-".repeat(*width) } else { format!("{}:", "-".repeat(width.saturating_sub(1))) }
            });
            let _written = writeln!(text, "| {} |", rule.collect::<Vec<_>>().join(" | "));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other() {
        assert_eq!(columns(&[row(["a", "1"]), row(["bcd", "23"])]), "a     1\nbcd  23\n");
    }

    #[test]
    fn a_table_is_markdown_with_its_columns_under_each_other() {
        let wanted = "| holds |  B |\n| ----- | -: |\n| 10    |  7 |\n| 1,000 | 12 |\n";
        assert_eq!(markdown(&["holds", "B"], &[row(["10", "7"]), row(["1,000", "12"])]), wanted);
    }
}
