//! `/proc/PID/maps`: which file is where in an address space. Bytes in, values out.

use std::io::{self, BufRead};
use std::ops::Range;

/// Longest line: a path of 4,096 bytes, each a newline that the kernel writes as `\012`, and the
/// numbers before it.
const LINE: u64 = 20 << 10;
/// Most bytes of one file. A process may have a million mappings; the rest is not looked at.
const TOTAL: u64 = 64 << 20;

/// One mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping<'a> {
    pub avma: Range<u64>,
    /// Offset in the file of the first byte.
    pub offset: u64,
    /// Device in the kernel's encoding, as in [`agent_common::executable::FileId`].
    pub device: u64,
    /// 0: no file.
    pub inode: u64,
    pub executable: bool,
    name: &'a [u8],
}

impl<'a> Mapping<'a> {
    /// Reads one line, with or without its newline.
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        // The name may hold spaces, and may be missing with the space before it.
        let mut fields = line.splitn(6, |&byte| byte == b' ');
        let (start, end) = split(fields.next()?, b'-')?;
        let (start, end) = (hexadecimal(start)?, hexadecimal(end)?);
        let permissions = fields.next()?;
        let offset = hexadecimal(fields.next()?)?;
        let (major, minor) = split(fields.next()?, b':')?;
        let inode = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
        let name = fields.next().unwrap_or_default();
        let padding = name.iter().take_while(|&&byte| byte == b' ').count();
        (start < end).then_some(Self {
            avma: start..end,
            offset,
            device: hexadecimal(major)? << 20 | hexadecimal(minor)? & 0xF_FFFF,
            inode,
            executable: *permissions.get(2)? == b'x',
            name: name.get(padding..)?,
        })
    }

    /// The last column as it stands there: a path, `[vdso]`, `anon_inode:…`, or nothing.
    pub fn name(&self) -> &'a [u8] {
        self.name
    }

    /// Whether a file is mapped that had a path.
    pub fn is_file(&self) -> bool {
        self.inode != 0 && self.name.first() == Some(&b'/')
    }

    /// Whether the file's path is gone, as far as a name that may end in ` (deleted)` can say.
    pub fn deleted(&self) -> bool {
        self.name.ends_with(DELETED)
    }

    /// Paths that the name may mean, in the process's own root, likeliest first. The kernel writes
    /// a newline as `\012` and a backslash as it is, and puts ` (deleted)` behind names that may
    /// end that way themselves: who opens one of these checks that it is the file.
    pub fn paths(&self) -> Vec<Vec<u8>> {
        if !self.is_file() {
            return Vec::new();
        }
        let mut paths = vec![unescape(self.name)];
        if paths[0] != self.name {
            paths.push(self.name.to_vec());
        }
        if let Some(without) = self.name.strip_suffix(DELETED) {
            // Another file, or a link to the same, may have the name now.
            paths.push(unescape(without));
        }
        paths
    }

    /// The path for people to read.
    pub fn path(&self) -> Vec<u8> {
        unescape(self.name.strip_suffix(DELETED).unwrap_or(self.name))
    }
}

const DELETED: &[u8] = b" (deleted)";

/// Gives each mapping of a `maps` file to `each`, until that returns false. Lines that are none,
/// or too long, are left out.
///
/// Returns how many lines were left out, one more if the whole was too long.
pub fn read_maps(
    mut maps: impl BufRead,
    mut each: impl FnMut(&Mapping<'_>) -> bool,
) -> io::Result<u64> {
    let mut line = Vec::with_capacity(256);
    let mut left_out = 0;
    let mut total = 0;
    let mut whole = true;
    loop {
        line.clear();
        let begins = whole;
        let length = io::Read::take(&mut maps, LINE).read_until(b'\n', &mut line)? as u64;
        if length == 0 {
            return Ok(left_out);
        }
        total += length;
        if total > TOTAL {
            return Ok(left_out + 1);
        }
        // What follows the first part of a line that is too long must not pass for a mapping.
        whole = length < LINE || line.ends_with(b"\n");
        match Mapping::parse(&line) {
            Some(mapping) if begins && whole => {
                if !each(&mapping) {
                    return Ok(left_out);
                }
            }
            _ => left_out += 1,
        }
    }
}

fn unescape(name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((&first, after)) = rest.split_first() {
        match rest.strip_prefix(b"\\012") {
            Some(after) => {
                path.push(b'\n');
                rest = after;
            }
            None => {
                path.push(first);
                rest = after;
            }
        }
    }
    path
}

fn split(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let middle = text.iter().position(|&byte| byte == at)?;
    Some((&text[..middle], &text[middle + 1..]))
}

fn hexadecimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 16 {
        return None;
    }
    text.iter().try_fold(0u64, |value, &byte| {
        let digit = char::from(byte).to_digit(16)?;
        Some(value << 4 | u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library() {
        let line = b"7f0c1a200000-7f0c1a228000 r-xp 00028000 fe:01 1835021                    /usr/lib/libc.so.6\n";
        let mapping = Mapping::parse(line).expect("a mapping");
        assert_eq!(mapping.avma, 0x7f0c_1a20_0000..0x7f0c_1a22_8000);
        assert_eq!((mapping.offset, mapping.inode), (0x28000, 1_835_021));
        assert_eq!(mapping.device, 254 << 20 | 1);
        assert!(mapping.executable && mapping.is_file() && !mapping.deleted());
        assert_eq!(mapping.paths(), [b"/usr/lib/libc.so.6"]);
    }

    #[test]
    fn without_file() {
        for line in [
            b"7ffd0000-7ffd1000 r-xp 00000000 00:00 0                          [vdso]".as_slice(),
            b"7ffd0000-7ffd1000 rwxp 00000000 00:00 0 ",
            b"7ffd0000-7ffd1000 rwxp 00000000 00:00 0",
            b"7ffd0000-7ffd1000 r-xs 00000000 00:0e 1041   anon_inode:[io_uring]",
        ] {
            let mapping = Mapping::parse(line).expect("a mapping");
            assert!(mapping.executable && !mapping.is_file());
            assert!(mapping.paths().is_empty());
        }
    }

    #[test]
    fn hostile_names() {
        let name = |name: &str| {
            let line = format!("1000-2000 r--p 00000000 08:02 5      {name}");
            Mapping::parse(line.as_bytes()).map(|mapping| mapping.paths())
        };
        let paths =
            |paths: &[&str]| Some(paths.iter().map(|path| path.as_bytes().to_vec()).collect());
        assert_eq!(name("/a b  c "), paths(&["/a b  c "]));
        assert_eq!(name("/a\\012b"), paths(&["/a\nb", "/a\\012b"]));
        assert_eq!(name("/a (deleted)"), paths(&["/a (deleted)", "/a"]));
        assert_eq!(
            name("/1-2 r-xp 0 8:2 5 /x"),
            paths(&["/1-2 r-xp 0 8:2 5 /x"])
        );
    }

    #[test]
    fn spoilt_lines() {
        let whole = b"1000-2000 r-xp 00000000 08:02 5    /x";
        for length in 0..whole.len() {
            let _ = Mapping::parse(&whole[..length]);
        }
        for line in [
            "2000-1000 r-xp 0 8:2 5 /x",
            "11112222333344445-2 r-xp 0 8:2 5",
            "1-2 r- 0 8:2 5",
            "1-2 r-xp 0 8:2 99999999999999999999",
            "+1-2 r-xp 0 8:2 5",
            "",
        ] {
            assert_eq!(Mapping::parse(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn own_maps() {
        let here = own_maps as *const () as u64;
        let text = std::fs::read("/proc/self/maps").expect("our own maps");
        let mut found = 0;
        let left_out = read_maps(&*text, |mapping| {
            found += u64::from(mapping.avma.contains(&here) && mapping.executable);
            true
        });
        assert_eq!((left_out.expect("read"), found), (0, 1));
    }

    #[test]
    fn endless_line_is_left_out() {
        let mut text = b"1000-2000 r-xp 00000000 08:02 5    /".to_vec();
        text.resize(3 * LINE as usize, b'x');
        text.extend_from_slice(b"\n2000-3000 r-xp 00000000 08:02 6    /y\n");
        let mut inodes = Vec::new();
        let left_out = read_maps(&*text, |mapping| {
            inodes.push(mapping.inode);
            true
        });
        assert_eq!(left_out.expect("read"), 4);
        assert_eq!(inodes, [6]);
    }
}
