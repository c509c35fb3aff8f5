//! Days and hours of the time that counts seconds since 1970.

/// A time of a calendar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Civil {
    pub year: i64,
    /// From 1 on.
    pub month: u32,
    pub day: u32,
    pub hour: u32,
    pub minute: u32,
    pub second: u32,
}

/// What local time is.
pub trait Zone {
    /// Seconds since 1970 → calendar.
    fn civil(&self, unix: i64) -> Civil;
    /// Calendar → seconds since 1970; none where the two don't meet.
    fn unix(&self, civil: &Civil) -> Option<i64>;
}

/// A zone that is so many seconds ahead of UTC.
pub struct Fixed(pub i64);

/// This machine's zone, or that of the variable TZ.
pub struct Local;

impl Civil {
    /// Whether there is such a day and such a time of it.
    pub fn is_real(&self) -> bool {
        (1..=12).contains(&self.month)
            && (1..=days_of(self.year, self.month)).contains(&self.day)
            && self.hour < 24
            && self.minute < 60
            // A second of 60 is a leap second.
            && self.second <= 60
    }

    /// `2026-11-28 14:30:15`
    pub fn text(&self) -> String {
        format!(
            "{:04}-{:02}-{:02} {}",
            self.year,
            self.month,
            self.day,
            self.clock()
        )
    }

    /// `14:30:15`
    pub fn clock(&self) -> String {
        format!("{:02}:{:02}:{:02}", self.hour, self.minute, self.second)
    }

    pub fn is_same_day(&self, other: &Self) -> bool {
        (self.year, self.month, self.day) == (other.year, other.month, other.day)
    }
}

fn days_of(year: i64, month: u32) -> u32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to the first of March of a year, by which leap days come last.
fn days_to_march(year: i64) -> i64 {
    let past = year - 1;
    // 1970-03-01 is day 59; 477 leap days came before 1970.
    (year - 1970) * 365
        + (past / 4 - past / 100 + past / 400 - 477)
        + 59
        + i64::from(days_of(year, 2) == 29)
}

/// Days before a month's first day, in years that begin with March.
fn days_before(month: u32) -> i64 {
    let month = i64::from((month + 9) % 12);
    (month * 153 + 2) / 5
}

impl Zone for Fixed {
    fn civil(&self, unix: i64) -> Civil {
        let unix = unix.saturating_add(self.0);
        let (days, second) = (unix.div_euclid(86_400), unix.rem_euclid(86_400) as u32);
        // Too early rather than too late: no year is shorter than 365 days or longer than 366.
        let years = days.div_euclid(if days < 0 { 365 } else { 366 });
        let mut year = 1969 + years;
        while days_to_march(year + 1) <= days {
            year += 1;
        }
        let mut left = days - days_to_march(year);
        let mut month = 3;
        loop {
            let calendar = if month > 12 { year + 1 } else { year };
            let length = i64::from(days_of(calendar, (month - 1) % 12 + 1));
            if left < length {
                break;
            }
            left -= length;
            month += 1;
        }
        Civil {
            year: if month > 12 { year + 1 } else { year },
            month: (month - 1) % 12 + 1,
            day: left as u32 + 1,
            hour: second / 3600,
            minute: second / 60 % 60,
            second: second % 60,
        }
    }

    fn unix(&self, civil: &Civil) -> Option<i64> {
        let year = civil.year - i64::from(civil.month < 3);
        let days = days_to_march(year) + days_before(civil.month) + i64::from(civil.day) - 1;
        let hours = days * 24 + i64::from(civil.hour);
        let seconds = (hours * 60 + i64::from(civil.minute)) * 60 + i64::from(civil.second);
        Some(seconds - self.0)
    }
}

impl Zone for Local {
    fn civil(&self, unix: i64) -> Civil {
        let mut broken: libc::tm = empty();
        // SAFETY: both point at values that are there; the function keeps neither.
        let found = unsafe { libc::localtime_r(&unix, &mut broken) };
        if found.is_null() {
            return Fixed(0).civil(unix);
        }
        Civil {
            year: i64::from(broken.tm_year) + 1900,
            month: broken.tm_mon as u32 + 1,
            day: broken.tm_mday as u32,
            hour: broken.tm_hour as u32,
            minute: broken.tm_min as u32,
            second: broken.tm_sec as u32,
        }
    }

    fn unix(&self, civil: &Civil) -> Option<i64> {
        let mut broken = empty();
        broken.tm_year = i32::try_from(civil.year - 1900).ok()?;
        broken.tm_mon = civil.month as i32 - 1;
        broken.tm_mday = civil.day as i32;
        broken.tm_hour = civil.hour as i32;
        broken.tm_min = civil.minute as i32;
        broken.tm_sec = civil.second as i32;
        // Whether it is summer, the zone says.
        broken.tm_isdst = -1;
        // SAFETY: it points at a value that is there, which the function fills in and does not keep.
        let unix = unsafe { libc::mktime(&mut broken) };
        (unix != -1).then_some(unix)
    }
}

fn empty() -> libc::tm {
    // SAFETY: a `tm` is numbers, and a pointer that may be null.
    unsafe { std::mem::zeroed() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `date -u -d @SECONDS` says.
    const KNOWN: [(i64, &str); 8] = [
        (0, "1970-01-01 00:00:00"),
        (951_782_399, "2000-02-28 23:59:59"),
        (951_868_799, "2000-02-29 23:59:59"),
        (951_868_800, "2000-03-01 00:00:00"),
        (1_735_689_599, "2024-12-31 23:59:59"),
        (1_795_843_200, "2026-11-28 05:20:00"),
        (4_107_542_400, "2100-03-01 00:00:00"),
        (-1, "1969-12-31 23:59:59"),
    ];

    #[test]
    fn known_days() {
        for (unix, text) in KNOWN {
            let civil = Fixed(0).civil(unix);
            assert_eq!(civil.text(), text);
            assert_eq!(Fixed(0).unix(&civil), Some(unix), "{text}");
        }
    }

    #[test]
    fn each_day_leads_back() {
        for day in -1000..60_000 {
            let unix = day * 86_400 + 12_345;
            let civil = Fixed(3600).civil(unix);
            assert!(civil.is_real(), "{civil:?}");
            assert_eq!(Fixed(3600).unix(&civil), Some(unix), "{civil:?}");
            // Whatever this machine's zone is: an hour may come twice in it.
            let civil = Local.civil(unix);
            let again = Local.unix(&civil).unwrap();
            assert!((again - unix).abs() <= 3600, "{civil:?}");
        }
    }
}
