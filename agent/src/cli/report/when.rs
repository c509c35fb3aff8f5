//! Times as people type them: of the day, of a date, ago.

use super::calendar::{Civil, Fixed, Zone};

const SECOND: u64 = 1_000_000_000;
/// Fewer seconds since 1970 than this (1973) are a number without a unit.
const EARLIEST: u64 = 100_000_000;

/// What a time may look like, for errors.
const FORMS: &str = "Write 10m, 2h30m or 1d (ago), 14:30 or 14:30:15 (today), \
                     2026-11-28 or 2026-11-28T14:30, with Z or +01:00 behind it where it is not \
                     local time, or seconds since 1970";

/// Times that can't be meant.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    #[error("{0:?} is no time. {FORMS}.")]
    Form(String),
    #[error(
        "{0:?} has no unit: {0}s, {0}m, {0}h and {0}d are seconds, minutes, hours and days ago."
    )]
    Unit(String),
    #[error("{0:?} is a time that does not exist: check month, day, hour and minute.")]
    Absent(String),
    #[error("{0:?} is before 1970.")]
    Early(String),
}

/// ns since 1970 of what was typed, when it is `now`.
pub fn parse(text: &str, now: u64, zone: &dyn Zone) -> Result<u64, TimeError> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("now") {
        return Ok(now);
    }
    if let Some(ago) = duration(text.strip_suffix(" ago").unwrap_or(text)) {
        return now
            .checked_sub(ago)
            .ok_or_else(|| TimeError::Early(text.to_owned()));
    }
    if let Some((seconds, nanos)) = decimal(text) {
        return match seconds {
            0..EARLIEST => Err(TimeError::Unit(text.to_owned())),
            _ => seconds
                .checked_mul(SECOND)
                .map(|time| time.saturating_add(nanos))
                .ok_or_else(|| TimeError::Absent(text.to_owned())),
        };
    }
    if text.get(4..5) == Some("-") {
        return date(text, zone);
    }
    let today = zone.civil((now / SECOND) as i64);
    clock(text, today, text, zone)
}

/// ns of `10m`, `2h30m`, `1.5h`, `1d`.
pub fn duration(text: &str) -> Option<u64> {
    let mut total = 0_u64;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|it: char| !it.is_ascii_digit() && it != '.')?;
        let (number, behind) = rest.split_at(end);
        let (seconds, nanos) = decimal(number)?;
        let length = behind
            .find(|it: char| !it.is_ascii_alphabetic())
            .unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(length);
        let unit = match unit {
            "ms" => SECOND / 1000,
            "s" | "sec" => SECOND,
            "m" | "min" => 60 * SECOND,
            "h" => 3600 * SECOND,
            "d" => 86_400 * SECOND,
            "w" => 7 * 86_400 * SECOND,
            _ => return None,
        };
        let part = u128::from(unit) * u128::from(nanos) / u128::from(SECOND);
        total = seconds
            .checked_mul(unit)
            .and_then(|whole| whole.checked_add(part as u64))
            .and_then(|amount| total.checked_add(amount))?;
        rest = behind;
    }
    (!text.is_empty()).then_some(total)
}

/// Whole part, and the fraction in billionths, of digits with at most one point between them.
fn decimal(text: &str) -> Option<(u64, u64)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|it| it.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let nanos: String = fraction
        .chars()
        .chain("000000000".chars())
        .take(9)
        .collect();
    Some((whole.parse().ok()?, nanos.parse().ok()?))
}

/// `2026-11-28`, `2026-11-28T14:30[:15[.5]]` and with a space, each also with `Z` or `+01:00`.
fn date(text: &str, zone: &dyn Zone) -> Result<u64, TimeError> {
    let form = || TimeError::Form(text.to_owned());
    let (day, rest) = text.split_at_checked(10).ok_or_else(form)?;
    let mut parts = day.splitn(3, '-');
    let mut part = |digits: usize| {
        let part = parts.next()?;
        let right = part.len() == digits && part.bytes().all(|it| it.is_ascii_digit());
        right.then(|| part.parse::<u32>().ok()).flatten()
    };
    let (Some(year), Some(month), Some(day)) = (part(4), part(2), part(2)) else {
        return Err(form());
    };
    let midnight = Civil {
        year: year.into(),
        month,
        day,
        ..Civil::default()
    };
    if rest.is_empty() {
        return ns(text, midnight, 0, zone);
    }
    let rest = rest.strip_prefix(['T', 't', ' ']).ok_or_else(form)?;
    if let Some(utc) = rest.strip_suffix(['Z', 'z']) {
        return clock(utc, midnight, text, &Fixed(0));
    }
    let Some(sign) = rest.find(['+', '-']) else {
        return clock(rest, midnight, text, zone);
    };
    let (local, offset) = rest.split_at(sign);
    let (hours, minutes) = offset[1..].split_once(':').ok_or_else(form)?;
    let two = |part: &str, below: i64| {
        let number = (part.len() == 2)
            .then(|| part.parse::<i64>().ok())
            .flatten();
        number.filter(|number| (0..below).contains(number))
    };
    let (Some(hours), Some(minutes)) = (two(hours, 24), two(minutes, 60)) else {
        return Err(form());
    };
    let east = (hours * 60 + minutes) * 60;
    let east = if offset.starts_with('-') { -east } else { east };
    clock(local, midnight, text, &Fixed(east))
}

/// `14:30[:15[.5]]` of a day. `whole` is what was typed.
fn clock(text: &str, day: Civil, whole: &str, zone: &dyn Zone) -> Result<u64, TimeError> {
    let form = || TimeError::Form(whole.to_owned());
    let mut parts = text.splitn(3, ':');
    let mut number = || {
        let part = parts.next()?;
        let right = (1..=2).contains(&part.len()) && part.bytes().all(|it| it.is_ascii_digit());
        right.then(|| part.parse::<u32>().ok()).flatten()
    };
    let (Some(hour), Some(minute)) = (number(), number()) else {
        return Err(form());
    };
    let (second, nanos) = match parts.next() {
        Some(seconds) => decimal(seconds).ok_or_else(form)?,
        None => (0, 0),
    };
    let civil = Civil {
        hour,
        minute,
        second: u32::try_from(second).unwrap_or(u32::MAX),
        ..day
    };
    ns(whole, civil, nanos, zone)
}

fn ns(text: &str, civil: Civil, nanos: u64, zone: &dyn Zone) -> Result<u64, TimeError> {
    let unix = civil.is_real().then(|| zone.unix(&civil)).flatten();
    let unix = unix.ok_or_else(|| TimeError::Absent(text.to_owned()))?;
    let unix = u64::try_from(unix).map_err(|_| TimeError::Early(text.to_owned()))?;
    let time = unix.checked_mul(SECOND);
    let time = time.and_then(|time| time.checked_add(nanos));
    time.ok_or_else(|| TimeError::Absent(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-28T05:20:00Z.
    const NOW: u64 = 1_795_843_200 * SECOND;
    /// Of a place that is two hours ahead: it is 07:20 there.
    const ZONE: Fixed = Fixed(7200);

    fn seconds(text: &str) -> Result<i64, TimeError> {
        parse(text, NOW, &ZONE).map(|time| (time as i64 - NOW as i64) / SECOND as i64)
    }

    #[test]
    fn times_ago() {
        for (text, ago) in [
            ("10m", 600),
            ("10m ago", 600),
            ("2h30m", 9000),
            ("1d", 86_400),
            ("1.5h", 5400),
            ("90s", 90),
            ("1w", 604_800),
            ("1h1m1s", 3661),
            ("now", 0),
            ("0s", 0),
        ] {
            assert_eq!(seconds(text), Ok(-ago), "{text}");
        }
    }

    #[test]
    fn times_of_the_day_are_local() {
        assert_eq!(seconds("07:20"), Ok(0));
        assert_eq!(seconds("7:20:30"), Ok(30));
        assert_eq!(seconds("00:00"), Ok(-(7 * 3600 + 20 * 60)));
        // In the future, which is not this function's business.
        assert_eq!(seconds("08:20"), Ok(3600));
    }

    #[test]
    fn dates() {
        for text in [
            "2026-11-28T05:20:00Z",
            "2026-11-28t05:20z",
            "2026-11-28T06:20:00+01:00",
            "2026-11-28T00:20:00-05:00",
            "2026-11-28T10:50+05:30",
            "2026-11-28T07:20:00",
            "2026-11-28 07:20",
            "1795843200",
        ] {
            assert_eq!(seconds(text), Ok(0), "{text}");
        }
        assert_eq!(seconds("2026-11-28"), Ok(-(7 * 3600 + 20 * 60)));
        let fraction = |text| parse(text, NOW, &ZONE).unwrap() - NOW;
        assert_eq!(fraction("2026-11-28T05:20:00.25Z"), 250_000_000);
        assert_eq!(fraction("1795843200.000000001"), 1);
    }

    #[test]
    fn what_is_no_time_is_told() {
        let form = |text: &str| Err(TimeError::Form(text.to_owned()));
        for text in [
            "",
            "noon",
            "10x",
            "10m5",
            "m",
            "-10m",
            "14",
            "14:30:",
            "14:3a",
            "2026-1-1",
            "2026-11-28X07:20",
            "2026-11-28T07:20+1:00",
            "2026-11-28T07:20+01:75",
            "1h-5m",
            "..",
            "2026-11-28T",
            "é10m",
            "2026-é",
            "14:30:15:10",
            "+5:00",
        ] {
            let found = seconds(text);
            assert!(
                found == form(text) || matches!(found, Err(TimeError::Unit(_))) && text == "14",
                "{text}: {found:?}"
            );
        }
        assert_eq!(seconds("10"), Err(TimeError::Unit("10".to_owned())));
        for text in [
            "25:00",
            "14:60",
            "2026-13-01",
            "2026-02-29",
            "2026-11-28T07:20:61",
        ] {
            assert_eq!(
                seconds(text),
                Err(TimeError::Absent(text.to_owned())),
                "{text}"
            );
        }
        for text in ["1969-12-31", "9000w"] {
            assert_eq!(
                seconds(text),
                Err(TimeError::Early(text.to_owned())),
                "{text}"
            );
        }
    }

    /// More than a number holds.
    #[test]
    fn far_times_do_not_overflow() {
        for text in [
            "99999999999999999999",
            "99999999999d",
            "9999999999999",
            "9999-12-31",
        ] {
            drop(seconds(text));
        }
    }
}
