//! Columns of text for people.

/// Lines in which the first column is aligned to the left and all others to the right, two blanks apart.
///
/// Rows may be shorter than others; blanks at the ends of lines are left out.
pub(super) fn lines(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|c| c.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let cell = |(column, text): (usize, &String)| match column {
        0 => format!("{text:<0$}", widths[0]),
        _ => format!("  {text:>0$}", widths[column]),
    };
    rows.iter()
        .map(|row| row.iter().enumerate().map(cell).collect::<String>().trim_end().to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_are_aligned() {
        let rows = [vec!["class", "IoU"], vec!["p\u{f6}re", "0.5"], vec!["x"], vec![], vec!["", "", "z"]];
        let rows = rows.map(|row| row.into_iter().map(str::to_owned).collect());
        assert_eq!(super::lines(&rows), ["class  IoU", "p\u{f6}re   0.5", "x", "", "            z"]);
        assert!(super::lines(&[]).is_empty());
    }
}
