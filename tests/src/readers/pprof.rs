//! What `go tool pprof` prints.

use super::Counts;

/// How often each function was the innermost one, by `-top`.
pub fn flat(top: &str) -> Result<Counts, String> {
    counts(top, 0)
}

/// How often each function was on the stack, by `-top`.
pub fn cumulative(top: &str) -> Result<Counts, String> {
    counts(top, 3)
}

fn counts(top: &str, column: usize) -> Result<Counts, String> {
    let mut lines = top
        .lines()
        .skip_while(|line| line.split_whitespace().next() != Some("flat"));
    lines.next().ok_or("there is no table")?;
    let mut counts = Counts::new();
    for line in lines {
        let broken = || format!("not a line of the table: {line}");
        let (columns, name) = columns(line, 5).ok_or_else(broken)?;
        let count: u64 = columns[column].parse().map_err(|_| broken())?;
        let name = name.strip_suffix(" (inline)").unwrap_or(name);
        let name = name.strip_suffix(" (partial-inline)").unwrap_or(name);
        if count != 0 {
            *counts.entry(name.to_owned()).or_default() += count;
        }
    }
    Ok(counts)
}

/// The first columns of a line, and what follows them.
fn columns(line: &str, number: usize) -> Option<(Vec<&str>, &str)> {
    let mut rest = line.trim_start();
    let mut columns = Vec::new();
    for _ in 0..number {
        let (column, after) = rest.split_once(' ')?;
        columns.push(column);
        rest = after.trim_start();
    }
    Some((columns, rest.trim_end()))
}

/// How often each value of a label was met, by `-tags`.
pub fn tag(tags: &str, label: &str) -> Result<Counts, String> {
    // ` comm: Total 12` and below it ` 8 (66.67%): python3`, up to an empty line.
    let head = format!("{label}: Total");
    let mut lines = tags
        .lines()
        .skip_while(|line| !line.trim().starts_with(&head));
    lines
        .next()
        .ok_or_else(|| format!("there is no label {label}:\n{tags}"))?;
    let mut counts = Counts::new();
    for line in lines.take_while(|line| !line.trim().is_empty()) {
        let broken = || format!("not a line of a label: {line}");
        let (front, value) = line.split_once(": ").ok_or_else(broken)?;
        let count = front.split_whitespace().next().ok_or_else(broken)?;
        let count: u64 = count.parse().map_err(|_| broken())?;
        counts.insert(value.trim().to_owned(), count);
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_read() {
        let top = "File: x\nType: samples\nShowing nodes accounting for 7, 100% of 7 total\n\
            \x20     flat  flat%   sum%        cum   cum%\n\
            \x20        5 71.43% 71.43%          5 71.43%  std::f(int, char) (inline)\n\
            \x20        2 28.57%   100%          7   100%  a b\n\
            \x20        0     0%   100%          7   100%  main\n";
        let expected = [("std::f(int, char)".to_owned(), 5), ("a b".to_owned(), 2)];
        assert_eq!(flat(top), Ok(Counts::from(expected)));
        assert!(flat("nothing").is_err());
    }

    #[test]
    fn labels_are_read() {
        let tags = " comm: Total 7\n        5 (71.43%): a b\n        2 (28.57%): c\n\n pid: Total 7\n        7 (  100%): 12\n";
        let expected = [("a b".to_owned(), 5), ("c".to_owned(), 2)];
        assert_eq!(tag(tags, "comm"), Ok(Counts::from(expected)));
        assert_eq!(tag(tags, "pid"), Ok(Counts::from([("12".to_owned(), 7)])));
        assert!(tag(tags, "thread").is_err());
    }
}
