//! The interpreters that the tests run against. Those that are not installed are named in the
//! output (`cargo test -- --nocapture`), never passed over silently.

use std::path::{Path, PathBuf};
use std::process::Command;

const SID: &str = "/var/cache/strata-test/sid";

pub(super) struct Interpreter {
    /// What the tests' output calls it.
    pub name: &'static str,
    /// The minor version it must turn out to be.
    pub minor: u8,
    /// Root directory, if it is another one.
    root: Option<&'static str>,
    /// As the interpreter sees it.
    pub path: PathBuf,
}

impl Interpreter {
    pub fn command(&self) -> Command {
        match self.root {
            None => Command::new(&self.path),
            Some(root) => {
                let mut command = Command::new("chroot");
                command.arg(root).arg(&self.path);
                command
            }
        }
    }

    /// A path as the interpreter sees it, from outside.
    pub fn inside(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        Path::new(self.root.unwrap_or("/")).join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The file that holds the runtime: the library of a shared build, else the executable.
    pub fn runtime_file(&self) -> PathBuf {
        let path = self.inside(&self.path);
        let library = format!("../lib/libpython3.{}.so.1.0", self.minor);
        let library = path.with_file_name(library);
        if library.exists() { library } else { path }
    }

    fn is_here(&self) -> bool {
        self.inside(&self.path).exists()
    }
}

fn known() -> Vec<Interpreter> {
    let home = std::env::var_os("HOME").map_or_else(|| "/root".into(), PathBuf::from);
    let pyenv = |minor, name, version: &str| Interpreter {
        name,
        minor,
        root: None,
        path: home
            .join(".pyenv/versions")
            .join(version)
            .join("bin/python3"),
    };
    let debian = |minor, name, root, path: &str| Interpreter {
        name,
        minor,
        root,
        path: path.into(),
    };
    vec![
        pyenv(8, "pyenv 3.8.18, shared", "3.8.18"),
        pyenv(9, "pyenv 3.9.18, shared", "3.9.18"),
        pyenv(10, "pyenv 3.10.13, shared", "3.10.13"),
        pyenv(11, "pyenv 3.11.7, shared", "3.11.7"),
        pyenv(12, "pyenv 3.12.1, shared", "3.12.1"),
        pyenv(13, "pyenv 3.13.0, shared", "3.13.0"),
        debian(11, "Debian 12's 3.11, static", None, "/usr/bin/python3.11"),
        debian(
            13,
            "Debian sid's 3.13, static",
            Some(SID),
            "/usr/bin/python3.13",
        ),
        debian(
            14,
            "Debian sid's 3.14, static",
            Some(SID),
            "/usr/bin/python3.14",
        ),
        debian(
            15,
            "Debian sid's 3.15, static",
            Some(SID),
            "/usr/bin/python3.15",
        ),
    ]
}

/// The installed ones. A test that finds none proves nothing and says so.
pub(super) fn installed(test: &str) -> Vec<Interpreter> {
    let (here, missing): (Vec<_>, Vec<_>) = known().into_iter().partition(Interpreter::is_here);
    for interpreter in &missing {
        println!("{test}: NOT TESTED, not installed: {}", interpreter.name);
    }
    here
}
