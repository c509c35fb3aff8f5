//! Of all that was said, what holds: flags, then STRATA_… variables, then OTEL_… variables, then the
//! file, then defaults.

use std::fmt;

use super::error::{Problem, nearest};
use super::file::Entry;
use super::table::{Kind, SETTINGS, Setting};
use super::value::Value;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Default,
    /// File and line.
    File(String),
    Variable(String),
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(place) => f.write_str(place),
            Self::Variable(name) | Self::Flag(name) => f.write_str(name),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    pub setting: &'static Setting,
    pub value: Value,
    pub origin: Origin,
}

impl PartialEq for Setting {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Setting {}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// A flag as it was typed: which setting, the flag's spelling, the text.
#[derive(Clone, PartialEq, Eq)]
pub struct Typed {
    pub name: &'static str,
    pub flag: String,
    pub text: String,
}

/// Names alone: texts may be secret.
impl fmt::Debug for Typed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.flag)
    }
}

/// Variables that Strata knows and that are no settings: the file's name, and what its tests use.
pub const OTHER_VARIABLES: &[&str] = &["STRATA_CONFIG", "STRATA_LOG"];

/// What holds, a value for each setting, and what is wrong.
pub fn resolve(
    typed: &[Typed],
    variables: &[(String, String)],
    file: &[Entry],
) -> (Vec<Held>, Vec<Problem>) {
    let mut problems = unknown_variables(variables);
    let held = SETTINGS
        .iter()
        .map(|setting| match find(setting, typed, variables, file) {
            Ok(held) => held,
            Err(problem) => {
                problems.push(problem);
                default(setting)
            }
        })
        .collect();
    (held, problems)
}

fn find(
    setting: &'static Setting,
    typed: &[Typed],
    variables: &[(String, String)],
    file: &[Entry],
) -> Result<Held, Problem> {
    let held = |value, origin| Held {
        setting,
        value,
        origin,
    };
    if let Some(typed) = typed.iter().find(|typed| typed.name == setting.name) {
        return match Value::parse(setting.kind, &typed.text) {
            Ok(value) => Ok(held(value, Origin::Flag(typed.flag.clone()))),
            Err(why) => Err(Problem::Value {
                origin: typed.flag.clone(),
                why,
            }),
        };
    }
    if let Some((name, text)) = variable(setting, variables) {
        let of_opentelemetry = name.starts_with("OTEL_");
        let parsed = match setting.kind {
            Kind::Duration { .. } if of_opentelemetry => millis(setting.kind, text),
            Kind::Switch if of_opentelemetry => {
                Value::parse(setting.kind, &text.to_ascii_lowercase())
            }
            kind => Value::parse(kind, text),
        };
        return match parsed {
            Ok(value) => Ok(held(value, Origin::Variable(name.to_owned()))),
            Err(why) => Err(Problem::Value {
                origin: name.to_owned(),
                why,
            }),
        };
    }
    match file.iter().find(|entry| entry.setting == setting) {
        Some(entry) => Ok(held(entry.value.clone(), Origin::File(entry.place.clone()))),
        None => Ok(default(setting)),
    }
}

fn default(setting: &'static Setting) -> Held {
    Held {
        setting,
        // Tests read each default.
        value: Value::parse(setting.kind, setting.default).unwrap_or(Value::None),
        origin: Origin::Default,
    }
}

/// The variable that counts, if one is set. An empty one is not set, as OpenTelemetry has it.
fn variable<'a>(
    setting: &Setting,
    variables: &'a [(String, String)],
) -> Option<(&'a str, &'a str)> {
    let own = setting.variable();
    let mut names = vec![own.as_str()];
    if setting.kind == Kind::Level {
        // What all of Strata's subcommands take.
        names.push("STRATA_LOG");
    }
    names.extend(setting.standard);
    names.into_iter().find_map(|name| {
        let (name, text) = variables.iter().find(|(other, _)| other == name)?;
        (!text.trim().is_empty()).then_some((name.as_str(), text.as_str()))
    })
}

/// OpenTelemetry's durations are plain milliseconds.
fn millis(kind: Kind, text: &str) -> Result<Value, String> {
    let number = text.trim();
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    if is_number {
        return Value::parse(kind, &format!("{number}ms"));
    }
    let shown: String = number.chars().take(60).collect();
    Err(format!(
        "is {shown:?}; it has to be a number of milliseconds"
    ))
}

fn unknown_variables(variables: &[(String, String)]) -> Vec<Problem> {
    let own: Vec<String> = SETTINGS.iter().map(Setting::variable).collect();
    let known = || {
        own.iter()
            .map(String::as_str)
            .chain(OTHER_VARIABLES.iter().copied())
    };
    variables
        .iter()
        .map(|(name, _)| name)
        .filter(|name| name.starts_with("STRATA_") && !is_of_kubernetes(name))
        .filter(|name| !known().any(|known| known == *name))
        .map(|name| Problem::Unknown {
            what: format!("the variable {name}"),
            place: None,
            nearest: nearest(name, known()).map(str::to_owned),
        })
        .collect()
}

/// Kubernetes tells each container of each service in its namespace, and a service may well be named
/// `strata` or `strata-agent`.
fn is_of_kubernetes(name: &str) -> bool {
    let service_port = name
        .split_once("_SERVICE_PORT")
        .is_some_and(|(_, rest)| rest.is_empty() || rest.starts_with('_'));
    let link = name.split_once("_PORT").is_some_and(|(_, rest)| {
        match rest.split('_').collect::<Vec<_>>()[..] {
            [""] => true,
            ["", number, "TCP" | "UDP" | "SCTP", ref rest @ ..] => {
                number.bytes().all(|byte| byte.is_ascii_digit())
                    && matches!(rest, [] | ["ADDR" | "PORT" | "PROTO"])
            }
            _ => false,
        }
    });
    name.ends_with("_SERVICE_HOST") || service_port || link
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[track_caller]
    fn holds(
        name: &str,
        typed: &[Typed],
        environment: &[(&str, &str)],
        file: &[Entry],
    ) -> (String, String) {
        let (held, problems) = resolve(typed, &variables(environment), file);
        assert_eq!(problems, []);
        let held = held.iter().find(|held| held.setting.name == name).unwrap();
        (held.value.to_string(), held.origin.to_string())
    }

    fn pair(value: &str, origin: &str) -> (String, String) {
        (value.to_owned(), origin.to_owned())
    }

    #[test]
    fn what_is_nearer_to_the_agent_goes_before() {
        let setting = Setting::of("otlp-timeout").unwrap();
        let typed = [Typed {
            name: setting.name,
            flag: "--otlp-timeout".to_owned(),
            text: "1s".to_owned(),
        }];
        let environment = [
            ("STRATA_OTLP_TIMEOUT", "2s"),
            ("OTEL_EXPORTER_OTLP_PROFILES_TIMEOUT", "3000"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "4000"),
        ];
        let file = [Entry {
            setting,
            value: Value::parse(setting.kind, "5s").unwrap(),
            place: "x.toml:1".to_owned(),
        }];
        let holds = |typed: &[Typed], environment: &[(&str, &str)], file: &[Entry]| {
            holds(setting.name, typed, environment, file)
        };
        assert_eq!(
            holds(&typed, &environment, &file),
            pair("1s", "--otlp-timeout")
        );
        assert_eq!(
            holds(&[], &environment, &file),
            pair("2s", "STRATA_OTLP_TIMEOUT")
        );
        assert_eq!(
            holds(&[], &environment[1..], &file),
            pair("3s", "OTEL_EXPORTER_OTLP_PROFILES_TIMEOUT")
        );
        assert_eq!(
            holds(&[], &environment[2..], &file),
            pair("4s", "OTEL_EXPORTER_OTLP_TIMEOUT")
        );
        assert_eq!(holds(&[], &[], &file), pair("5s", "x.toml:1"));
        assert_eq!(holds(&[], &[], &[]), pair("10s", "default"));
    }

    #[test]
    fn an_empty_variable_is_not_set() {
        let environment = [("STRATA_RATE", " "), ("OTEL_EXPORTER_OTLP_ENDPOINT", "")];
        assert_eq!(holds("rate", &[], &environment, &[]), pair("19", "default"));
        assert_eq!(
            holds("otlp-endpoint", &[], &environment, &[]),
            pair("", "default")
        );
    }

    #[test]
    fn an_unknown_variable_finds_its_nearest() {
        let environment = variables(&[("STRATA_STORE_SICE", "1GiB"), ("OTEL_WHATEVER", "1")]);
        let (_, problems) = resolve(&[], &environment, &[]);
        let texts: Vec<String> = problems.iter().map(Problem::to_string).collect();
        assert_eq!(
            texts,
            [
                "the variable STRATA_STORE_SICE is no setting of the agent. Is STRATA_STORE_SIZE meant?"
            ]
        );
    }

    #[test]
    fn what_kubernetes_says_of_a_service_is_left_alone() {
        let environment = [
            ("STRATA_SERVICE_HOST", "10.0.0.1"),
            ("STRATA_SERVICE_PORT", "7071"),
            ("STRATA_SERVICE_PORT_HTTP_METRICS", "7071"),
            ("STRATA_PORT", "tcp://10.0.0.1:7071"),
            ("STRATA_PORT_7071_TCP", "tcp://10.0.0.1:7071"),
            ("STRATA_PORT_7071_TCP_PROTO", "tcp"),
            ("STRATA_AGENT_SERVICE_HOST", "10.0.0.1"),
            ("STRATA_AGENT_PORT_7071_TCP_ADDR", "10.0.0.1"),
        ];
        assert_eq!(holds("rate", &[], &environment, &[]).0, "19");
        for wrong in [
            "STRATA_HOST",
            "STRATA_PORTS",
            "STRATA_PORT_X",
            "STRATA_SERVICE",
        ] {
            let (_, problems) = resolve(&[], &variables(&[(wrong, "1")]), &[]);
            assert_eq!(problems.len(), 1, "{wrong}");
        }
    }

    #[test]
    fn wrong_values_name_their_variable_and_no_secret() {
        let environment = variables(&[
            ("STRATA_RATE", "many"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "hunter2"),
            ("STRATA_PUSH_PARCA", "ftp://me:hunter2@there"),
        ]);
        let (_, problems) = resolve(&[], &environment, &[]);
        let texts: Vec<String> = problems.iter().map(Problem::to_string).collect();
        assert_eq!(texts.len(), 4);
        for (name, _) in &environment {
            assert!(texts.iter().any(|text| text.starts_with(name)), "{texts:?}");
        }
        assert!(texts.iter().all(|text| !text.contains("hunter2")));
        assert!(texts.iter().any(|text| text.contains("milliseconds")));
    }
}
