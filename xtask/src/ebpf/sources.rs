//! Which files make the object. One hash over them is written into it, so that an object that was not rebuilt after a
//! change is noticed on any machine, whatever compilers it has.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

/// Files and whole folders, relative to the repository.
const SOURCES: &[&str] = &[
    "agent-common/Cargo.toml",
    "agent-common/src",
    "agent-ebpf/.cargo/config.toml",
    "agent-ebpf/Cargo.lock",
    "agent-ebpf/Cargo.toml",
    "agent-ebpf/src",
];

/// Every file that makes the object, relative to `root` and in a fixed order.
pub fn files(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for source in SOURCES {
        collect(root, Path::new(source), &mut found)?;
    }
    found.sort();
    Ok(found)
}

pub fn hash(root: &Path) -> Result<String> {
    hash_files(root, &files(root)?)
}

/// SHA-256 over names and contents, in hexadecimal. Lengths go in, so that no byte can move from one file to the next.
pub fn hash_files(root: &Path, files: &[PathBuf]) -> Result<String> {
    let mut hasher = Sha256::new();
    for file in files {
        let content = fs::read(root.join(file))
            .with_context(|| format!("{} can't be read", file.display()))?;
        let name = file.to_string_lossy();
        hasher.update((name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes());
        hasher.update((content.len() as u64).to_le_bytes());
        hasher.update(&content);
    }
    Ok(hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

/// Copies what makes the object, and nothing else, to another root.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    for file in files(from)? {
        let destination = to.join(&file);
        if let Some(dir) = destination.parent() {
            fs::create_dir_all(dir).with_context(|| format!("{} can't be made", dir.display()))?;
        }
        fs::copy(from.join(&file), &destination).with_context(|| {
            format!(
                "{} can't be copied to {}",
                file.display(),
                destination.display()
            )
        })?;
    }
    Ok(())
}

/// Adds `path` (below `root`), or all files in it if it is a folder.
pub fn collect(root: &Path, path: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let full = root.join(path);
    let kind =
        fs::symlink_metadata(&full).with_context(|| format!("{} can't be read", full.display()))?;
    if kind.is_file() {
        found.push(path.to_owned());
    } else if kind.is_dir() {
        for entry in
            fs::read_dir(&full).with_context(|| format!("{} can't be listed", full.display()))?
        {
            let entry = entry.with_context(|| format!("{} can't be listed", full.display()))?;
            collect(root, &path.join(entry.file_name()), found)?;
        }
    } else {
        bail!(
            "{} is neither a file nor a folder; sources must be plain files",
            full.display()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    fn planted() -> Scratch {
        let scratch = Scratch::new().unwrap();
        for source in SOURCES {
            let path = if source.ends_with("src") {
                format!("{source}/main.rs")
            } else {
                (*source).to_owned()
            };
            scratch.write(&path, &path).unwrap();
        }
        scratch
    }

    #[test]
    fn any_change_of_a_source_changes_the_hash() {
        let scratch = planted();
        let before = hash(scratch.path()).unwrap();
        assert_eq!(before, hash(scratch.path()).unwrap());

        scratch.write("agent-ebpf/src/main.rs", "changed").unwrap();
        let changed = hash(scratch.path()).unwrap();
        assert_ne!(before, changed);

        scratch.write("agent-common/src/deep/new.rs", "").unwrap();
        assert_ne!(changed, hash(scratch.path()).unwrap());
    }

    #[test]
    fn files_that_do_not_make_the_object_leave_the_hash_alone() {
        let scratch = planted();
        let before = hash(scratch.path()).unwrap();
        scratch.write("agent-ebpf/README.md", "text").unwrap();
        scratch.write("agent/src/main.rs", "text").unwrap();
        assert_eq!(before, hash(scratch.path()).unwrap());
    }

    #[test]
    fn a_byte_that_moves_from_one_file_to_the_next_is_seen() {
        let scratch = planted();
        scratch.write("agent-ebpf/src/a.rs", "xy").unwrap();
        scratch.write("agent-ebpf/src/b.rs", "z").unwrap();
        let before = hash(scratch.path()).unwrap();
        scratch.write("agent-ebpf/src/a.rs", "x").unwrap();
        scratch.write("agent-ebpf/src/b.rs", "yz").unwrap();
        assert_ne!(before, hash(scratch.path()).unwrap());
    }

    #[test]
    fn a_copy_has_the_same_hash() {
        let (from, to) = (planted(), Scratch::new().unwrap());
        copy(from.path(), to.path()).unwrap();
        assert_eq!(hash(from.path()).unwrap(), hash(to.path()).unwrap());
    }

    #[test]
    fn a_missing_source_is_named() {
        let scratch = Scratch::new().unwrap();
        assert!(
            hash(scratch.path())
                .unwrap_err()
                .to_string()
                .contains("agent-common/Cargo.toml")
        );
    }
}
