//! Rows as psql prints them: aligned, numbers to the right.

use std::fmt::Write as _;

/// The table with its header and the count of rows.
pub(super) fn aligned(names: &[String], rows: &[Vec<String>]) -> String {
    let cell = |row: &Vec<String>, i: usize| row.get(i).cloned().unwrap_or_default();
    let width = |i: usize, name: &String| {
        let widest = rows.iter().map(|r| cell(r, i).chars().count()).max().unwrap_or(0);
        widest.max(name.chars().count())
    };
    let widths: Vec<usize> = names.iter().enumerate().map(|(i, n)| width(i, n)).collect();
    let numbers: Vec<bool> = (0..names.len())
        .map(|i| !rows.is_empty() && rows.iter().all(|r| cell(r, i).parse::<f64>().is_ok()))
        .collect();
    let mut out = String::new();
    let head: Vec<String> = names.iter().zip(&widths).map(|(n, w)| format!(" {n:^w$} ")).collect();
    let _ = writeln!(out, "{}", head.join("|").trim_end());
    let rule: Vec<String> = widths.iter().map(|w| "-".repeat(w + 2)).collect();
    let _ = writeln!(out, "{}", rule.join("+"));
    for row in rows {
        let cells: Vec<String> = widths
            .iter()
            .zip(&numbers)
            .enumerate()
            .map(|(i, (w, number))| match number {
                true => format!(" {:>w$} ", cell(row, i)),
                false => format!(" {:<w$} ", cell(row, i)),
            })
            .collect();
        let _ = writeln!(out, "{}", cells.join("|").trim_end());
    }
    let plural = if rows.len() == 1 { "" } else { "s" };
    let _ = writeln!(out, "({} row{plural})", rows.len());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_psql_would() {
        let names = ["id".to_owned(), "distance".to_owned()];
        let rows = [vec!["7".to_owned(), "1.5".to_owned()], vec!["12".into(), "20".into()]];
        let want = " id | distance\n----+----------\n  7 |      1.5\n 12 |       20\n(2 rows)\n";
        assert_eq!(aligned(&names, &rows), want);
    }
}
