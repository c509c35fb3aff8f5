//! Lines of `/proc/PID/mountinfo`.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Most bytes of `mountinfo`; a container host may have thousands of mounts.
pub const MOUNTS: u64 = 16 << 20;

/// One line of `mountinfo` (proc(5)).
pub struct Mount<'a> {
    pub point: PathBuf,
    pub kind: &'a [u8],
    pub options: &'a [u8],
}

impl<'a> Mount<'a> {
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        let mut fields = line.split(|&byte| byte == b' ');
        let point = unescape(fields.nth(4)?);
        // Optional fields end with a single dash.
        fields.find(|field| field == b"-")?;
        let kind = fields.next()?;
        let _source = fields.next()?;
        Some(Self {
            point: OsStr::from_bytes(&point).into(),
            kind,
            options: fields.next()?,
        })
    }
}

/// Where a file system of this kind is mounted, as this process sees it.
pub fn mounted(kind: &str) -> Option<PathBuf> {
    let file = File::open("/proc/self/mountinfo").ok()?;
    first(BufReader::new(file.take(MOUNTS)), kind)
}

fn first(mountinfo: impl BufRead, kind: &str) -> Option<PathBuf> {
    let mut lines = mountinfo.split(b'\n').map_while(Result::ok);
    lines.find_map(|line| {
        let mount = Mount::parse(&line).filter(|mount| mount.kind == kind.as_bytes())?;
        Some(mount.point)
    })
}

/// Undoes `\040` and the like.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        let code = rest
            .get(1..4)
            .filter(|_| first == b'\\')
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        plain.push(code.unwrap_or(first));
        rest = if code.is_some() { &rest[4..] } else { after };
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        let text = b"20 1 0:18 / /sys rw - sysfs sysfs rw\n\
            24 20 0:12 / /sys/kernel/tracing rw shared:3 - tracefs tracefs rw\n\
            25 20 0:12 / /broken rw\n";
        let place = |kind| first(text.as_slice(), kind);
        assert_eq!(place("tracefs"), Some("/sys/kernel/tracing".into()));
        assert_eq!(place("debugfs"), None);
        assert!(mounted("proc").is_some());
    }

    #[test]
    fn escapes() {
        assert_eq!(unescape(b"a\\040b\\134c\\"), b"a b\\c\\");
        assert_eq!(unescape(b"\\04"), b"\\04");
        assert_eq!(unescape(b"\\999x"), b"\\999x");
    }
}
