//! Texts of `/proc` and `/sys` that tell of rights. Bytes in, values out.

/// What `/proc/self/status` says of rights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Effective capabilities, a bit each.
    pub capabilities: u64,
    /// A filter looks at this process's system calls.
    pub seccomp: bool,
    /// Neither sudo nor a file's capabilities can add rights.
    pub no_new_privileges: bool,
}

impl Status {
    pub fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| {
            let mut lines = text.lines();
            lines.find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim()))
        };
        Some(Self {
            capabilities: u64::from_str_radix(field("CapEff")?, 16).ok()?,
            seccomp: field("Seccomp").is_some_and(|mode| mode != "0"),
            no_new_privileges: field("NoNewPrivs") == Some("1"),
        })
    }

    pub fn has(&self, bit: u32) -> bool {
        self.capabilities >> bit & 1 == 1
    }
}

/// The mode in use among those that `/sys/kernel/security/lockdown` lists.
pub fn lockdown_mode(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once('[')?;
    Some(rest.split_once(']')?.0)
}

/// Whether a `uid_map` means the machine's own users: all of them, each under its own number.
pub fn is_first_user_namespace(uid_map: &str) -> bool {
    uid_map.split_whitespace().eq(["0", "0", "4294967295"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status() {
        let text = "Name:\tstrata\nCapPrm:\t000001ffffffffff\nCapEff:\t000000c000000004\n\
                    NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n";
        let status = Status::parse(text).expect("a status");
        assert!(status.has(2) && status.has(38) && status.has(39));
        assert!(!status.has(21) && !status.has(40));
        assert!(status.seccomp && status.no_new_privileges);
        // A kernel without seccomp has no such line.
        let status = Status::parse("CapEff:\t0000000000000000\n").expect("a status");
        assert_eq!(status, Status::default());
        assert_eq!(Status::parse("CapEff:\tx\n"), None);
        assert_eq!(Status::parse(""), None);
        let own = std::fs::read_to_string("/proc/self/status").expect("our own status");
        assert!(Status::parse(&own).is_some());
    }

    #[test]
    fn lockdown() {
        let mode = lockdown_mode;
        assert_eq!(mode("[none] integrity confidentiality\n"), Some("none"));
        assert_eq!(
            mode("none integrity [confidentiality]\n"),
            Some("confidentiality")
        );
        assert_eq!(mode("none ]integrity["), None);
        assert_eq!(mode(""), None);
    }

    #[test]
    fn user_namespaces() {
        let first = is_first_user_namespace;
        assert!(first("         0          0 4294967295\n"));
        assert!(!first("         0       1000          1\n"));
        assert!(!first("0 100000 65536\n"));
        assert!(!first(""));
    }
}
