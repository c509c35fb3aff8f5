//! Whether this process may sample at all, found out before anything is loaded.

use std::fs;

use thiserror::Error;

/// Rights without which nothing is sampled, by their bits (Linux
/// `include/uapi/linux/capability.h`). CAP_SYS_ADMIN stands in for both.
const NEEDED: [(&str, u32); 2] = [("CAP_BPF", 39), ("CAP_PERFMON", 38)];
const SYS_ADMIN: u32 = 21;
/// These and those that recordings of other users' processes take.
const ALL: &str = "cap_bpf,cap_perfmon,cap_sys_ptrace,cap_dac_read_search,cap_checkpoint_restore,\
                   cap_syslog";

/// Rights that are missing.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("Strata lacks {missing}, which eBPF takes. {remedy}")]
pub struct RightsError {
    missing: String,
    remedy: String,
}

/// What a process may do, by its `status` file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Rights {
    effective: u64,
    no_new_privileges: bool,
    root: bool,
}

/// Makes sure that programs may be loaded and CPUs be sampled.
pub fn check_rights() -> Result<(), RightsError> {
    // Without /proc the kernel has to tell.
    let Ok(status) = fs::read_to_string("/proc/self/status") else {
        return Ok(());
    };
    let own = std::env::current_exe()
        .map_or_else(|_| "strata".to_owned(), |path| path.display().to_string());
    Rights::of(&status).check(&own, &mut std::env::args().skip(1))
}

impl Rights {
    fn of(status: &str) -> Self {
        let field = |name: &str| {
            let mut lines = status.lines();
            let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            value.map_or("", str::trim)
        };
        // Real, effective, saved, file system.
        let user = field("Uid").split_whitespace().nth(1);
        Self {
            effective: u64::from_str_radix(field("CapEff"), 16).unwrap_or(0),
            no_new_privileges: field("NoNewPrivs") == "1",
            root: user == Some("0"),
        }
    }

    fn check(
        self,
        program: &str,
        arguments: &mut dyn Iterator<Item = String>,
    ) -> Result<(), RightsError> {
        let has = |bit: u32| self.effective >> bit & 1 == 1;
        let missing = NEEDED
            .iter()
            .filter(|(_, bit)| !has(*bit) && !has(SYS_ADMIN));
        let missing: Vec<&str> = missing.map(|(name, _)| *name).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let remedy = if self.no_new_privileges {
            "Start it outside of this sandbox: no_new_privs is set, so neither sudo nor a file's \
             capabilities give rights here."
                .to_owned()
        } else if self.root {
            let list = ALL.replace("cap_", "").to_uppercase();
            format!(
                "This root does not have them; give them to its container: docker run --pid=host \
                 --cap-add {}, or in Kubernetes hostPID: true and securityContext.capabilities.add: \
                 [{}].",
                list.replace(',', " --cap-add "),
                list.replace(',', ", ")
            )
        } else {
            let typed: Vec<String> = arguments.map(|argument| quoted(&argument)).collect();
            format!(
                "Type: sudo {} {} — or give the program the rights once: sudo setcap {ALL}+ep {}",
                quoted(program),
                typed.join(" "),
                quoted(program)
            )
        };
        Err(RightsError {
            missing: missing.join(" and "),
            remedy,
        })
    }
}

/// As a shell takes it for one word.
fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,+@%".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(rights: Rights) -> String {
        let mut typed = ["record", "-o", "my file.svg"]
            .map(str::to_owned)
            .into_iter();
        let checked = rights.check("/opt/strata", &mut typed);
        checked.map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn what_is_missing_and_what_to_type() {
        let none = Rights::default();
        let text = told(none);
        assert!(
            text.starts_with("Strata lacks CAP_BPF and CAP_PERFMON,"),
            "{text}"
        );
        assert!(
            text.contains("Type: sudo /opt/strata record -o 'my file.svg' —"),
            "{text}"
        );
        assert!(text.ends_with("+ep /opt/strata"), "{text}");
        let text = told(Rights {
            effective: 1 << 39,
            root: true,
            ..none
        });
        assert!(text.starts_with("Strata lacks CAP_PERFMON,"), "{text}");
        assert!(text.contains("--cap-add BPF --cap-add PERFMON"), "{text}");
        let text = told(Rights {
            no_new_privileges: true,
            ..none
        });
        assert!(
            text.contains("no_new_privs") && !text.contains("Type"),
            "{text}"
        );
    }

    #[test]
    fn enough_rights() {
        for effective in [1 << 38 | 1 << 39, 1 << 21, u64::MAX] {
            let rights = Rights {
                effective,
                ..Rights::default()
            };
            assert_eq!(told(rights), "");
        }
    }

    #[test]
    fn status_files() {
        let text = "Name:\tx\nUid:\t0\t1000\t0\t0\nNoNewPrivs:\t1\nCapEff:\t000001ffffffffff\n";
        let expected = Rights {
            effective: 0x1ff_ffff_ffff,
            no_new_privileges: true,
            root: false,
        };
        assert_eq!(Rights::of(text), expected);
        assert!(Rights::of("Uid:\t1000\t0\t0\t0\n").root);
        assert_eq!(Rights::of(""), Rights::default());
    }
}
