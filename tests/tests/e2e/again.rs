//! What was wrong is recorded a second time: noise of a busy machine does not repeat, a defect does.

use std::process::Command;

/// Names of the cells to run, one a line, where only some are to run again.
const ONLY: &str = "STRATA_TESTS_ONLY";
/// Cells that are wrong for a known reason.
const KNOWN: &str = include_str!("../../known.txt");

/// The cells that this run is limited to; none: all.
pub fn only() -> Option<Vec<String>> {
    let names = std::env::var(ONLY).ok()?;
    Some(names.lines().map(str::to_owned).collect())
}

/// Tells of cells that are known to be wrong and runs the others among the failed ones again. True if nothing is left that
/// is wrong without a known reason.
pub fn settle(failed: &[String]) -> bool {
    let (known, other): (Vec<_>, Vec<_>) = failed.iter().partition(|name| reason(name).is_some());
    for name in known {
        println!(
            "wrong, as known: {name}: {}",
            reason(name).unwrap_or_default()
        );
    }
    if other.is_empty() {
        return true;
    }
    if only().is_some() {
        return false;
    }
    println!(
        "\n{} cells were wrong; each is recorded once more:",
        other.len()
    );
    let names: Vec<&str> = other.iter().map(|name| name.as_str()).collect();
    let again = std::env::current_exe()
        .and_then(|program| Command::new(program).env(ONLY, names.join("\n")).status());
    match again {
        Ok(status) if status.success() => {
            // Said aloud, since a defect that shows itself now and then looks the same.
            println!(
                "\nwrong at first and right the second time: {}",
                names.join(", ")
            );
            true
        }
        Ok(_) => false,
        Err(error) => {
            println!("they can't be recorded again: {error}");
            false
        }
    }
}

/// Why a cell is known to be wrong.
pub fn reason(name: &str) -> Option<&'static str> {
    let lines = KNOWN.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_once(' '))
        .find_map(|(cell, reason)| {
            let wanted = cell.split("::");
            let fits = wanted.clone().count() == name.split("::").count()
                && wanted
                    .zip(name.split("::"))
                    .all(|(wanted, part)| wanted == "*" || wanted == part);
            fits.then_some(reason.trim())
        })
}
