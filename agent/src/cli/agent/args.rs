//! What `strata agent` takes: a flag for each setting of the table, and three of its own.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Args as ClapArgs, Command, FromArgMatches};

use super::config::Typed;
use super::config::table::{Kind, SETTINGS, Setting};

const EXAMPLES: &str = "\
Each setting has the same name everywhere: --store-size 1GiB is
STRATA_STORE_SIZE=1GiB as a variable and store-size = \"1GiB\" in the file. Flags
go before STRATA_ variables, these before OTEL_ variables, these before the
file, and that before defaults.

Examples:
  Keep the last day of this machine in /var/lib/strata:
      strata agent
  And ship it to an OpenTelemetry Collector:
      strata agent --otlp-endpoint http://collector:4317
  Over HTTP and TLS, with a token that may change:
      strata agent --otlp-endpoint https://collector:4318 \\
          --otlp-protocol http/protobuf --otlp-token-file /etc/strata/token
  What holds, and why:
      strata agent --print-config
  Does the one that runs here live?
      strata agent --health

Signals:
  SIGTERM and Ctrl-C end the agent: it keeps what it has, ships for as long as
  --flush-deadline and exits with 0. SIGHUP makes it read its file again.

Exit code:
  0; 1 for failures; 2 for settings that can't be meant.";

#[derive(Clone, Debug, Default, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub struct AgentArgs {
    /// The configuration file [default: /etc/strata/strata.toml, if it is there] [env:
    /// STRATA_CONFIG].
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print all settings and where each came from, as such a file, and end.
    #[arg(long)]
    pub print_config: bool,
    /// Ask the agent that runs here with these settings whether it lives, and end: with 0 or 1.
    #[arg(long, conflicts_with = "print_config")]
    pub health: bool,
    #[command(flatten)]
    pub settings: GivenSettings,
}

impl AgentArgs {
    /// With what `--verbose` means here, unless there is a level.
    pub fn verbose(mut self, verbose: bool) -> Self {
        let has_level = self
            .settings
            .0
            .iter()
            .any(|typed| typed.name == "log-level");
        if verbose && !has_level {
            self.settings.0.push(Typed {
                name: "log-level",
                flag: "--verbose".to_owned(),
                text: "debug".to_owned(),
            });
        }
        self
    }
}

/// Settings that were given as flags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GivenSettings(pub Vec<Typed>);

impl ClapArgs for GivenSettings {
    fn augment_args(command: Command) -> Command {
        command.args(SETTINGS.iter().map(flag))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn flag(setting: &'static Setting) -> Arg {
    let mut notes = String::new();
    if !setting.default.is_empty() {
        notes += &format!(" [default: {}]", setting.default);
    }
    if !setting.standard.is_empty() {
        notes += &format!(" [env: {}]", setting.standard.join(", "));
    }
    let arg = Arg::new(setting.name)
        .long(setting.name)
        .short(setting.short)
        .value_name(value_name(setting.kind))
        .help(format!("{}{notes}", setting.help.trim_end_matches('.')))
        .help_heading(setting.heading);
    match setting.kind {
        Kind::Switch => arg
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true"),
        Kind::Pairs | Kind::List => arg.action(ArgAction::Append),
        _ => arg,
    }
}

fn value_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Number { .. } => "NUMBER",
        Kind::Duration { .. } => "DURATION",
        Kind::Size { .. } => "SIZE",
        Kind::Switch => "BOOL",
        Kind::Choice(_) => "NAME",
        Kind::Folder => "DIR",
        Kind::File => "FILE",
        Kind::Url => "URL",
        Kind::Pairs => "PAIRS",
        Kind::Text => "NAME",
        Kind::List => "NAMES",
        Kind::Listen => "ADDRESS",
        Kind::Level => "LEVEL",
        Kind::Rules(_) => "RULES",
    }
}

impl FromArgMatches for GivenSettings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let typed = SETTINGS.iter().filter_map(|setting| {
            let texts = matches.get_many::<String>(setting.name)?;
            let texts: Vec<&str> = texts.map(String::as_str).collect();
            Some(Typed {
                name: setting.name,
                flag: format!("--{}", setting.name),
                // Only pairs and lists are given several times.
                text: texts.join(","),
            })
        });
        Ok(Self(typed.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::args::{Args, Command};

    fn parsed(arguments: &[&str]) -> Result<AgentArgs, clap::Error> {
        let all = ["strata", "agent"].iter().chain(arguments);
        match Args::try_parse_from(all)?.command {
            Command::Agent(args) => Ok(args),
            _ => panic!("another command"),
        }
    }

    #[test]
    fn each_setting_is_a_flag() {
        for setting in SETTINGS {
            let flag = format!("--{}={}", setting.name, setting.example);
            let args = parsed(&[&flag]).unwrap();
            let [typed] = &args.settings.0[..] else {
                panic!("{flag}");
            };
            assert_eq!((typed.name, &*typed.text), (setting.name, setting.example));
        }
    }

    #[test]
    fn forms_that_people_use() {
        let args = parsed(&["-r", "99", "--native-python", "--otlp-headers", "a=1"]).unwrap();
        let texts: Vec<_> = args.settings.0.iter().map(|typed| &*typed.text).collect();
        assert_eq!(texts, ["99", "true", "a=1"]);
        let args = parsed(&["--otlp-headers", "a=1", "--otlp-headers", "b=2"]).unwrap();
        assert_eq!(args.settings.0[0].text, "a=1,b=2");
        assert!(!format!("{args:?}").contains("a=1"));
    }

    #[test]
    fn an_unknown_flag_names_the_nearest() {
        let error = parsed(&["--stroe-size", "1GiB"]).unwrap_err().to_string();
        assert!(error.contains("--store-size"), "{error}");
    }
}
