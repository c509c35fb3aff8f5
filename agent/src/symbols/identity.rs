//! What identifies a file wherever it lies: the GNU build id that its linker gave it, and a hash of
//! its head, tail and length, which a file without a build id has too.

use std::fs::File;
use std::io::Read as _;

use sha2::{Digest as _, Sha256};

use super::elf::{Elf, build_id};
use super::source::{ExecutableFile, Source};

/// Bytes of head and of tail that are hashed.
const PART: u64 = 4096;
/// Most bytes of the kernel's own notes: some hundred are usual.
const NOTES: u64 = 64 << 10;

/// Hex digits of both; empty where there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    pub build_id: String,
    pub htlhash: String,
}

impl ExecutableFile {
    pub fn identity(&self) -> Identity {
        Identity {
            build_id: Elf::parse(&self.source)
                .ok()
                .and_then(|elf| elf.build_id())
                .map_or_else(String::new, |id| hex(&id)),
            htlhash: htlhash(&self.source).unwrap_or_default(),
        }
    }
}

impl Identity {
    /// The running kernel, or one of its modules, which have no file that could be hashed.
    pub fn of_kernel(module: Option<&str>) -> Self {
        let path = match module {
            None => "/sys/kernel/notes".to_owned(),
            Some(name) if is_module(name) => {
                format!("/sys/module/{name}/notes/.note.gnu.build-id")
            }
            Some(_) => return Self::default(),
        };
        let mut notes = Vec::new();
        let read = File::open(path).and_then(|file| file.take(NOTES).read_to_end(&mut notes));
        let found = read.ok().and_then(|_| build_id(&notes));
        Self {
            build_id: found.map_or_else(String::new, |id| hex(&id)),
            htlhash: String::new(),
        }
    }
}

fn is_module(name: &str) -> bool {
    let usual = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    !name.is_empty() && name.bytes().all(usual)
}

/// OpenTelemetry's `process.executable.build_id.htlhash`: the first 16 bytes of the SHA-256 over
/// the first and the last 4096 bytes and the length as a big-endian number (semantic conventions
/// 1.44). Head and tail of a small file overlap.
fn htlhash(source: &Source) -> Option<String> {
    let length = source.len().ok()?;
    let part = PART.min(length);
    let head = source.read("the file's head", 0, part).ok()?;
    let tail = source.read("the file's tail", length - part, part).ok()?;
    let mut hash = Sha256::new();
    hash.update(&head);
    hash.update(&tail);
    hash.update(length.to_be_bytes());
    Some(hex(&hash.finalize()[..16]))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::sync::Arc;

    use super::*;

    fn of_bytes(bytes: Vec<u8>) -> Identity {
        let source = Source::Bytes(bytes.into());
        let path = String::new();
        ExecutableFile {
            id: 1,
            path,
            source,
        }
        .identity()
    }

    /// The same by `head`, `tail`, `printf` and `sha256sum`.
    fn by_other_tools(path: &str) -> String {
        let script = r#"size=$(stat -c %s "$1")
            { head -c 4096 "$1"; tail -c 4096 "$1"
              printf "$(printf '%016x' "$size" | sed 's/../\\x&/g')"; } | sha256sum | cut -c 1-32"#;
        let output = Command::new("bash")
            .args(["-c", script, "-", path])
            .output()
            .expect("bash and coreutils");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    #[test]
    fn the_hash_is_that_of_other_tools() {
        let own = std::env::current_exe().unwrap();
        let small = std::env::temp_dir().join(format!("strata-identity-{}", std::process::id()));
        std::fs::write(&small, "not much").unwrap();
        for path in [&own, &small] {
            let file = Arc::new(File::open(path).unwrap());
            let path = path.display().to_string();
            let identity = ExecutableFile::new(1, path.clone(), file).identity();
            assert_eq!(identity.htlhash, by_other_tools(&path), "{path}");
        }
        std::fs::remove_file(&small).unwrap();
    }

    #[test]
    fn what_is_no_elf_file_has_a_hash_alone() {
        let identity = of_bytes(b"#!/bin/sh".to_vec());
        assert_eq!(identity.build_id, "");
        assert_eq!(identity.htlhash.len(), 32);
        assert_ne!(identity.htlhash, of_bytes(Vec::new()).htlhash);
    }

    #[test]
    fn the_kernel_has_a_build_id() {
        if std::path::Path::new("/sys/kernel/notes").exists() {
            let identity = Identity::of_kernel(None);
            assert_eq!(identity.build_id.len(), 40, "{identity:?}");
        }
        for hostile in ["", "..", "../../proc/self", "a/b", "[kernel]"] {
            assert_eq!(Identity::of_kernel(Some(hostile)), Identity::default());
        }
    }
}
