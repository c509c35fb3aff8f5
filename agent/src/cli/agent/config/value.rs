//! Values of settings: what is typed, and what is shown of it.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::pairs::Pairs;
use super::rules::{self, Rules};
use super::table::Kind;
use super::units;
use super::url::Url;

#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    None,
    Number(u64),
    Duration(Duration),
    Size(u64),
    Switch(bool),
    Choice(&'static str),
    Path(PathBuf),
    Url(Url),
    Pairs(Pairs),
    Text(String),
    List(Vec<String>),
    Listen(SocketAddr),
    Level(String),
    Rules(Rules),
}

/// Longest part of a value that an error repeats.
const SHOWN: usize = 60;
/// Longest name, as a node's in Kubernetes.
const NAME: usize = 253;

impl Value {
    /// Reads what was typed. The error is the end of a sentence about the setting; it repeats the
    /// text only of kinds that hold no secrets.
    pub fn parse(kind: Kind, text: &str) -> Result<Self, String> {
        let text = text.trim();
        let wrong = |allowed: &str| {
            let shown: String = text.chars().take(SHOWN).collect();
            Err(format!("is {shown:?}; it has to be {allowed}"))
        };
        match kind {
            Kind::Number { min, max } => match text.parse() {
                Ok(number) if (min..=max).contains(&number) => Ok(Self::Number(number)),
                _ => wrong(&format!("a whole number from {min} to {max}")),
            },
            Kind::Duration { min, max } => match units::duration(text) {
                Some(duration) if (min..=max).contains(&duration) => Ok(Self::Duration(duration)),
                _ => wrong(&format!(
                    "a duration from {} to {}, with its unit: 500ms, 10s, 5m, 24h, 7d",
                    units::show_duration(min),
                    units::show_duration(max),
                )),
            },
            Kind::Size { min } => match units::size(text) {
                Some(size) if size >= min => Ok(Self::Size(size)),
                _ => wrong(&format!(
                    "a size of at least {}, with its unit: KiB, MiB, GiB, TiB, or kB, MB, GB, TB",
                    units::show_size(min),
                )),
            },
            Kind::Switch => match text {
                "true" => Ok(Self::Switch(true)),
                "false" => Ok(Self::Switch(false)),
                _ => wrong("true or false"),
            },
            Kind::Choice(choices) => match choices.iter().find(|choice| **choice == text) {
                Some(choice) => Ok(Self::Choice(choice)),
                None => wrong(&choices.join(" or ")),
            },
            Kind::Folder if text.is_empty() => wrong("the path of a folder"),
            Kind::File if text.is_empty() => Ok(Self::None),
            Kind::Folder | Kind::File => Ok(Self::Path(text.into())),
            Kind::Url if text.is_empty() => Ok(Self::None),
            Kind::Url => Ok(Self::Url(Url::parse(text)?)),
            Kind::Pairs => Ok(Self::pairs(Pairs::parse(text)?)),
            Kind::Text if text.is_empty() => Ok(Self::None),
            Kind::Text if text.len() > NAME || text.chars().any(char::is_control) => {
                wrong(&format!("a name of at most {NAME} bytes"))
            }
            Kind::Text => Ok(Self::Text(text.to_owned())),
            Kind::List => {
                let names = text
                    .split(',')
                    .map(str::trim)
                    .filter(|name| !name.is_empty());
                Ok(Self::list(names.map(str::to_owned).collect()))
            }
            Kind::Rules(_) if text.is_empty() => Ok(Self::None),
            Kind::Rules(form) => Ok(Self::rules(rules::read_text(form, text)?)),
            Kind::Listen if text == "off" => Ok(Self::None),
            Kind::Listen => match text.parse() {
                Ok(address) => Ok(Self::Listen(address)),
                Err(_) => wrong(
                    "an address with a port (127.0.0.1:7071, [::1]:7071, 0.0.0.0:7071) or off",
                ),
            },
            Kind::Level => match super::super::logs::filter(text) {
                Some(_) => Ok(Self::Level(text.to_owned())),
                None => wrong(
                    "error, warn, info, debug, trace or off, or directives such as \
                     info,strata::export=debug",
                ),
            },
        }
    }

    pub fn pairs(pairs: Pairs) -> Self {
        if pairs.is_empty() {
            Self::None
        } else {
            Self::Pairs(pairs)
        }
    }

    pub fn list(names: Vec<String>) -> Self {
        if names.is_empty() {
            Self::None
        } else {
            Self::List(names)
        }
    }

    pub fn rules(rules: Rules) -> Self {
        if rules.0.is_empty() {
            Self::None
        } else {
            Self::Rules(rules)
        }
    }

    /// Of a setting that is made of rules; none for others.
    pub fn each_rule(&self) -> &[rules::Rule] {
        match self {
            Self::Rules(rules) => &rules.0,
            _ => &[],
        }
    }

    /// Whether there is something in it that is not for everybody.
    pub fn has_secret(&self, secret: bool) -> bool {
        match self {
            Self::Url(url) => url.has_password(),
            Self::None => false,
            _ => secret,
        }
    }
}

/// As text, less what is secret; pairs lose their values.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::Number(number) => write!(f, "{number}"),
            Self::Duration(duration) => f.write_str(&units::show_duration(*duration)),
            Self::Size(size) => f.write_str(&units::show_size(*size)),
            Self::Switch(switch) => write!(f, "{switch}"),
            Self::Choice(choice) => f.write_str(choice),
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Url(url) => write!(f, "{url}"),
            Self::Pairs(pairs) => write!(f, "{pairs}"),
            Self::Text(text) => f.write_str(text),
            Self::List(names) => f.write_str(&names.join(",")),
            Self::Listen(address) => write!(f, "{address}"),
            Self::Level(level) => f.write_str(level),
            Self::Rules(rules) => write!(f, "{rules}"),
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::SETTINGS;
    use super::*;

    #[test]
    fn defaults_and_examples_are_values() {
        for setting in SETTINGS {
            let default = match setting.default {
                "" => Value::None,
                text => Value::parse(setting.kind, text).unwrap(),
            };
            let example = Value::parse(setting.kind, setting.example).unwrap();
            assert_ne!(default, example, "{}", setting.name);
            assert_eq!(default.to_string(), setting.default);
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_what_is_right() {
        let wrong = |name: &str, text: &str| {
            let kind = super::super::table::Setting::of(name).unwrap().kind;
            Value::parse(kind, text).unwrap_err()
        };
        assert!(wrong("rate", "0").contains("from 1 to 100000"));
        assert!(wrong("interval", "10").contains("with its unit"));
        assert!(wrong("store-size", "512").contains("KiB"));
        assert!(wrong("store-size", "1MiB").contains("at least 16MiB"));
        assert!(wrong("inlines", "yes").contains("true or false"));
        assert!(wrong("otlp-protocol", "http/json").contains("grpc or http/protobuf"));
        assert!(wrong("listen", "localhost").contains("off"));
        assert!(wrong("log-level", "loud").contains("error, warn"));
        assert!(wrong("store", "").contains("folder"));
        assert!(wrong("rate", &"9".repeat(9999)).len() < 200);
    }
}
