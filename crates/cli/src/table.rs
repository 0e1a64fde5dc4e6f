//! Tables as `kubectl` and `fission` print them: columns padded with one space, header in upper case.

use std::fmt::Write;

/// A column of a list: its header, and how to read its cell from an object.
pub(crate) struct Column<K> {
    pub(crate) head: &'static str,
    /// Shown with `-o wide` only.
    pub(crate) wide: bool,
    pub(crate) cell: fn(&K) -> String,
}

/// A column that is always shown.
pub(crate) const fn column<K>(head: &'static str, cell: fn(&K) -> String) -> Column<K> {
    Column { head, wide: false, cell }
}

/// A column shown with `-o wide` only.
pub(crate) const fn wide<K>(head: &'static str, cell: fn(&K) -> String) -> Column<K> {
    Column { head, wide: true, cell }
}

/// The table of some objects.
pub(crate) fn of_objects<'a, K: 'a>(
    columns: &[Column<K>],
    objects: impl IntoIterator<Item = &'a K>,
    show_wide: bool,
) -> String {
    let shown: Vec<&Column<K>> = columns.iter().filter(|column| show_wide || !column.wide).collect();
    let head = shown.iter().map(|column| column.head.to_owned()).collect();
    let rows = objects.into_iter().map(|object| shown.iter().map(|column| (column.cell)(object)).collect());
    aligned(std::iter::once(head).chain(rows).collect())
}

/// Rows of cells, each column as wide as its widest cell and one space. The last cell of a row is not padded.
pub(crate) fn aligned(rows: Vec<Vec<String>>) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let mut widths = vec![0; columns];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in &rows {
        for (index, cell) in row.iter().enumerate() {
            let padding = if index + 1 == row.len() { 0 } else { widths[index] + 1 - cell.chars().count() };
            let _ = write!(text, "{cell}{:padding$}", "");
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_padded_with_one_space_and_the_last_is_not() {
        let rows = vec![vec!["NAME".to_owned(), "IMAGE".to_owned()], vec!["nodejs".to_owned(), "é".to_owned()]];
        assert_eq!(aligned(rows), "NAME   IMAGE\nnodejs é\n");
    }

    #[test]
    fn no_rows_make_no_text() {
        assert_eq!(aligned(Vec::new()), "");
    }
}
