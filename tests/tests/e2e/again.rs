//! Measured shares that were off are recorded a second time: a busy machine's noise does not repeat. What a stack shows is
//! right or wrong, and has no second try.

use std::process::Command;

/// Names of the cells to run, one a line, where only some are to run again.
const ONLY: &str = "STRATA_TESTS_ONLY";
/// Properties that compare measured times.
const MEASURED: [&str; 3] = ["shares", "leaf_lines", "leaf_lines_pyspy"];

/// The cells that this run is limited to; none: all.
pub fn only() -> Option<Vec<String>> {
    let names = std::env::var(ONLY).ok()?;
    Some(names.lines().map(str::to_owned).collect())
}

/// Records once more where nothing but measured times was off. True if nothing is left that is wrong.
pub fn settle(failed: &[String]) -> bool {
    if failed.is_empty() {
        return true;
    }
    let measured = |name: &String| {
        MEASURED
            .iter()
            .any(|it| name.rsplit("::").next() == Some(it))
    };
    if only().is_some() || !failed.iter().all(measured) {
        return false;
    }
    println!(
        "\n{} measured shares were off; each is recorded once more:",
        failed.len()
    );
    let names = failed.join("\n");
    let again = std::env::current_exe()
        .and_then(|program| Command::new(program).env(ONLY, &names).status());
    match again {
        Ok(status) if status.success() => {
            println!(
                "\noff at first and right the second time: {}",
                failed.join(", ")
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
