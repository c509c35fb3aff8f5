//! Running other programs, with errors that say which one failed and how.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Variables that change neither what is built nor with which flags, only from where it is fetched and how it is told.
const HARMLESS_CARGO_VARIABLES: &[&str] = &[
    "CARGO_HOME",
    "CARGO_HTTP_",
    "CARGO_NET_",
    "CARGO_REGISTRIES_",
    "CARGO_REGISTRY_",
    "CARGO_SOURCE_",
    "CARGO_TERM_",
];

/// A command that inherits nothing by which cargo, rustc or rustup could be steered: `cargo xtask` itself sets many of
/// these, and a stray RUSTFLAGS would make another object.
pub fn clean_command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null());
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(steers_a_build) {
            command.env_remove(name);
        }
    }
    command
}

fn steers_a_build(name: &str) -> bool {
    let harmless = HARMLESS_CARGO_VARIABLES
        .iter()
        .any(|prefix| name.starts_with(prefix));
    (name.starts_with("CARGO") && !harmless)
        || name.starts_with("RUSTC")
        || ["RUSTFLAGS", "RUSTUP_TOOLCHAIN"].contains(&name)
}

/// Runs to the end, its output going where ours goes.
pub fn run(command: &mut Command) -> Result<()> {
    let what = describe(command);
    let status = command
        .status()
        .with_context(|| format!("`{what}` could not be started"))?;
    if !status.success() {
        bail!("`{what}` failed ({status}); what it printed above says why");
    }
    Ok(())
}

/// Runs to the end and gives what it wrote to stdout.
pub fn output(command: &mut Command) -> Result<String> {
    let what = describe(command);
    let output = command
        .output()
        .with_context(|| format!("`{what}` could not be started"))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("`{what}` failed ({}): {}", output.status, stderr.trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{what}` did not print UTF-8"))
}

/// The first file of this name on PATH or in cargo's own folder for programs.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let cargo_home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
    env::split_paths(&path)
        .chain(cargo_home.map(|home| home.join("bin")))
        .map(|dir| dir.join(name))
        .find(|candidate| candidate.is_file())
}

fn describe(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(
        command
            .get_args()
            .map(|argument| argument.to_string_lossy().into_owned()),
    );
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_and_wrappers_are_taken_away_and_mirrors_are_kept() {
        for name in [
            "RUSTFLAGS",
            "CARGO_ENCODED_RUSTFLAGS",
            "RUSTC_WRAPPER",
            "CARGO_PROFILE_RELEASE_LTO",
            "CARGO",
        ] {
            assert!(steers_a_build(name), "{name}");
        }
        for name in [
            "CARGO_HOME",
            "CARGO_SOURCE_MIRROR_REGISTRY",
            "CARGO_NET_OFFLINE",
            "PATH",
            "RUSTUP_HOME",
        ] {
            assert!(!steers_a_build(name), "{name}");
        }
    }

    #[test]
    fn a_failing_program_is_named() {
        let error =
            output(Command::new("sh").args(["-c", "echo no luck >&2; exit 3"])).unwrap_err();
        assert!(error.to_string().contains("no luck"), "{error}");
        let error = run(&mut Command::new("/nonexistent/program")).unwrap_err();
        assert!(
            error.to_string().contains("/nonexistent/program"),
            "{error}"
        );
    }
}
