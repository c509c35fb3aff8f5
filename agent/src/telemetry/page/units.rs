//! Numbers as people read them.

use std::time::Duration;

/// 1234567 → 1,234,567
pub fn whole(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Three digits that say something.
pub fn real(number: f64) -> String {
    match number.abs() {
        n if n >= 1000.0 => whole(number.round() as u64),
        n if n >= 100.0 => format!("{number:.0}"),
        n if n >= 10.0 => short(&format!("{number:.1}")),
        _ => short(&format!("{number:.2}")),
    }
}

/// 31.0 → 31
fn short(number: &str) -> String {
    let number = number.trim_end_matches('0').trim_end_matches('.');
    number.to_owned()
}

pub fn bytes(bytes: u64) -> String {
    let mut amount = bytes as f64;
    let mut unit = 0;
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    while amount >= 1000.0 && unit + 1 < units.len() {
        amount /= 1024.0;
        unit += 1;
    }
    if unit == 0 {
        return format!("{bytes} B");
    }
    format!("{} {}", real(amount), units[unit])
}

/// A part of something, as per cent.
pub fn share(part: u64, of: u64) -> String {
    if of == 0 {
        return "–".to_owned();
    }
    let percent = part as f64 * 100.0 / of as f64;
    // What happened at all is never shown as nothing, and what was not all never as all.
    match percent {
        _ if part == 0 => "0 %".to_owned(),
        p if p < 0.01 => "< 0.01 %".to_owned(),
        p if p < 1.0 => format!("{p:.2} %"),
        p if p > 99.9 && part < of => "> 99.9 %".to_owned(),
        p if part == of => format!("{p:.0} %"),
        p => format!("{p:.1} %"),
    }
}

/// How long something takes.
pub fn time(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match seconds {
        s if s < 1.0 => format!("{} ms", real(s * 1000.0)),
        s if s < 100.0 => format!("{} s", real(s)),
        _ => span(duration),
    }
}

/// How long ago, or how long since: the two largest units.
pub fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_never_lie() {
        assert_eq!(whole(0), "0");
        assert_eq!(whole(999), "999");
        assert_eq!(whole(1_234_567), "1,234,567");
        assert_eq!(real(0.0), "0");
        assert_eq!(real(0.123), "0.12");
        assert_eq!(real(37.94), "37.9");
        assert_eq!(real(10.0), "10");
        assert_eq!(real(0.001), "0");
        assert_eq!(real(1234.5), "1,235");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1000), "0.98 KiB");
        assert_eq!(bytes(512 << 20), "512 MiB");
        assert_eq!(bytes(u64::MAX), "16,777,216 TiB");
    }

    #[test]
    fn a_share_is_nothing_or_all_only_if_it_is() {
        assert_eq!(share(1, 0), "–");
        assert_eq!(share(0, 5), "0 %");
        assert_eq!(share(1, 1_000_000), "< 0.01 %");
        assert_eq!(share(1, 200), "0.50 %");
        assert_eq!(share(1, 3), "33.3 %");
        assert_eq!(share(999_999, 1_000_000), "> 99.9 %");
        assert_eq!(share(7, 7), "100 %");
    }

    #[test]
    fn times_have_two_units_at_most() {
        let span = |seconds| super::span(Duration::from_secs(seconds));
        assert_eq!(span(59), "59 s");
        assert_eq!(span(61), "1 min 1 s");
        assert_eq!(span(3 * 3600 + 120), "3 h 2 min");
        assert_eq!(span(50 * 3600), "2 d 2 h");
        assert_eq!(time(Duration::from_micros(1500)), "1.5 ms");
        assert_eq!(time(Duration::from_millis(2500)), "2.5 s");
    }
}
