//! What `strata agent` is told: by flags, variables and a file. `table` lists the settings, `file`
//! and `resolve` find out what holds, `show` tells it; this file makes of it what the agent takes.

mod destinations;
#[cfg(test)]
mod documented;
mod error;
mod file;
mod pairs;
mod relabel;
mod resolve;
mod rules;
mod select;
mod show;
pub mod table;
mod units;
mod url;
mod value;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use error::ConfigError;
use error::Problem;
pub use resolve::Typed;
use resolve::{Held, resolve};
use value::Value;

use super::args::AgentArgs;
use super::chooser::Wanted;
use crate::export::Destination;
use crate::metadata::budget::Limits as LabelLimits;
use crate::metadata::pods::Chosen;
use crate::metadata::relabel::Rules;
use crate::metadata::select::Selection;
use crate::session::View;
use crate::store::Limits;

/// The agent's settings, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub rate: u64,
    /// Which pods are sampled.
    pub selection: Selection,
    /// Whether what is in no pod is.
    pub profile_host: bool,
    /// How long a batch is collected.
    pub interval: Duration,
    pub native_python: bool,
    pub inlines: bool,
    /// Of everything that is recorded; what is known of a process itself goes before.
    pub resource_attributes: Vec<(String, String)>,
    /// Over the attributes of each process.
    pub relabel: Rules,
    /// Most values that they have.
    pub label_values: LabelLimits,
    pub kubernetes: Use,
    /// Empty: not known.
    pub node_name: String,
    /// What becomes attributes.
    pub chosen: Chosen,
    /// Docker's or podman's socket.
    pub container_engine: Option<PathBuf>,
    /// The store's folder.
    pub store: PathBuf,
    pub store_size: u64,
    pub store_age: Duration,
    pub destinations: Vec<Destination>,
    /// Where telemetry is served, if anywhere.
    pub listen: Option<SocketAddr>,
    pub flush_deadline: Duration,
    /// For [`super::logs`].
    pub log_level: String,
    pub log_format: LogFormat,
}

/// Whether something is used that may not be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    Auto,
    On,
    Off,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

impl Config {
    pub fn view(&self) -> View {
        View {
            native_python: self.native_python,
            inlines: self.inlines,
        }
    }

    /// What is to be sampled.
    pub fn wanted(&self) -> Wanted {
        Wanted {
            rate: self.rate,
            selection: self.selection.clone(),
            host: self.profile_host,
        }
    }

    pub fn limits(&self) -> Limits {
        Limits {
            bytes: self.store_size,
            age: self.store_age,
        }
    }

    fn of(values: &Values<'_>) -> Self {
        Self {
            rate: values.number("rate"),
            selection: Selection {
                only_chosen: values.choice("profile-pods") == "annotated",
                rules: select::rules(values.get("select")),
            },
            profile_host: values.switch("profile-host"),
            interval: values.duration("interval"),
            native_python: values.switch("native-python"),
            inlines: values.switch("inlines"),
            resource_attributes: values.pairs("resource-attributes"),
            relabel: relabel::rules(values.get("relabel")),
            label_values: LabelLimits {
                values: values.count("label-values"),
                total: values.count("label-values-total"),
            },
            kubernetes: match values.choice("kubernetes") {
                "on" => Use::On,
                "off" => Use::Off,
                _ => Use::Auto,
            },
            node_name: values.text("node-name"),
            chosen: Chosen {
                labels: values.list("pod-labels"),
                annotations: values.list("pod-annotations"),
            },
            container_engine: values.path("container-engine"),
            store: values.path("store").unwrap_or_default(),
            store_size: values.number("store-size"),
            store_age: values.duration("store-age"),
            destinations: destinations::of(values),
            listen: values.listen("listen"),
            flush_deadline: values.duration("flush-deadline"),
            log_level: values.get("log-level").to_string(),
            log_format: match values.choice("log-format") {
                "json" => LogFormat::Json,
                _ => LogFormat::Text,
            },
        }
    }
}

/// What holds, by name. Tests see that each name is in the table and each setting is asked for.
struct Values<'a>(&'a [Held]);

impl Values<'_> {
    fn held(&self, name: &str) -> Option<&Held> {
        self.0.iter().find(|held| held.setting.name == name)
    }

    fn get(&self, name: &str) -> &Value {
        self.held(name).map_or(&Value::None, |held| &held.value)
    }

    fn number(&self, name: &str) -> u64 {
        match self.get(name) {
            Value::Number(number) | Value::Size(number) => *number,
            _ => 0,
        }
    }

    fn count(&self, name: &str) -> usize {
        usize::try_from(self.number(name)).unwrap_or(usize::MAX)
    }

    fn duration(&self, name: &str) -> Duration {
        match self.get(name) {
            Value::Duration(duration) => *duration,
            _ => Duration::ZERO,
        }
    }

    fn switch(&self, name: &str) -> bool {
        matches!(self.get(name), Value::Switch(true))
    }

    fn choice(&self, name: &str) -> &'static str {
        match self.get(name) {
            Value::Choice(choice) => choice,
            _ => "",
        }
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        match self.get(name) {
            Value::Path(path) => Some(path.clone()),
            _ => None,
        }
    }

    fn text(&self, name: &str) -> String {
        match self.get(name) {
            Value::Text(text) => text.clone(),
            _ => String::new(),
        }
    }

    fn list(&self, name: &str) -> Vec<String> {
        match self.get(name) {
            Value::List(names) => names.clone(),
            _ => Vec::new(),
        }
    }

    fn pairs(&self, name: &str) -> Vec<(String, String)> {
        match self.get(name) {
            Value::Pairs(pairs) => pairs.0.clone(),
            _ => Vec::new(),
        }
    }

    fn listen(&self, name: &str) -> Option<SocketAddr> {
        match self.get(name) {
            Value::Listen(address) => Some(*address),
            _ => None,
        }
    }
}

/// Settings and where they came from, to be read again.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub config: Config,
    /// What is not wrong and hardly meant.
    pub warnings: Vec<String>,
    args: AgentArgs,
    variables: Vec<(String, String)>,
    file: Option<PathBuf>,
    held: Vec<Held>,
    /// How often the clock fires, which can't change.
    base: u64,
}

/// What came of reading settings again, by the settings' names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// These have other values now.
    pub taken: Vec<&'static str>,
    /// These would have, and can't change while the agent runs.
    pub refused: Vec<&'static str>,
}

impl Changes {
    pub fn log(&self) {
        if !self.refused.is_empty() {
            let names = self.refused.join(", ");
            tracing::warn!("{names} can't change while the agent runs: restart it");
        }
        match &self.taken[..] {
            [] => tracing::info!("the settings were read again, and none changed"),
            taken => tracing::info!("the settings were read again: {} changed", taken.join(", ")),
        }
    }
}

impl Loaded {
    /// Reads everything that there is.
    pub fn new(args: &AgentArgs) -> Result<Self, ConfigError> {
        // A variable that is no text is none of ours, or becomes unknown under its name.
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            let value = value.to_string_lossy().into_owned();
            Some((name.into_string().ok()?, value))
        });
        Self::of(args, variables.collect())
    }

    pub(super) fn of(
        args: &AgentArgs,
        variables: Vec<(String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut warnings = Vec::new();
        let file = find_file(args, &variables)?;
        let mut problems = Vec::new();
        let mut entries = Vec::new();
        if let Some((path, text)) = &file {
            match file::parse(path, &text.text) {
                Ok(parsed) => entries = parsed,
                Err(wrong) => problems = wrong,
            }
            let secret = |entry: &file::Entry| entry.value.has_secret(entry.setting.secret);
            if text.open_to_all && entries.iter().any(secret) {
                warnings.push(format!(
                    "{0} has secrets in it and every user may read it: chmod o-r {0}",
                    path.display()
                ));
            }
        }
        let (held, wrong) = resolve(&args.settings.0, &variables, &entries);
        problems.extend(wrong);
        if !problems.is_empty() {
            return Err(ConfigError { problems });
        }
        let values = Values(&held);
        warnings.extend(destinations::warnings(&values));
        let config = Config::of(&values);
        Ok(Self {
            base: config.wanted().highest_rate(),
            config,
            warnings,
            args: args.clone(),
            variables,
            file: file.map(|(path, _)| path),
            held,
        })
    }

    /// Reads the file again; flags and variables are what they were. When something is wrong
    /// nothing changes.
    pub fn reload(&mut self) -> Result<Changes, ConfigError> {
        let mut new = Self::of(&self.args, self.variables.clone())?;
        let rate = new.config.selection.highest_rate().map_or(0, u64::from);
        if rate > self.base {
            return Err(ConfigError::from(Problem::Value {
                origin: "select".to_owned(),
                why: format!(
                    "has a rule with {rate} samples a second; since its start this agent takes at \
                     most {}: restart it, or give a lower rate",
                    self.base
                ),
            }));
        }
        new.base = self.base;
        let mut changes = Changes::default();
        for (old, new) in self.held.iter().zip(&mut new.held) {
            if old.value == new.value {
                continue;
            }
            if old.setting.live {
                changes.taken.push(old.setting.name);
            } else {
                changes.refused.push(old.setting.name);
                new.clone_from(old);
            }
        }
        new.config = Config::of(&Values(&new.held));
        *self = new;
        Ok(changes)
    }

    /// Samples a second of each CPU that the agent was started with: the highest rate of all that it
    /// samples.
    pub fn base(&self) -> u64 {
        self.base
    }

    /// For `--print-config`.
    pub fn show(&self) -> String {
        show::show(&self.held, self.file.as_deref())
    }
}

/// The file that is named, or the usual one if it is there.
fn find_file(
    args: &AgentArgs,
    variables: &[(String, String)],
) -> Result<Option<(PathBuf, file::Text)>, ConfigError> {
    let variable = variables
        .iter()
        .find(|(name, value)| name == "STRATA_CONFIG" && !value.is_empty());
    let (path, by) = match (&args.config, variable) {
        (Some(path), _) => (path.clone(), Some("--config")),
        (None, Some((name, value))) => (value.into(), Some(name.as_str())),
        (None, None) => (file::DEFAULT.into(), None),
    };
    match file::read(&path) {
        Ok(text) => Ok(Some((path, text))),
        Err(error) if by.is_none() && error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            let by = by.map_or(String::new(), |by| format!(" ({by})"));
            let why = format!(
                "The configuration file {}{by} can't be read: {error}.",
                path.display()
            );
            Err(Problem::File(why).into())
        }
    }
}

#[cfg(test)]
mod tests;
