//! `/proc/PID/stat`, of which a handful of fields is used. Bytes in, values out.

/// `task_struct.flags`: a kernel thread (Linux `include/linux/sched.h`).
const PF_KTHREAD: u64 = 0x0020_0000;

/// What a process's `stat` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    pub pid: u32,
    /// The process's own choice: up to 15 bytes of anything (kernel threads may have more).
    pub comm: Vec<u8>,
    pub state: u8,
    pub parent: u32,
    pub kernel_thread: bool,
    pub threads: u64,
    /// Start in clock ticks since boot.
    pub start_ticks: u64,
}

impl Stat {
    /// Reads the text of a `stat` file.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let open = text.iter().position(|&byte| byte == b'(')?;
        // The name may hold anything, `) R 1` too; nothing after it has a parenthesis.
        let close = text.iter().rposition(|&byte| byte == b')')?;
        let comm = text.get(open + 1..close)?.to_vec();
        let pid = number(text.get(..open)?.trim_ascii_end())?
            .try_into()
            .ok()?;
        let rest = text.get(close + 1..)?.trim_ascii();
        let fields: Vec<&[u8]> = rest.split(|&byte| byte == b' ').take(20).collect();
        // Numbers as in proc(5), where the state is field 3.
        let field = |number: usize| fields.get(number - 3).copied();
        Some(Self {
            pid,
            comm,
            state: *field(3)?.first()?,
            // Negative in a pid namespace that the parent is not in, as little as 0 is of use.
            parent: number(field(4)?)
                .and_then(|pid| pid.try_into().ok())
                .unwrap_or(0),
            kernel_thread: number(field(9)?)? & PF_KTHREAD != 0,
            threads: number(field(20)?)?,
            start_ticks: number(field(22)?)?,
        })
    }

    /// Whether no thread of it runs any more. The first thread may have ended (`Z`) before others.
    pub fn ended(&self) -> bool {
        matches!(self.state, b'X' | b'x') || (self.state == b'Z' && self.threads <= 1)
    }
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// What a `status` file says of something.
pub fn status_field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = status.lines();
    lines.find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAIL: &[u8] =
        b" S 7 4242 4242 34816 4242 4194304 100 0 0 0 0 0 0 0 20 0 3 0 98765 9000 1 2";

    fn stat(comm: &[u8]) -> Option<Stat> {
        Stat::parse(&[b"4242 (".as_slice(), comm, b")", TAIL, b"\n"].concat())
    }

    #[test]
    fn fields() {
        let stat = stat(b"bash").expect("a stat line");
        assert_eq!((stat.pid, stat.parent, stat.threads), (4242, 7, 3));
        assert_eq!((stat.state, stat.start_ticks), (b'S', 98765));
        assert!(!stat.kernel_thread && !stat.ended());
    }

    #[test]
    fn hostile_names() {
        for comm in [
            b") R 1 1 1".as_slice(),
            b"((",
            b"",
            b"a\nb) S",
            b"\xFF\0\xFE",
        ] {
            let stat = stat(comm).expect("a stat line");
            assert_eq!(stat.comm, comm);
            assert_eq!(stat.parent, 7);
        }
    }

    #[test]
    fn cut_lines() {
        let whole = [b"1 (init)".as_slice(), TAIL].concat();
        for length in 0..whole.len() {
            let _ = Stat::parse(&whole[..length]);
        }
        assert_eq!(Stat::parse(b"1 )("), None);
        assert_eq!(Stat::parse(b"99999999999 (x) S 1"), None);
    }

    #[test]
    fn own() {
        let text = std::fs::read("/proc/self/stat").expect("our own stat");
        let stat = Stat::parse(&text).expect("a stat line");
        assert_eq!(stat.pid, std::process::id());
    }
}
