//! The files that the rules look at: what git tracks or would track.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::source::Source;
use crate::process::output;

pub struct Tree {
    root: PathBuf,
    files: Vec<PathBuf>,
}

impl Tree {
    pub fn of_repository(root: &Path) -> Result<Self> {
        let list = output(Command::new("git").current_dir(root).args([
            // A checkout that belongs to somebody else is still ours to read.
            "-c",
            "safe.directory=*",
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ]))?;
        let files = list
            .split_terminator('\0')
            .map(PathBuf::from)
            // git lists a deleted file until that is committed.
            .filter(|file| root.join(file).is_file())
            .collect();
        Ok(Self {
            root: root.to_owned(),
            files,
        })
    }

    #[cfg(test)]
    pub fn of_scratch(scratch: &crate::scratch::Scratch) -> Self {
        let mut files = Vec::new();
        collect(scratch.path(), Path::new(""), &mut files);
        files.sort();
        return Self {
            root: scratch.path().to_owned(),
            files,
        };

        fn collect(root: &Path, folder: &Path, files: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(root.join(folder)).unwrap() {
                let path = folder.join(entry.unwrap().file_name());
                if root.join(&path).is_dir() {
                    collect(root, &path, files)
                } else {
                    files.push(path)
                }
            }
        }
    }

    /// Relative to the repository.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    pub fn bytes(&self, file: &Path) -> Result<Vec<u8>> {
        fs::read(self.root.join(file)).with_context(|| format!("{} can't be read", file.display()))
    }

    pub fn text(&self, file: &Path) -> Result<String> {
        String::from_utf8(self.bytes(file)?)
            .with_context(|| format!("{} is not UTF-8", file.display()))
    }

    /// The Rust files below a folder, without those that hold nothing but tests.
    pub fn sources(&self, folder: &str) -> Result<Vec<(&Path, Source)>> {
        let files = self
            .files
            .iter()
            .filter(|file| file.starts_with(folder) && is_rust(file) && !is_test(file));
        files
            .map(|file| Ok((file.as_path(), Source::new(&self.text(file)?))))
            .collect()
    }
}

pub fn is_rust(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "rs")
}

/// Rules about what code may do are not for tests, which compare with oracles and read real files.
fn is_test(file: &Path) -> bool {
    let stem = file
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or_default();
    stem == "tests"
        || stem.ends_with("_tests")
        || file.components().any(|part| part.as_os_str() == "tests")
}
