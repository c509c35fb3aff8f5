//! Durations and sizes as people write them.

use std::time::Duration;

const DURATIONS: &[(&str, u64)] = &[
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

const SIZES: &[(&str, u64)] = &[
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

/// `10s`, `500ms`, `1h30m`.
pub fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut sum = 0u64;
    while !rest.is_empty() || text.is_empty() {
        let (amount, unit, behind) = next(rest)?;
        let (_, factor) = DURATIONS.iter().find(|(name, _)| *name == unit)?;
        sum = sum.checked_add(amount.checked_mul(*factor)?)?;
        rest = behind;
    }
    Some(Duration::from_millis(sum))
}

/// `512MiB`, `2 GB`. Letters may be small or capital.
pub fn size(text: &str) -> Option<u64> {
    let (amount, unit, behind) = next(text)?;
    let factor = SIZES
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(unit));
    behind.is_empty().then_some(())?;
    amount.checked_mul(factor?.1)
}

/// A number, its unit, and what is behind both.
fn next(text: &str) -> Option<(u64, &str, &str)> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (amount, rest) = text.split_at(digits);
    let rest = rest.trim_start();
    let letters = rest
        .find(|c: char| !c.is_alphabetic())
        .unwrap_or(rest.len());
    let (unit, behind) = rest.split_at(letters);
    Some((amount.parse().ok()?, unit, behind.trim_start()))
}

pub fn show_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    match exact(DURATIONS, millis) {
        // A day is rather 24 hours.
        Some((amount, "d")) if amount < 2 => format!("{}h", amount * 24),
        Some((amount, unit)) => format!("{amount}{unit}"),
        None => "0s".to_owned(),
    }
}

pub fn show_size(size: u64) -> String {
    let binary = SIZES.iter().filter(|(unit, _)| unit.ends_with("iB"));
    let binary: Vec<_> = binary.copied().collect();
    let (amount, unit) = exact(&binary, size)
        .or_else(|| exact(SIZES, size))
        .unwrap_or((0, "B"));
    format!("{amount}{unit}")
}

/// In the largest unit of which it is a whole number.
fn exact(units: &[(&'static str, u64)], amount: u64) -> Option<(u64, &'static str)> {
    let fits = |unit: &&(&str, u64)| amount != 0 && amount.is_multiple_of(unit.1);
    let (unit, factor) = units.iter().find(fits)?;
    Some((amount / factor, *unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(duration("10s"), Some(Duration::from_secs(10)));
        assert_eq!(duration("1h30m"), Some(Duration::from_secs(5_400)));
        assert_eq!(duration("250 ms"), Some(Duration::from_millis(250)));
        for none in [
            "",
            "10",
            "s",
            "10 parsecs",
            "-1s",
            "1.5s",
            "99999999999999999d",
            "1s1",
        ] {
            assert_eq!(duration(none), None, "{none}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(size("512MiB"), Some(512 << 20));
        assert_eq!(size("1 gb"), Some(1_000_000_000));
        for none in [
            "",
            "512",
            "MiB",
            "1.5GiB",
            "99999999999TiB",
            "1GiB2",
            "1MiB 3kB",
        ] {
            assert_eq!(size(none), None, "{none}");
        }
    }

    #[test]
    fn what_is_shown_means_the_same() {
        for seconds in [0, 1, 59, 60, 90, 3_600, 86_400, 172_800, 604_800, 1_000_000] {
            let it = Duration::from_secs(seconds);
            assert_eq!(duration(&show_duration(it)), Some(it));
        }
        for it in [0, 1, 1_000, 1_024, 1_500_000, 512 << 20, 3 << 40, u64::MAX] {
            assert_eq!(size(&show_size(it)), Some(it));
        }
        assert_eq!(show_duration(Duration::from_secs(86_400)), "24h");
        assert_eq!(show_size(512 << 20), "512MiB");
        assert_eq!(show_size(2_000_000), "2MB");
    }
}
