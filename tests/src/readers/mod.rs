//! What the programs say that read our formats, as data: stacks or functions and how often each was met. All formats of
//! one recording have to tell the same.

pub mod collector;
pub mod firefox;
pub mod pprof;
pub mod speedscope;

use std::collections::BTreeMap;

/// How often each stack (`pid;outer;inner`) or function was met.
pub type Counts = BTreeMap<String, u64>;

/// The stacks of a folded file, each below the pid alone, since not every format has a name for a process. Kernel and JIT
/// code is not marked as such.
pub fn folded(text: &str) -> Result<Counts, String> {
    let mut counts = Counts::new();
    for line in text.lines() {
        let broken = || format!("not a folded stack: {line}");
        let (stack, count) = line.rsplit_once(' ').ok_or_else(broken)?;
        let count: u64 = count.parse().map_err(|_| broken())?;
        let (process, frames) = stack.split_once(';').ok_or_else(broken)?;
        let pid = process.rsplit(' ').next().unwrap_or_default();
        let names: Vec<&str> = frames.split(';').map(unmarked).collect();
        *counts
            .entry(format!("{pid};{}", names.join(";")))
            .or_default() += count;
    }
    Ok(counts)
}

fn unmarked(name: &str) -> &str {
    let end = ["_[k]", "_[j]"]
        .iter()
        .find_map(|end| name.strip_suffix(end));
    end.unwrap_or(name)
}

/// A name without ` (file:line)`.
pub fn without_line(name: &str) -> &str {
    match name.rsplit_once(" (") {
        Some((front, place)) if is_place(place) => front,
        _ => name,
    }
}

/// `file:12)`
fn is_place(text: &str) -> bool {
    let line = text
        .strip_suffix(')')
        .and_then(|place| place.rsplit_once(':'));
    line.is_some_and(|(_, line)| !line.is_empty() && line.bytes().all(|it| it.is_ascii_digit()))
}

/// The stacks of one process.
pub fn of_process(stacks: &Counts, pid: u32) -> Counts {
    let root = format!("{pid};");
    let ours = stacks.iter().filter(|(stack, _)| stack.starts_with(&root));
    ours.map(|(stack, count)| (stack.clone(), *count)).collect()
}

/// How often each function was the innermost one, under the name that `shown` gives it.
pub fn leaves(stacks: &Counts, shown: fn(&str) -> &str) -> Counts {
    let mut leaves = Counts::new();
    for (stack, count) in stacks {
        let leaf = stack.rsplit(';').next().unwrap_or_default();
        *leaves.entry(shown(leaf).to_owned()).or_default() += count;
    }
    leaves
}

pub fn total(counts: &Counts) -> u64 {
    counts.values().sum()
}

/// Fails unless both are the same to the last sample.
pub fn agree(expected: &Counts, found: &Counts) -> Result<(), String> {
    let mut wrong = Vec::new();
    for key in expected.keys().chain(found.keys()) {
        let count = |counts: &Counts| counts.get(key).copied().unwrap_or(0);
        let (here, there) = (count(expected), count(found));
        if here != there && wrong.len() < 8 {
            wrong.push(format!("{there} instead of {here} x {key}"));
        }
    }
    if total(expected) == 0 {
        return Err("there are no samples".to_owned());
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{} samples, {} expected:\n    {}",
        total(found),
        total(expected),
        wrong.join("\n    ")
    ))
}

/// One sample of the commonest is charged to another.
pub fn one_charged_to_another(counts: &Counts) -> Counts {
    let mut spoiled = counts.clone();
    let commonest = counts.iter().max_by_key(|(_, count)| **count);
    let Some(commonest) = commonest.map(|(key, _)| key.clone()) else {
        return spoiled;
    };
    let other = counts.keys().find(|key| **key != commonest).cloned();
    if let Some(count) = spoiled.get_mut(&commonest) {
        *count -= 1;
    }
    *spoiled.entry(other.unwrap_or_default()).or_default() += 1;
    spoiled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folded_stacks_are_read() {
        let counts = folded("a b 12;f (x.py:3);read_[k] 4\na b 12;f (x.py:3);read 1\n").unwrap();
        assert_eq!(counts, Counts::from([("12;f (x.py:3);read".to_owned(), 5)]));
        assert!(folded("a b 12 x").is_err());
    }

    #[test]
    fn only_lines_are_cut_off() {
        for (name, short) in [
            ("f (x.py:3)", "f"),
            ("n::f(int) (./a.c:12)", "n::f(int)"),
            ("n::f (.cold)", "n::f (.cold)"),
            ("f(a:3)", "f(a:3)"),
            ("f (x.py:)", "f (x.py:)"),
        ] {
            assert_eq!(without_line(name), short);
        }
    }

    #[test]
    fn a_single_sample_makes_a_difference() {
        let counts = folded("a 1;f 3\na 1;g 2\n").unwrap();
        assert!(agree(&counts, &counts).is_ok());
        assert!(agree(&counts, &one_charged_to_another(&counts)).is_err());
        assert!(agree(&counts, &Counts::new()).is_err());
        assert!(agree(&Counts::new(), &Counts::new()).is_err());
        let alone = folded("a 1;f 3\n").unwrap();
        assert!(agree(&alone, &one_charged_to_another(&alone)).is_err());
        assert_eq!(leaves(&counts, |name| name)["f"], 3);
    }
}
