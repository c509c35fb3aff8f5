//! Whether this process may load eBPF programs and open events of the whole machine.

const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// Fails with what to type instead.
pub fn check() -> Result<(), String> {
    let status = std::fs::read_to_string("/proc/self/status")
        .map_err(|error| format!("/proc/self/status: {error}"))?;
    if suffice(&status) {
        return Ok(());
    }
    Err("The end-to-end tests load eBPF programs, which needs root, or CAP_BPF and CAP_PERFMON. Type:\n\n    \
         sudo -E env \"PATH=$PATH\" cargo test\n"
        .to_owned())
}

fn suffice(status: &str) -> bool {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let Some(set) = line.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok()) else {
        return false;
    };
    let has = |capability: u32| set >> capability & 1 == 1;
    has(CAP_SYS_ADMIN) || (has(CAP_BPF) && has(CAP_PERFMON))
}

#[cfg(test)]
mod tests {
    use super::suffice;

    #[test]
    fn capabilities_are_read() {
        assert!(suffice("Name:\tx\nCapEff:\t000001ffffffffff\n"));
        assert!(suffice("CapEff:\t000000c000000000\n"));
        assert!(!suffice("CapEff:\t0000004000000000\n"));
        assert!(!suffice("CapEff:\t0000000000000000\n") && !suffice(""));
    }
}
