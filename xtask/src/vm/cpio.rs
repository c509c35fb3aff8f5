//! Writes the archive that the kernel unpacks as its first root file system: cpio in the `newc` form
//! (Documentation/driver-api/early-userspace/buffer-format.rst in the kernel's sources). Written here because device nodes
//! and owners come out right without being root and without a staging folder.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;
const CHAR_DEVICE: u32 = 0o020_000;

#[derive(Default)]
pub struct Archive {
    bytes: Vec<u8>,
    entries: u32,
    seen: BTreeSet<PathBuf>,
}

struct Entry<'a> {
    mode: u32,
    device: (u32, u32),
    contents: &'a [u8],
}

impl Archive {
    pub fn contains(&self, path: &Path) -> bool {
        self.seen.contains(path)
    }

    pub fn directory(&mut self, path: &Path) -> Result<()> {
        self.add(
            path,
            Entry {
                mode: DIRECTORY | 0o755,
                device: (0, 0),
                contents: &[],
            },
        )
    }

    pub fn file(&mut self, path: &Path, permissions: u32, contents: &[u8]) -> Result<()> {
        self.add(
            path,
            Entry {
                mode: FILE | permissions,
                device: (0, 0),
                contents,
            },
        )
    }

    pub fn symlink(&mut self, path: &Path, target: &str) -> Result<()> {
        self.add(
            path,
            Entry {
                mode: SYMLINK | 0o777,
                device: (0, 0),
                contents: target.as_bytes(),
            },
        )
    }

    pub fn char_device(&mut self, path: &Path, major: u32, minor: u32) -> Result<()> {
        self.add(
            path,
            Entry {
                mode: CHAR_DEVICE | 0o600,
                device: (major, minor),
                contents: &[],
            },
        )
    }

    pub fn finish(mut self) -> Vec<u8> {
        self.record(
            "TRAILER!!!",
            &Entry {
                mode: 0,
                device: (0, 0),
                contents: &[],
            },
        );
        self.bytes
    }

    /// Makes the folders above as well: the kernel unpacks in order and skips what has no parent.
    fn add(&mut self, path: &Path, entry: Entry) -> Result<()> {
        ensure!(
            path.is_absolute(),
            "{} is no absolute path in the guest",
            path.display()
        );
        ensure!(
            u32::try_from(entry.contents.len()).is_ok(),
            "{} is too large for cpio",
            path.display()
        );
        if !self.seen.insert(path.to_owned()) {
            ensure!(
                entry.mode & DIRECTORY != 0,
                "{} is in the archive already",
                path.display()
            );
            return Ok(());
        }
        if let Some(parent) = path.parent().filter(|parent| *parent != Path::new("/")) {
            self.directory(parent)?;
        }
        let name = path.strip_prefix("/")?.to_string_lossy().into_owned();
        self.record(&name, &entry);
        Ok(())
    }

    fn record(&mut self, name: &str, entry: &Entry) {
        self.entries += 1;
        let links = if entry.mode & DIRECTORY != 0 { 2 } else { 1 };
        let name_size = name.len() as u32 + 1;
        let size = entry.contents.len() as u32;
        let (major, minor) = entry.device;
        self.bytes.extend_from_slice(b"070701");
        // inode, mode, uid, gid, links, mtime, size, device (2), device of the node (2), length of the name, checksum
        for field in [
            self.entries,
            entry.mode,
            0,
            0,
            links,
            0,
            size,
            0,
            0,
            major,
            minor,
            name_size,
            0,
        ] {
            self.bytes
                .extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(entry.contents);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

    fn sample() -> Archive {
        let mut archive = Archive::default();
        archive
            .file(Path::new("/a/b/odd"), 0o755, b"12345")
            .unwrap();
        archive.symlink(Path::new("/a/link"), "b/odd").unwrap();
        archive
            .char_device(Path::new("/dev/console"), 5, 1)
            .unwrap();
        archive
    }

    #[test]
    fn parents_come_first_and_once() {
        let mut archive = sample();
        archive.file(Path::new("/a/b/second"), 0o644, b"").unwrap();
        let text = String::from_utf8_lossy(&archive.finish()).into_owned();
        assert_eq!(text.matches("a/b\0").count(), 1, "{text:?}");
        let at = |name| text.find(name).unwrap();
        assert!(
            at("a\0") < at("a/b\0") && at("a/b\0") < at("a/b/odd\0"),
            "{text:?}"
        );
    }

    #[test]
    fn the_same_file_twice_is_an_error() {
        assert!(sample().file(Path::new("/a/link"), 0o644, b"").is_err());
    }

    /// GNU cpio is the oracle; a machine without it (tests/setup.sh installs it) checks less.
    #[test]
    fn cpio_lists_what_was_put_in() {
        let Ok(mut cpio) = Command::new("cpio")
            .args(["-tv", "--quiet"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
        else {
            eprintln!("skipped: no cpio on this machine");
            return;
        };
        cpio.stdin
            .take()
            .unwrap()
            .write_all(&sample().finish())
            .unwrap();
        let output = cpio.wait_with_output().unwrap();
        assert!(output.status.success());
        let listing = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<&str> = listing.lines().collect();
        assert_eq!(lines.len(), 6, "{listing}");
        assert!(
            lines[2].starts_with("-rwxr-xr-x") && lines[2].ends_with("a/b/odd"),
            "{listing}"
        );
        assert!(
            lines[3].starts_with("lrwxrwxrwx") && lines[3].ends_with("a/link -> b/odd"),
            "{listing}"
        );
        assert!(
            lines[5].starts_with("crw-------") && lines[5].contains("5,   1"),
            "{listing}"
        );
    }
}
