//! The search in the table, with rows where its arithmetic is tightest.

use agent_common::row::{PAGE_SHIFT, RULE_NONE};

use super::super::table::{Builder, Table};

const PAGE: u64 = 1 << PAGE_SHIFT;

/// A table with `rows` (offset, rule number), ending at `end`.
fn table(rows: &[(u64, u16)], end: u64) -> Table {
    let mut builder = Builder::new(rows[0].0, end, 0).unwrap();
    for &(offset, number) in rows {
        builder.push(offset, number).unwrap();
    }
    builder.finish(end, Vec::new()).unwrap()
}

/// Compares every byte from a page before the table to one behind it with a plain scan.
fn check(rows: &[(u64, u16)], end: u64) {
    let table = table(rows, end);
    for offset in rows[0].0.saturating_sub(2 * PAGE)..end + 2 * PAGE {
        let row = rows
            .iter()
            .rev()
            .find(|row| row.0 <= offset && offset < end);
        let wanted = row.map_or(RULE_NONE, |row| row.1);
        assert_eq!(
            table.rule_number(offset),
            wanted,
            "at {offset:#x} in {rows:x?}"
        );
    }
    let pages = end.div_ceil(PAGE) - (rows[0].0 >> PAGE_SHIFT);
    assert_eq!(table.index.len() as u64, pages + 1);
}

#[test]
fn a_row_at_the_very_start_of_a_page() {
    check(
        &[(PAGE, 2), (2 * PAGE, 3), (2 * PAGE + 1, 4), (3 * PAGE, 5)],
        3 * PAGE + 7,
    );
}

#[test]
fn the_first_row_inside_of_its_page() {
    check(&[(5 * PAGE + 17, 2), (5 * PAGE + 18, 3)], 5 * PAGE + 19);
    check(&[(17, 2)], 18);
}

#[test]
fn a_last_row_that_ends_with_its_page() {
    check(&[(PAGE + 9, 2), (2 * PAGE - 1, 3)], 2 * PAGE);
    check(&[(PAGE, 2)], 2 * PAGE);
}

#[test]
fn offsets_that_wrap_at_64_kib() {
    let wrap = 1 << 16;
    check(&[(wrap - 1, 2), (wrap, 3), (wrap + 1, 4)], wrap + 2);
    check(&[(wrap - 3, 2), (wrap + 3, 3)], wrap + 4);
    check(&[(wrap - PAGE, 2), (wrap - 1, 3), (wrap, 4)], wrap + PAGE);
    check(
        &[(wrap - PAGE - 1, 2), (wrap - PAGE, 3), (wrap, 4)],
        wrap + 1,
    );
}

#[test]
fn pages_in_which_no_row_begins() {
    check(
        &[
            (100, 2),
            (9 * PAGE + 5, 3),
            (9 * PAGE + 6, 4),
            (70 * PAGE, 5),
        ],
        75 * PAGE + 1,
    );
    check(&[(100, 2)], 200 * PAGE);
}

#[test]
fn a_row_for_every_byte() {
    let rows: Vec<_> = (0..3 * PAGE)
        .map(|at| (60 * PAGE + at, 2 + at as u16 % 7))
        .collect();
    check(&rows, 63 * PAGE);
}

#[test]
fn equal_neighbours_are_one_row() {
    let table = table(
        &[(PAGE, 2), (PAGE + 8, 2), (3 * PAGE, 2), (3 * PAGE + 4, 3)],
        4 * PAGE,
    );
    assert_eq!(table.rows.len(), 2);
}

#[test]
fn far_into_a_large_file() {
    let base = (3 << 32) + 5 * PAGE;
    check(
        &[(base + 3, 2), (base + PAGE, 3), (base + 64 * PAGE + 1, 4)],
        base + 66 * PAGE,
    );
}

#[test]
fn code_that_spans_more_than_4_gib_is_refused() {
    assert!(Builder::new(0, (1 << 32) + 1, 0).is_err());
    assert!(Builder::new(0, 1 << 32, 0).is_ok());
    assert!(Builder::new(1 << 42, (1 << 42) + 1, 0).is_err());
}

#[test]
fn outside_of_the_table() {
    let table = table(&[(PAGE, 2)], 2 * PAGE);
    assert_eq!(table.rule_number(0), RULE_NONE);
    assert_eq!(table.rule_number(2 * PAGE), RULE_NONE);
    assert_eq!(table.rule_number(u64::MAX), RULE_NONE);
    assert_eq!(Table::default().rule_number(0), RULE_NONE);
    assert!(Table::default().rule(5).is_none());
}
