//! Debug information that stands in a file of its own, as distributions pack it.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::elf::Elf;
use super::source::Source;

/// Most bytes of a section that names another file.
const LINK_LIMIT: u64 = 8192;

/// The debug file of an executable, found by build id or by `.gnu_debuglink`. It must have the
/// executable's build id: another version of it would give wrong names.
pub fn find(elf: &Elf<'_>, path: &str, directories: &[PathBuf]) -> Option<(PathBuf, Source)> {
    let id = elf.build_id()?;
    let mut candidates = by_build_id(&id, directories);
    if let Some((name, _)) = link(elf, ".gnu_debuglink")
        && !name.contains('/')
        && let Some(directory) = Path::new(path).parent()
    {
        let below = directory.strip_prefix("/").unwrap_or(directory);
        candidates.extend(directories.iter().map(|root| root.join(below).join(&name)));
        candidates.push(directory.join(".debug").join(&name));
        candidates.push(directory.join(&name));
    }
    candidates.into_iter().find_map(|path| {
        let source = open(&path, &id)?;
        Some((path, source))
    })
}

/// The file with the parts that `dwz` found in several debug files (`.gnu_debugaltlink`).
pub fn supplement(elf: &Elf<'_>, directories: &[PathBuf]) -> Option<Source> {
    let (name, id) = link(elf, ".gnu_debugaltlink")?;
    let mut candidates = by_build_id(&id, directories);
    if Path::new(&name).is_absolute() {
        candidates.push(name.into());
    } else if let Some((_, below)) = name.split_once(".dwz/") {
        // Relative to the debug file's own directory, which is not known here.
        candidates.extend(directories.iter().map(|root| root.join(".dwz").join(below)));
    }
    candidates.into_iter().find_map(|path| open(&path, &id))
}

fn by_build_id(id: &[u8], directories: &[PathBuf]) -> Vec<PathBuf> {
    let digits: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let Some((first, rest)) = digits
        .split_at_checked(2)
        .filter(|(_, rest)| !rest.is_empty())
    else {
        return Vec::new();
    };
    let file = format!(".build-id/{first}/{rest}.debug");
    directories.iter().map(|root| root.join(&file)).collect()
}

/// A section that holds a file's name, a 0 byte, and something that identifies the file.
fn link(elf: &Elf<'_>, section: &str) -> Option<(String, Vec<u8>)> {
    let data = elf.data_of(section, LINK_LIMIT).ok()?;
    let end = data.iter().position(|byte| *byte == 0)?;
    let name = std::str::from_utf8(&data[..end]).ok()?;
    (!name.is_empty()).then(|| (name.to_owned(), data[end + 1..].to_vec()))
}

/// Opens a file if it has this build id. The path may come from a hostile file: nothing but a
/// regular file is read, and nothing waits.
fn open(path: &Path, id: &[u8]) -> Option<Source> {
    let file: File = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
        .ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let source = Source::File(Arc::new(file));
    let found = Elf::parse(&source).ok()?.build_id()?;
    (found == id).then_some(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn build_ids_make_paths() {
        let directories = [PathBuf::from("/usr/lib/debug")];
        let paths = by_build_id(&[0xab, 0x01, 0xff], &directories);
        let expected = PathBuf::from("/usr/lib/debug/.build-id/ab/01ff.debug");
        assert_eq!(paths, [expected]);
        assert!(by_build_id(&[0xab], &directories).is_empty());
        assert!(by_build_id(&[], &directories).is_empty());
    }

    #[test]
    fn only_the_file_with_the_build_id_is_taken() {
        let own = Source::File(Arc::new(File::open("/proc/self/exe").unwrap()));
        let path = std::env::current_exe().unwrap();
        let Some(id) = Elf::parse(&own).unwrap().build_id() else {
            return;
        };
        assert!(open(&path, &id).is_some());
        assert!(open(&path, b"other").is_none());
        assert!(open(Path::new("/dev/zero"), &id).is_none());
        assert!(open(Path::new("/nonexistent"), &id).is_none());
    }
}
