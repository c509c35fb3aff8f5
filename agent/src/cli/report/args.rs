//! Arguments of `strata report`, as they are typed.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::super::args::FormatArg;

const EXAMPLES: &str = "\
Examples:
  What used the CPU in the last ten minutes, as `strata agent` saw it:
      strata report --since 10m
  The same of one process, between two times of today, as a flame graph:
      strata report --since 9:00 --until 9:30 --process web -o web.svg
  A recorded file by source line; several in one picture, by thread:
      strata report profile.otlp --lines -o lines.svg
      strata report mon.pb.gz tue.pb.gz --threads -o both.svg
  Stacks through a function, and only in two processes:
      strata report a.pb.gz --function 'json*' --process 17 --process web -o -
  A service, wherever it runs, and what each of its threads did:
      strata report --label service.name=web --threads -o web.svg
  What changed between two files; between the last 10 minutes and those before:
      strata report --diff before.pb.gz after.pb.gz -o diff.svg
      strata report --diff since=20m,until=10m since=10m
  What two versions of a program do differently:
      strata report --diff label=service.version=1.4 label=service.version=1.5

Names in filters are whole names; * and ? stand for anything (quote them), and
/…/ is a regular expression. The same option again is an alternative, different
options have to fit together; so do labels with different keys. --function keeps
whole stacks that have the function anywhere.

Times are 10m, 2h30m, 1d (ago), 14:30 or 14:30:15 (today, local time),
2026-11-28T14:30 (with Z or +01:00 where it is not local time), or seconds since
1970. --until itself is not part of the time.

Each side of --diff is a file, or options without their dashes: since=, until=,
process=, container=, thread=, function=, label=KEY=VALUE, file=, with commas
between them. Other options hold for both sides. Shares are compared, so that
the sides need not be of the same length. Differences are a flame graph (.svg,
red for more in B, blue for less) or two columns of folded stacks (.folded).

Exit code: 0; 1 if nothing fits or something can't be read; 2 for arguments that
can't be meant.";

const WHAT: &str = "What is shown";
const HOW: &str = "How it is shown";

/// What `strata report` takes.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub struct ReportArgs {
    /// OTLP profiles (.otlp), pprof (.pb.gz, .pprof) or folded stacks (.folded, .txt); - is stdin
    /// [default: what `strata agent` keeps on this machine].
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The store that `strata agent` keeps [default: /var/lib/strata].
    #[arg(long, value_name = "DIR", conflicts_with = "files", help_heading = WHAT)]
    pub store: Option<PathBuf>,
    /// Only samples from this time on: 10m (ago), 14:30, 2026-11-28T14:30.
    #[arg(long, value_name = "TIME", help_heading = WHAT)]
    pub since: Option<String>,
    /// Only samples before this time.
    #[arg(long, value_name = "TIME", help_heading = WHAT)]
    pub until: Option<String>,
    /// Only processes with this name, executable or pid.
    #[arg(long, value_name = "NAME|PID", help_heading = WHAT)]
    pub process: Vec<String>,
    /// Only containers whose ids begin so.
    #[arg(long, value_name = "ID", help_heading = WHAT)]
    pub container: Vec<String>,
    /// Only threads with this name or id.
    #[arg(long, value_name = "NAME|TID", help_heading = WHAT)]
    pub thread: Vec<String>,
    /// Only stacks that have a function of this name.
    #[arg(long, value_name = "NAME", help_heading = WHAT)]
    pub function: Vec<String>,
    /// Only what has this attribute of its process or sample: service.name=web.
    #[arg(long, value_name = "KEY=VALUE", help_heading = WHAT)]
    pub label: Vec<String>,
    /// Compare two sides: files, or options without their dashes (since=20m,until=10m).
    #[arg(long, num_args = 2, value_names = ["A", "B"], help_heading = WHAT)]
    pub diff: Vec<String>,
    /// Output format, if there is one output [default: by its extension; folded for stdout].
    #[arg(short, long, value_enum, help_heading = HOW)]
    pub format: Option<FormatArg>,
    /// Output file; - is stdout. May be given several times.
    #[arg(short, long = "output", value_name = "FILE", help_heading = HOW)]
    pub outputs: Vec<PathBuf>,
    /// Print a table of so many functions [default: 20].
    // A file may come behind it, so that it is not a number yet.
    #[arg(long, value_name = "ROWS", num_args = 0..=1, default_missing_value = "20",
          help_heading = HOW)]
    pub top: Option<String>,
    /// Print the table as JSON, for programs.
    #[arg(long, help_heading = HOW)]
    pub json: bool,
    /// One box for each line, not for each function.
    #[arg(long, help_heading = HOW)]
    pub lines: bool,
    /// One tower for each thread, not for each process.
    #[arg(long, help_heading = HOW)]
    pub threads: bool,
    /// Leave out functions that the compiler put into others.
    #[arg(long, help_heading = HOW)]
    pub no_inlines: bool,
}
