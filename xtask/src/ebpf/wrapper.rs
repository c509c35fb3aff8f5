//! xtask as the compiler's wrapper: keeps the machine's paths out of the object.
//!
//! Two things would carry them in. File names go into BTF's line information. And cargo mixes the path of every package
//! that lies outside of the workspace (`agent-common`, the standard library) into `-C metadata`, from which rustc makes
//! the hashes in symbol names. Both are replaced by the package's name and version, crate by crate, so it makes no
//! difference where the checkout, cargo's home, the registry's folder or the compiler lie.

use std::env;
use std::ffi::OsString;
use std::process::{Command, ExitCode};

/// Set for the build, so that xtask knows which part it plays.
pub const ROLE_VARIABLE: &str = "STRATA_XTASK_IS_RUSTC_WRAPPER";

pub fn run_if_asked() -> Option<ExitCode> {
    env::var_os(ROLE_VARIABLE)?;
    let mut arguments = env::args_os().skip(1);
    let Some(rustc) = arguments.next() else {
        eprintln!(
            "error: {ROLE_VARIABLE} is set, but no compiler was given; unset it to use xtask by hand"
        );
        return Some(ExitCode::FAILURE);
    };
    let arguments = match Package::from_environment() {
        Some(package) => package.without_paths(arguments.collect()),
        None => arguments.collect(),
    };
    Some(match Command::new(&rustc).args(arguments).status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        // rustc has told why. Only success and failure matter to cargo.
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {} could not be started: {error}", rustc.display());
            ExitCode::FAILURE
        }
    })
}

/// The package that cargo has compiled right now.
struct Package {
    name: String,
    version: String,
    folder: OsString,
}

impl Package {
    fn from_environment() -> Option<Self> {
        Some(Self {
            name: env::var("CARGO_PKG_NAME").ok()?,
            version: env::var("CARGO_PKG_VERSION").ok()?,
            folder: env::var_os("CARGO_MANIFEST_DIR")?,
        })
    }

    fn without_paths(&self, mut arguments: Vec<OsString>) -> Vec<OsString> {
        // Build scripts and macros run on this machine and stay as they are.
        if !arguments
            .windows(2)
            .any(|pair| pair[0] == "--target" && pair[1] == super::build::TARGET)
        {
            return arguments;
        }
        let identity = format!("{}-{}", self.name, self.version);
        for argument in &mut arguments {
            if argument
                .to_str()
                .is_some_and(|argument| argument.starts_with("metadata="))
            {
                *argument = format!("metadata={identity}").into();
            }
        }
        let mut remap = OsString::from("--remap-path-prefix=");
        remap.push(&self.folder);
        remap.push(format!("=/{identity}"));
        arguments.push(remap);
        arguments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package() -> Package {
        Package {
            name: "core".into(),
            version: "0.0.0".into(),
            folder: "/somewhere/library/core".into(),
        }
    }

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn the_kernel_side_loses_its_paths() {
        let line = "--crate-name core lib.rs --target bpfel-unknown-none -C metadata=0123abcd -C extra-filename=-0123abcd";
        assert_eq!(
            package().without_paths(words(line)),
            words(
                "--crate-name core lib.rs --target bpfel-unknown-none -C metadata=core-0.0.0 -C extra-filename=-0123abcd \
                 --remap-path-prefix=/somewhere/library/core=/core-0.0.0"
            )
        );
    }

    #[test]
    fn what_runs_on_this_machine_stays_as_it_is() {
        let line = "--crate-name build_script_build build.rs -C metadata=0123abcd";
        assert_eq!(package().without_paths(words(line)), words(line));
    }
}
