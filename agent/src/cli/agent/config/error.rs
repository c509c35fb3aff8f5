//! What is wrong with what the agent was told. Nothing here holds a secret.

use std::fmt;

use super::table::SETTINGS;

/// All that is wrong, so that it can be put right at once.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.text())]
pub struct ConfigError {
    pub problems: Vec<Problem>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// A key or variable that means nothing, where it stands, and the one that may be meant.
    Unknown {
        what: String,
        place: Option<String>,
        nearest: Option<String>,
    },
    /// What is wrong about a setting's value, by where it came from.
    Value { origin: String, why: String },
    /// The file as a whole.
    File(String),
}

impl ConfigError {
    fn text(&self) -> String {
        let problems: Vec<String> = self.problems.iter().map(Problem::to_string).collect();
        problems.join("\n        ")
    }
}

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> Self {
        Self {
            problems: vec![problem],
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown {
                what,
                place,
                nearest,
            } => {
                if let Some(place) = place {
                    write!(f, "{place}: ")?;
                }
                write!(f, "{what} is no setting of the agent. ")?;
                match nearest {
                    Some(nearest) => write!(f, "Is {nearest} meant?"),
                    None => write!(f, "`strata agent --help` lists all settings."),
                }
            }
            Self::Value { origin, why } if why.ends_with('?') => write!(f, "{origin} {why}"),
            Self::Value { origin, why } => write!(f, "{origin} {why}."),
            Self::File(why) => f.write_str(why),
        }
    }
}

/// How like two names have to be, from 0 to 1, for one to be taken for a misspelling of the other.
const LIKE: f64 = 0.8;

/// The name that is most like this one, if any is.
pub fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    names
        .map(|other| (strsim::jaro_winkler(name, other), other))
        .filter(|(like, _)| *like >= LIKE)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, other)| other)
}

/// The setting that is most like this name of whatever spelling.
pub fn nearest_setting(name: &str) -> Option<&'static str> {
    let name = name.to_lowercase().replace(['_', '.'], "-");
    nearest(&name, SETTINGS.iter().map(|setting| setting.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_names_find_theirs() {
        for (wrong, right) in [
            ("stroe-size", "store-size"),
            ("store_size", "store-size"),
            ("otlp.endpoint", "otlp-endpoint"),
            ("otlp-header", "otlp-headers"),
            ("intervall", "interval"),
            ("log-levl", "log-level"),
            ("rates", "rate"),
        ] {
            assert_eq!(nearest_setting(wrong), Some(right));
        }
        assert_eq!(nearest_setting("quux"), None);
    }

    /// Each setting with a letter too few is still nearest to itself.
    #[test]
    fn a_lost_letter_is_made_up_for() {
        for setting in SETTINGS.iter().filter(|setting| setting.name.len() > 4) {
            let mut name = setting.name.to_owned();
            name.remove(name.len() / 2);
            assert_eq!(nearest_setting(&name), Some(setting.name));
        }
    }
}
