//! Names of JIT code from the map that a process writes for `perf` (`/tmp/perf-PID.map`): lines of
//! `START SIZE NAME`, both numbers hexadecimal. The process may write whatever it likes.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::Symbol;
use super::demangle::demangle;
use super::error::SymbolError;
use super::range_map::{Entry, RangeMap};
use super::source::Source;

/// Most bytes that are read of a map, and most lines.
pub const LIMIT: u64 = 64 << 20;
const LINES_LIMIT: usize = 1 << 20;
/// Most bytes of a name.
const NAME_LIMIT: usize = 4096;

/// A map as it was at some time.
#[derive(Debug, Default)]
pub struct PerfMap {
    text: Vec<u8>,
    /// Places of the names in the text, by line.
    names: Vec<(u32, u16)>,
    ranges: RangeMap,
}

/// Opens a perf map if it is a regular file of `owner`, the process's user, or of root: anybody
/// may write files into /tmp.
pub fn open(path: &Path, owner: u32) -> Result<File, SymbolError> {
    let what = "the perf map";
    let read = |cause| SymbolError::Read { what, cause };
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
        .map_err(read)?;
    let metadata = file.metadata().map_err(read)?;
    if !metadata.is_file() || (metadata.uid() != owner && metadata.uid() != 0) {
        return Err(SymbolError::PerfMapNotTrusted);
    }
    Ok(file)
}

impl PerfMap {
    /// Reads the beginning of a file, at most [`LIMIT`] bytes.
    pub fn load(source: &Source) -> Result<Self, SymbolError> {
        let size = source.len()?.min(LIMIT);
        Ok(Self::parse(source.read("the perf map", 0, size)?))
    }

    /// Takes the text of a map. An incomplete last line does not count; where ranges overlap, the
    /// line that was written last holds.
    pub fn parse(text: Vec<u8>) -> Self {
        let mut names = Vec::new();
        let mut entries = Vec::new();
        let mut offset = 0;
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            let start = offset;
            offset += line.len();
            let Some(line) = line.strip_suffix(b"\n").and_then(parse_line) else {
                continue;
            };
            if names.len() == LINES_LIMIT {
                break;
            }
            let number = names.len() as u32;
            names.push(((start + line.name) as u32, line.name_size));
            entries.push(Entry {
                key: number,
                start: line.start,
                end: line.start.saturating_add(line.size),
                value: number,
            });
        }
        Self {
            ranges: RangeMap::new(entries),
            text,
            names,
        }
    }

    pub fn get(&self, avma: u64) -> Option<Symbol> {
        let (start, size) = *self.names.get(self.ranges.get(avma)? as usize)?;
        let start = start as usize;
        let name = self.text.get(start..start + size as usize)?;
        let system_name = String::from_utf8_lossy(name);
        Some(Symbol {
            name: demangle(&system_name).into(),
            system_name: system_name.into(),
            ..Symbol::default()
        })
    }

    /// How many lines name something.
    pub fn count(&self) -> usize {
        self.names.len()
    }

    pub fn bytes(&self) -> usize {
        let names = self.names.capacity() * size_of::<(u32, u16)>();
        self.text.capacity() + names + self.ranges.bytes()
    }
}

struct Line {
    start: u64,
    size: u64,
    /// Where the name begins in the line.
    name: usize,
    name_size: u16,
}

fn parse_line(line: &[u8]) -> Option<Line> {
    let first = line.iter().position(|byte| *byte == b' ')?;
    let rest = &line[first + 1..];
    let second = rest.iter().position(|byte| *byte == b' ')?;
    let name = rest[second + 1..].trim_ascii();
    if name.is_empty() {
        return None;
    }
    Some(Line {
        start: hex(&line[..first])?,
        size: hex(&rest[..second])?,
        name: name.as_ptr() as usize - line.as_ptr() as usize,
        name_size: name.len().min(NAME_LIMIT) as u16,
    })
}

fn hex(word: &[u8]) -> Option<u64> {
    let word = std::str::from_utf8(word).ok()?;
    // `from_str_radix` takes a sign.
    let digits = word.strip_prefix("0x").unwrap_or(word);
    if !digits.starts_with(|first: char| first.is_ascii_hexdigit()) {
        return None;
    }
    u64::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(map: &PerfMap, avma: u64) -> Option<String> {
        Some(map.get(avma)?.name.to_string())
    }

    #[test]
    fn lines_name_their_ranges() {
        let map = PerfMap::parse(b"1000 10 py::main:/a b.py\n0x2000 20 LazyCompile:~f\n".to_vec());
        assert_eq!(name(&map, 0x0fff), None);
        assert_eq!(name(&map, 0x100f).as_deref(), Some("py::main:/a b.py"));
        assert_eq!(name(&map, 0x1010), None);
        assert_eq!(name(&map, 0x2000).as_deref(), Some("LazyCompile:~f"));
    }

    #[test]
    fn the_last_of_overlapping_lines_holds() {
        let map = PerfMap::parse(b"1000 100 old\n1040 10 new\n1048 4 newer\n1048 2 end\n".to_vec());
        let found = [0x103f, 0x1040, 0x1049, 0x104a, 0x104f, 0x1050, 0x10ff];
        let found: Vec<_> = found
            .into_iter()
            .filter_map(|avma| name(&map, avma))
            .collect();
        assert_eq!(found, ["old", "new", "end", "newer", "new", "old", "old"]);
    }

    #[test]
    fn rubbish_is_left_out() {
        let text = b"1000 10 incomplete";
        assert_eq!(name(&PerfMap::parse(text.to_vec()), 0x1000), None);
        let text = b"\n \n  \n1000\n1000 10\n1000 10 \n+100 10 a\n-1 1 b\nzz 1 c\n\
            ffffffffffffffff 10 d\n10000000000000000 1 e\n5 ffffffffffffffff \xff\xfe\n";
        let map = PerfMap::parse(text.to_vec());
        assert_eq!(name(&map, 5).as_deref(), Some("\u{fffd}\u{fffd}"));
        assert_eq!(name(&map, 1), None);
        assert_eq!(PerfMap::parse(Vec::new()).bytes(), 0);
    }

    #[test]
    fn only_a_file_of_the_process_is_opened() {
        let directory = std::env::temp_dir();
        let path = directory.join(format!("strata-perf-map-{}", std::process::id()));
        std::fs::write(&path, "1000 10 name\n").unwrap();
        let owner = std::fs::metadata(&path).unwrap().uid();
        let source = Source::File(open(&path, owner).unwrap().into());
        assert_eq!(
            name(&PerfMap::load(&source).unwrap(), 0x1000).as_deref(),
            Some("name")
        );
        if owner != 0 {
            assert!(open(&path, owner + 1).is_err());
        }
        let link = path.with_extension("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(open(&link, owner).is_err());
        assert!(open(&directory, owner).is_err());
        std::fs::remove_file(&path).unwrap();
        std::fs::remove_file(&link).unwrap();
    }
}
