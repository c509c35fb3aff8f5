//! What the running kernel allows, asked before it has to refuse.

use std::fs;

use thiserror::Error;

use super::kernel::{release, version};

/// Oldest kernel that has all that is needed (ring buffers 5.8, `map_files` by right 5.9).
pub const OLDEST: (u32, u32) = (5, 10);
/// The setting that bounds rates. The kernel lowers it by itself when samples take it long.
const RATE: &str = "/proc/sys/kernel/perf_event_max_sample_rate";

/// Asked for what this kernel does not do.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum LimitError {
    #[error(
        "Kernel {0} is too old: Strata takes Linux 5.10 or newer. Boot a newer kernel; most \
         distributions offer one as a package."
    )]
    Kernel(String),
    #[error(
        "A rate of {rate} is above this kernel's maximum of {max} samples a second. Give at most \
         -r {max}, or raise the maximum: sudo sysctl kernel.perf_event_max_sample_rate={rate}"
    )]
    Rate { rate: u64, max: u64 },
}

/// Makes sure that the kernel is new enough and lets us sample so often.
pub fn check_limits(rate: u64) -> Result<(), LimitError> {
    let release = release();
    check_release(&release)?;
    let max = fs::read_to_string(RATE)
        .ok()
        .and_then(|text| text.trim().parse().ok());
    match max {
        Some(max) => check_rate(rate, max),
        None => Ok(()),
    }
}

fn check_release(release: &str) -> Result<(), LimitError> {
    match version(release) {
        Some(version) if version < OLDEST => Err(LimitError::Kernel(release.to_owned())),
        _ => Ok(()),
    }
}

fn check_rate(rate: u64, max: u64) -> Result<(), LimitError> {
    if rate > max {
        return Err(LimitError::Rate { rate, max });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_kernels() {
        for old in ["5.9.16", "4.18.0-553.el8.x86_64", "3.10.0"] {
            assert_eq!(check_release(old), Err(LimitError::Kernel(old.to_owned())));
        }
        for new in [
            "5.10.0-32-cloud-amd64",
            "6.1.0",
            "10.0",
            "of unknown release",
        ] {
            assert_eq!(check_release(new), Ok(()));
        }
        check_limits(1).expect("the running kernel");
    }

    #[test]
    fn rates() {
        assert_eq!(check_rate(100, 100), Ok(()));
        let error = check_rate(101, 100).unwrap_err().to_string();
        assert!(error.contains("at most -r 100,"), "{error}");
        assert!(error.ends_with("max_sample_rate=101"), "{error}");
    }
}
