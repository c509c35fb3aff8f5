//! What the arguments mean.

use std::time::Duration;

use agent_common::filter::{FILTER_CGROUPS, FILTER_CHILDREN, FILTER_PIDS};
use agent_common::kernel::CGROUP_DEFAULT;

use super::args::{EventArg, RecordArgs};
use super::output::{self, Output, OutputError};
use crate::bpf::Event;
use crate::format;
use crate::process::cgroup::Target;
use crate::session::{Bounds, Config, View};

/// Longest recording that is believed to be meant: ten years.
const LONGEST: f64 = 315_360_000.0;

/// Arguments that were understood.
#[derive(Clone, Debug)]
pub struct Settings {
    pub config: Config,
    pub view: View,
    pub options: format::Options,
    pub outputs: Vec<Output>,
    pub duration: Option<Duration>,
    pub targets: Vec<Target>,
}

/// Arguments that can't be meant.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    #[error("--duration must be a positive number of seconds, e.g. -d 10.")]
    Duration,
    #[error(
        "--children needs a process whose children are meant: add -p PID or a command after --."
    )]
    Children,
    #[error(
        "-p, --container and --cgroup can't be combined with a command; leave one of them out."
    )]
    CommandAndTarget,
    #[error("-p can't be combined with --container or --cgroup; leave one of them out.")]
    PidAndCgroup,
    #[error(transparent)]
    Output(#[from] OutputError),
}

impl Settings {
    pub fn resolve(args: &RecordArgs) -> Result<Self, SettingsError> {
        let command = !args.command.is_empty();
        let pids = !args.pids.is_empty();
        let cgroups = !args.container.is_empty() || !args.cgroup.is_empty();
        if command && (pids || cgroups) {
            return Err(SettingsError::CommandAndTarget);
        }
        if pids && cgroups {
            return Err(SettingsError::PidAndCgroup);
        }
        if args.children && !command && !pids {
            return Err(SettingsError::Children);
        }
        let duration = match args.duration {
            Some(seconds) if seconds > 0.0 && seconds < LONGEST => {
                Some(Duration::from_secs_f64(seconds))
            }
            Some(_) => return Err(SettingsError::Duration),
            None => None,
        };
        let mut filter = 0;
        if pids || command {
            filter |= FILTER_PIDS;
        }
        if cgroups {
            filter |= FILTER_CGROUPS;
        }
        // A command's work is often its children's.
        if args.children || command {
            filter |= FILTER_CHILDREN;
        }
        let outputs = output::resolve(&args.outputs, args.format)?;
        let targets = args.container.iter().cloned().map(Target::Container);
        let targets = targets
            .chain(args.cgroup.iter().cloned().map(Target::Cgroup))
            .collect();
        Ok(Self {
            config: Config {
                event: match args.event {
                    EventArg::CpuClock => Event::CpuClock,
                    EventArg::Cycles => Event::Cycles,
                },
                rate: args.rate,
                filter,
                cgroup_subsystem: CGROUP_DEFAULT,
                native_depth: args.depth,
                python_depth: args.depth.saturating_mul(2),
                ring_bytes: 1 << 23,
                table_mib: 64,
                times: outputs.iter().any(|output| output.format.has_times()),
                executables: outputs.iter().any(|output| output.format.has_executables()),
                bounds: Bounds::recording(),
            },
            view: View {
                native_python: args.native_python,
                inlines: inlines(args),
            },
            options: format::Options {
                lines: args.lines,
                threads: args.threads,
                inlines: inlines(args),
                addresses: args.addresses,
            },
            outputs,
            duration,
            targets,
        })
    }
}

/// Whether inlined functions are shown: unless one of the two flags says otherwise.
fn inlines(args: &RecordArgs) -> bool {
    args.inlines.unwrap_or(true) && !args.no_inlines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> RecordArgs {
        RecordArgs {
            outputs: vec!["a.svg".into()],
            rate: 99,
            depth: 512,
            ..RecordArgs::default()
        }
    }

    #[test]
    fn no_target_is_the_whole_machine() {
        let settings = Settings::resolve(&args()).unwrap();
        assert_eq!(settings.config.filter, 0);
        assert_eq!(settings.outputs.len(), 1);
        assert!(settings.options.inlines);
        assert_eq!(settings.duration, None);
    }

    #[test]
    fn a_command_is_sampled_with_its_children() {
        let with = RecordArgs {
            command: vec!["true".into()],
            ..args()
        };
        let settings = Settings::resolve(&with).unwrap();
        assert_eq!(settings.config.filter, FILTER_PIDS | FILTER_CHILDREN);
    }

    #[test]
    fn targets_exclude_each_other() {
        let with = RecordArgs {
            command: vec!["true".into()],
            pids: vec![1],
            ..args()
        };
        assert_eq!(
            Settings::resolve(&with).unwrap_err(),
            SettingsError::CommandAndTarget
        );
        let with = RecordArgs {
            pids: vec![1],
            container: vec!["a".into()],
            ..args()
        };
        assert_eq!(
            Settings::resolve(&with).unwrap_err(),
            SettingsError::PidAndCgroup
        );
        let with = RecordArgs {
            children: true,
            ..args()
        };
        assert_eq!(
            Settings::resolve(&with).unwrap_err(),
            SettingsError::Children
        );
    }

    #[test]
    fn inlined_functions_are_shown_unless_a_flag_says_otherwise() {
        use clap::{Args, Command, FromArgMatches};
        let shown = |flags: &[&str]| {
            let command = RecordArgs::augment_args(Command::new("record"));
            let words = [&["record"], flags].concat();
            let matches = command.try_get_matches_from(words).ok()?;
            Some(inlines(&RecordArgs::from_arg_matches(&matches).ok()?))
        };
        assert_eq!(shown(&["-d", "1"]), Some(true));
        assert_eq!(shown(&["--inlines"]), Some(true));
        assert_eq!(shown(&["--inlines=true"]), Some(true));
        assert_eq!(shown(&["--inlines=false"]), Some(false));
        assert_eq!(shown(&["--no-inlines"]), Some(false));
        assert_eq!(shown(&["--inlines", "--no-inlines"]), None);
    }

    #[test]
    fn a_duration_is_positive() {
        for seconds in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let with = RecordArgs {
                duration: Some(seconds),
                ..args()
            };
            assert_eq!(
                Settings::resolve(&with).unwrap_err(),
                SettingsError::Duration
            );
        }
    }
}
