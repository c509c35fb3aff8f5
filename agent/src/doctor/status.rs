//! Texts of `/proc` and `/sys` that tell what else refuses. Bytes in, values out.

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
