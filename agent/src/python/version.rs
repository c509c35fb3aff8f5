//! CPython's version number.

use std::fmt;

/// `PY_VERSION_HEX`: major, minor, micro and release level, a byte each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(u32);

impl Version {
    /// A final release.
    pub const fn new(major: u8, minor: u8, micro: u8) -> Self {
        Self((major as u32) << 24 | (minor as u32) << 16 | (micro as u32) << 8 | 0xF0)
    }

    pub const fn from_hex(hex: u32) -> Self {
        Self(hex)
    }

    pub const fn hex(self) -> u32 {
        self.0
    }

    pub const fn major(self) -> u8 {
        (self.0 >> 24) as u8
    }

    pub const fn minor(self) -> u8 {
        (self.0 >> 16) as u8
    }

    pub const fn micro(self) -> u8 {
        (self.0 >> 8) as u8
    }

    /// Whether this is a version of 3.`minor`.
    pub const fn is(self, minor: u8) -> bool {
        self.major() == 3 && self.minor() == minor
    }

    /// Whether this is 3.`minor` or later.
    pub const fn since(self, minor: u8) -> bool {
        self.major() == 3 && self.minor() >= minor
    }
}

impl fmt::Display for Version {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}.{}", self.major(), self.minor(), self.micro())?;
        let serial = self.0 & 0xF;
        match (self.0 >> 4) & 0xF {
            0xA => write!(out, "a{serial}"),
            0xB => write!(out, "b{serial}"),
            0xC => write!(out, "rc{serial}"),
            _ => Ok(()),
        }
    }
}

/// The version that the read-only data of an interpreter names, for those before 3.11, which have
/// no `Py_Version`.
///
/// The minor is that of `sys.implementation.cache_tag` (`cpython-39`), a literal of every build.
/// The micro is that of `PY_VERSION`, which the linker may have merged into the end of a longer
/// literal (a prefix such as `/opt/python-3.9.18`): a literal of its own wins, else a single
/// ending. If there is neither, or several that differ, the micro stays 0; no offset depends on it.
pub fn find_in_literals<'a>(data: impl IntoIterator<Item = &'a [u8]>) -> Option<Version> {
    let mut tag = Vec::new();
    let mut literals = Vec::new();
    let mut endings = Vec::new();
    for bytes in data {
        let mut start = 0;
        for (end, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == 0) {
            // Literals of interest are short; only the end of a long one matters.
            let literal = &bytes[start.max(end.saturating_sub(24))..end];
            let whole = literal.len() == end - start;
            start = end + 1;
            if let Some(minor) = cache_tag(literal).filter(|_| whole) {
                push_new(&mut tag, minor);
            } else if let Some((version, length)) = ending_version(literal) {
                let alone = whole && length == literal.len();
                push_new(if alone { &mut literals } else { &mut endings }, version);
            }
        }
    }
    let [minor] = tag[..] else { return None };
    let micro = [literals, endings].into_iter().find_map(|found| {
        let of_minor: Vec<Version> = found.into_iter().filter(|it| it.is(minor)).collect();
        match of_minor[..] {
            [version] => Some(version),
            _ => None,
        }
    });
    Some(micro.unwrap_or(Version::new(3, minor, 0)))
}

/// Few different values are ever expected; more are not kept.
fn push_new<T: PartialEq>(list: &mut Vec<T>, value: T) {
    if list.len() < 16 && !list.contains(&value) {
        list.push(value);
    }
}

fn cache_tag(literal: &[u8]) -> Option<u8> {
    let digits = literal.strip_prefix(b"cpython-3")?;
    if digits.is_empty() || digits.len() > 2 {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// `3.9.18` or `3.9.0rc1` at the end of a literal, and its length.
fn ending_version(literal: &[u8]) -> Option<(Version, usize)> {
    let begins = |start: usize| {
        let before = start.checked_sub(1).map(|at| literal[at]);
        !before.is_some_and(|byte| byte.is_ascii_digit() || byte == b'.')
    };
    (0..literal.len())
        .filter(|&start| literal[start..].starts_with(b"3.") && begins(start))
        .find_map(|start| Some((parse(&literal[start..])?, literal.len() - start)))
}

fn parse(text: &[u8]) -> Option<Version> {
    // A trailing plus marks a build from a version-control checkout.
    let text = std::str::from_utf8(text.strip_suffix(b"+").unwrap_or(text)).ok()?;
    let (minor, rest) = text.strip_prefix("3.")?.split_once('.')?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (micro, level) = rest.split_at(digits);
    let release = Version::new(3, minor.parse().ok()?, micro.parse().ok()?);
    if level.is_empty() {
        return Some(release);
    }
    let levels = [("a", 0xA), ("b", 0xB), ("rc", 0xC)];
    let (level, serial) = levels
        .into_iter()
        .find_map(|(name, code)| Some((code, level.strip_prefix(name)?)))?;
    let serial = serial.parse::<u32>().ok().filter(|serial| *serial < 16)?;
    Some(Version::from_hex(
        release.hex() & !0xFF | level << 4 | serial,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_printed_as_python_prints_them() {
        assert_eq!(Version::from_hex(0x030B_07F0).to_string(), "3.11.7");
        assert_eq!(Version::from_hex(0x030D_00C2).to_string(), "3.13.0rc2");
        assert_eq!(Version::from_hex(0x030E_00A1).to_string(), "3.14.0a1");
        assert_eq!(Version::new(3, 9, 18), Version::from_hex(0x0309_12F0));
    }

    #[test]
    fn literals_name_the_version() {
        let find = |data: &[u8]| find_in_literals([data]).map(|version| version.to_string());
        assert_eq!(
            find(b"x\0cpython-39\x003.9.18\0").as_deref(),
            Some("3.9.18")
        );
        assert_eq!(
            find(b"\0cpython-310\0/opt/py-3.10.2rc1\0").as_deref(),
            Some("3.10.2rc1")
        );
        // The literal itself wins over paths that end in another version.
        let both = b"cpython-38\0/opt/python-3.8.1\x003.8.18\0";
        assert_eq!(find(both).as_deref(), Some("3.8.18"));
        // Several endings say nothing.
        assert_eq!(
            find(b"cpython-38\0/a/3.8.1\0/b/3.8.2\0").as_deref(),
            Some("3.8.0")
        );
        assert_eq!(find(b"cpython-38\0cpython-39\0").as_deref(), None);
        assert_eq!(find(b"3.9.18\0").as_deref(), None);
        assert_eq!(
            find(b"cpython-38\x0013.8.1\x003.8.\x003.8.1x\0").as_deref(),
            Some("3.8.0")
        );
        assert_eq!(
            find(b"cpython-38\x003.8.18 not terminated").as_deref(),
            Some("3.8.0")
        );
    }
}
