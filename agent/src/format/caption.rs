//! What stands above a picture.

use crate::profile::Profile;

use super::label::plain;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caption {
    pub title: String,
    /// One line below the title: what was recorded.
    pub details: String,
    /// Not drawn; a comment in the file.
    pub notes: String,
}

impl Caption {
    /// Says what a profile says of itself: processes, duration, rate, number of samples.
    pub fn of(profile: &Profile) -> Self {
        let title = format!("Flame graph of {}", subject(profile));
        let weights = profile.samples().map(|(_, totals)| totals.weight);
        let samples = weights.fold(0, u64::saturating_add);
        let mut details = vec![format!("{:.1} s", profile.span.duration().as_secs_f64())];
        details.extend(rate(profile));
        details.push(format!("{} samples", grouped(samples)));
        Self {
            title,
            details: details.join(", "),
            notes: String::new(),
        }
    }
}

/// Whose samples these are.
pub fn subject(profile: &Profile) -> String {
    match profile.processes() {
        [one] => plain(&format!("{} {}", &profile[one.name], one.id.pid)),
        many => format!("{} processes", many.len()),
    }
}

/// The rate of the only event that is taken by time.
fn rate(profile: &Profile) -> Option<String> {
    let mut events = profile.events().iter();
    let (Some((_, event)), None) = (events.next(), events.next()) else {
        return None;
    };
    let period = event.period?;
    if &profile[period.of.unit] != "nanoseconds" || period.amount == 0 {
        return None;
    }
    Some(format!("{:.0} Hz", 1e9 / period.amount as f64))
}

/// 1,234,567
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position != 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::sample_profile::profile;
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        let pairs = [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1234567, "1,234,567"),
        ];
        for (number, text) in pairs {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn a_profile_describes_itself() {
        let caption = Caption::of(&profile());
        assert_eq!(caption.title, "Flame graph of 2 processes");
        assert_eq!(caption.details, "30.0 s, 99 Hz, 2,905 samples");
    }
}
