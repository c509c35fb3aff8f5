//! Arguments as they are typed.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

use super::agent::args::AgentArgs;
use super::report::args::ReportArgs;

/// Shows where the CPU goes: kernel, native code and Python in one stack, without preparing the
/// target.
#[derive(Debug, Parser)]
#[command(
    name = "strata",
    version,
    about,
    max_term_width = 100,
    after_help = ALL_EXAMPLES
)]
pub struct Args {
    /// Say on stderr what is done; `doctor` shows more.
    #[arg(short, long, global = true)]
    pub verbose: bool,
    #[command(subcommand)]
    pub command: Command,
}

/// What `strata` alone says.
pub const WELCOME: &str = "\
Strata shows where the CPU goes: kernel, native code and Python in one stack.

  sudo strata record -d 10                 the whole machine, for ten seconds
  sudo strata record -p PID                one process, until Ctrl-C
  sudo strata record -- python3 app.py     a command, from its start to its end

Then open flame.svg in a browser. `strata doctor` says whether it works here,
`strata record --help` what else there is.
";

const ALL_EXAMPLES: &str = "\
Examples:
  strata record -d 10                 the whole machine, for ten seconds
  strata record -p 1234               one process, until Ctrl-C
  strata record -- python3 app.py     a command, from its start to its end
  strata help record                  all that a recording can do

Each writes flame.svg, to be opened in a browser.";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Record stacks and write a flame graph.
    Record(RecordArgs),
    /// Show what the agent kept or files hold: tables, pictures, differences.
    Report(ReportArgs),
    /// Record always: keep what was seen for a while, and ship it where it is told to.
    Agent(AgentArgs),
    /// Say what works on this machine, what is missing, and how to get it.
    Doctor(DoctorArgs),
    /// Print what makes a shell complete strata's arguments.
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions {
        /// The shell that is meant.
        shell: clap_complete::Shell,
    },
    /// Write the manual's pages into a folder.
    #[command(hide = true)]
    Man {
        /// Made if it is not there.
        folder: PathBuf,
    },
}

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  strata completions bash > ~/.local/share/bash-completion/completions/strata
  strata completions zsh > ~/.zfunc/_strata    (a folder that is in $fpath)
  strata completions fish > ~/.config/fish/completions/strata.fish";

const EXAMPLES: &str = "\
Examples:
  The whole machine for ten seconds, as an interactive flame graph:
      strata record -d 10 -o flame.svg
  Three processes, for `go tool pprof` and a browser:
      strata record -p 1,22,333 -d 30 -o cpu.pb.gz -o cpu.svg
  One process and its children until Ctrl-C, by source line:
      strata record -p 1234 --children --lines -o flame.svg
  A command, from its first instruction to its end:
      strata record -o flame.svg -- python3 app.py
  A container, as a picture and as text for other tools:
      strata record --container web -d 30 -o web.svg -o web.folded

Signals:
  Ctrl-C ends the recording and writes the result; pressed again, it ends Strata
  without one. `kill -USR1 PID` (Strata's own pid) pauses the recording, and
  `kill -USR2 PID` resumes it.

Commands:
  A command has Strata's input and output. Under sudo it is run as who called
  sudo, and all files that are written are that user's. With -d it may go on
  after the recording. Strata ends when it ends, with its exit code.

Exit code:
  0; that of the command; 1 for failures; 2 for arguments that can't be meant;
  126 and 127 for a command that can't be run or is not there.";

/// Headings of the help.
const TARGET: &str = "What is sampled";
const SAMPLING: &str = "How it is sampled";
const RESULT: &str = "What is written";

/// A rate as it is typed.
fn rate(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(0) => Err("it has to be at least 1, e.g. -r 99".to_owned()),
        Ok(rate) => Ok(rate),
        Err(_) => Err("it is no whole number of samples a second, e.g. -r 99".to_owned()),
    }
}

/// What `strata record` takes.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub struct RecordArgs {
    /// Sample these processes, with all their threads: -p 1,22 or -p 1 -p 22 [default: the whole
    /// machine].
    #[arg(short, long = "pid", value_name = "PID", value_delimiter = ',', help_heading = TARGET)]
    pub pids: Vec<u32>,
    /// Also sample the processes that the sampled ones have started and will start.
    #[arg(long, help_heading = TARGET)]
    pub children: bool,
    /// Sample a container, by its id (12 digits or more) or its name.
    #[arg(long, value_name = "ID|NAME", help_heading = TARGET)]
    pub container: Vec<String>,
    /// Sample a cgroup and all below it, by its directory or its path in /proc/PID/cgroup.
    #[arg(long, value_name = "PATH", help_heading = TARGET)]
    pub cgroup: Vec<PathBuf>,
    /// Samples a second on each CPU, from 1 to the kernel's maximum
    /// (/proc/sys/kernel/perf_event_max_sample_rate).
    #[arg(short, long, value_name = "HZ", default_value_t = 99, value_parser = rate,
          help_heading = SAMPLING)]
    pub rate: u64,
    /// Seconds to record [default: until Ctrl-C, or until the command ends].
    #[arg(short, long, value_name = "SECONDS", help_heading = SAMPLING)]
    pub duration: Option<f64>,
    /// What triggers a sample. Cycles need a hardware counter.
    #[arg(long, value_enum, default_value_t, help_heading = SAMPLING)]
    pub event: EventArg,
    /// Output format, if there is one output [default: by its extension; folded for stdout].
    #[arg(short, long, value_enum, help_heading = RESULT)]
    pub format: Option<FormatArg>,
    /// Output file; - is stdout. May be given several times: -o a.svg -o b.folded.
    #[arg(
        short,
        long = "output",
        value_name = "FILE",
        default_value = "flame.svg",
        help_heading = RESULT
    )]
    pub outputs: Vec<PathBuf>,
    /// One box for each line, not for each function.
    #[arg(long, help_heading = RESULT)]
    pub lines: bool,
    /// One tower for each thread, not for each process.
    #[arg(long, help_heading = RESULT)]
    pub threads: bool,
    /// Show the interpreter's own functions too.
    #[arg(long, help_heading = RESULT)]
    pub native_python: bool,
    /// Show functions that the compiler put into others, where the file tells [default: true].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", conflicts_with = "no_inlines")]
    pub inlines: Option<bool>,
    /// Leave out functions that the compiler put into others.
    #[arg(long, help_heading = RESULT)]
    pub no_inlines: bool,
    /// Write what came of the sampling events to this file, as JSON.
    #[arg(long, value_name = "FILE", help_heading = RESULT)]
    pub stats_json: Option<PathBuf>,
    /// Most native frames of a stack, from 1 to 1024.
    #[arg(long, value_name = "FRAMES", default_value_t = 512, help_heading = SAMPLING,
          value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub depth: u32,
    /// Put file and svma behind the names of native functions.
    #[arg(long, hide = true)]
    pub addresses: bool,
    /// Print what the kernel's verifier went through.
    #[arg(long, hide = true)]
    pub verifier_stats: bool,
    /// Command to start and sample.
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<std::ffi::OsString>,
}

const DOCTOR_EXAMPLES: &str = "\
Exit code: 0 when `strata record` would work, 1 when it would not, 2 for
arguments that are none.

Examples:
  Would a recording work here?
      strata doctor
  What a recording would see in a process: files, names, Python:
      sudo strata doctor -p 1234
  Everything, with what the verifier went through:
      sudo strata doctor -v
  For a script:
      strata doctor --json | jq '.checks[] | select(.state == \"fail\") | .remedy'";

/// What `strata doctor` takes.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(after_help = DOCTOR_EXAMPLES)]
pub struct DoctorArgs {
    /// Also say what a recording would see in these processes.
    #[arg(short, long = "pid", value_name = "PID", value_delimiter = ',')]
    pub pids: Vec<u32>,
    /// Write everything as JSON, for programs.
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum EventArg {
    #[default]
    CpuClock,
    Cycles,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FormatArg {
    /// Interactive SVG for a browser (.svg).
    Flamegraph,
    /// A line a stack, root first, and its count: flamegraph.pl, inferno … (.folded, .txt).
    Folded,
    /// For `go tool pprof`, Pyroscope, Parca (.pb.gz, .pprof).
    Pprof,
    /// For speedscope.app (.speedscope.json).
    Speedscope,
    /// For profiler.firefox.com (.firefox.json).
    Firefox,
    /// OpenTelemetry's profiles, as an OTLP receiver takes them (.otlp).
    Otlp,
}
