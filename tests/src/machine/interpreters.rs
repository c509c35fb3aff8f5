//! The CPythons that Strata has to know.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Problem, cache, workloads};
use crate::callbacks::Naming;

/// One interpreter, there or not.
#[derive(Clone, Debug)]
pub struct Interpreter {
    /// Version and build, as tables show it.
    pub name: String,
    pub naming: Naming,
    found: Result<PathBuf, String>,
    /// Root file system in which it lives, if not this machine's.
    root: Option<PathBuf>,
}

/// Every interpreter that the documentation promises, in the order of tables.
pub fn all() -> Vec<Interpreter> {
    let mut list: Vec<_> = ["3.8", "3.9", "3.10", "3.11", "3.12", "3.13"]
        .map(pyenv)
        .into();
    list.push(debian());
    list.extend(["3.13", "3.14"].map(sid));
    list
}

/// One of them.
pub fn named(name: &str) -> Result<Interpreter, Problem> {
    let found = all()
        .into_iter()
        .find(|interpreter| interpreter.name == name);
    found.ok_or_else(|| Problem::Failed(format!("no interpreter {name} is listed")))
}

/// pyenv's builds: shared libpython with symbols and DWARF.
fn pyenv(version: &str) -> Interpreter {
    let home = std::env::var_os("HOME").map_or_else(|| PathBuf::from("/root"), PathBuf::from);
    let root = std::env::var_os("PYENV_ROOT").map_or_else(|| home.join(".pyenv"), PathBuf::from);
    let mut builds: Vec<PathBuf> = std::fs::read_dir(root.join("versions"))
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(&format!("{version}.")))
        })
        .map(|path| path.join("bin/python3"))
        .filter(|path| path.is_file())
        .collect();
    builds.sort();
    let missing = || {
        format!(
            "no CPython {version} in {}/versions (pyenv install {version})",
            root.display()
        )
    };
    Interpreter {
        name: format!("{version}-pyenv"),
        naming: Naming::Named,
        found: builds.pop().ok_or_else(missing),
        root: None,
    }
}

/// Debian 12's own: static, stripped.
fn debian() -> Interpreter {
    let path = PathBuf::from("/usr/bin/python3.11");
    let found = if path.is_file() {
        Ok(path)
    } else {
        Err("no /usr/bin/python3.11 (tests/setup.sh)".to_owned())
    };
    Interpreter {
        name: "3.11-debian".to_owned(),
        naming: Naming::Stripped,
        found,
        root: None,
    }
}

/// Debian sid's in a root file system of their own: static, stripped, the evaluation loop split into hot and cold.
fn sid(version: &str) -> Interpreter {
    let root = cache().join("sid");
    let inside = PathBuf::from(format!("/usr/bin/python{version}"));
    let there = root
        .join(inside.strip_prefix("/").unwrap_or(&inside))
        .is_file();
    let found = if there {
        Ok(inside)
    } else {
        Err(format!(
            "no python{version} in {} (tests/setup.sh)",
            root.display()
        ))
    };
    Interpreter {
        name: format!("{version}-sid"),
        naming: Naming::Stripped,
        found,
        root: Some(root),
    }
}

impl Interpreter {
    /// A command that runs a script of `workloads/python/`. For a chroot the scripts are copied into it first.
    pub fn command(&self, script: &str) -> Result<Command, Problem> {
        let python = self
            .found
            .as_ref()
            .map_err(|why| Problem::Skipped(why.clone()))?;
        let mut command = match &self.root {
            None => {
                let mut command = Command::new(python);
                command
                    .args(["-E", "-s", "-B"])
                    .arg(workloads().join("python").join(script));
                command
            }
            Some(root) => {
                copy_scripts(&chroot_folder())?;
                let mut command = Command::new("chroot");
                command
                    .arg(root)
                    .arg(python)
                    .args(["-E", "-s", "-B"])
                    .arg(Path::new("/tmp/strata-tests").join(script));
                command
            }
        };
        command
            .env_remove("PYTHONPERFSUPPORT")
            .env_remove("PYTHON_JIT");
        Ok(command)
    }
}

/// Where a chroot's workloads lie, as this machine sees it.
pub fn chroot_folder() -> PathBuf {
    cache().join("sid/tmp/strata-tests")
}

/// Puts the Python workloads where a chroot or a container sees them.
pub fn copy_scripts(folder: &Path) -> Result<(), String> {
    let why = |error: std::io::Error| {
        format!(
            "the workloads can't be copied to {}: {error}",
            folder.display()
        )
    };
    std::fs::create_dir_all(folder).map_err(why)?;
    for entry in std::fs::read_dir(workloads().join("python")).map_err(why)? {
        let path = entry.map_err(why)?.path();
        if path.extension().is_some_and(|extension| extension == "py") {
            let to = folder.join(path.file_name().unwrap_or_default());
            std::fs::copy(&path, to).map_err(why)?;
        }
    }
    Ok(())
}
