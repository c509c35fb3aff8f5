//! `receivers/push.py`: takes what is pushed to Pyroscope and to Parca and says what was in it; and the real client of
//! Pyroscope, which pushes there too.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use super::target::Target;
use super::{Problem, cache};

/// A request as the receiver saw it.
#[derive(Clone, Debug, Deserialize)]
pub struct Request {
    pub from: String,
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub series: Vec<Series>,
    /// What the system itself would refuse.
    pub faults: Vec<String>,
    #[serde(default)]
    pub normalized: bool,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Series {
    pub labels: BTreeMap<String, String>,
    pub profiles: Vec<Profile>,
}

/// A pprof.
#[derive(Clone, Debug, Deserialize)]
pub struct Profile {
    pub id: String,
    pub sample_types: Vec<(String, String)>,
    pub period_type: (String, String),
    pub period: u64,
    /// ns since 1970, ns
    pub time: u64,
    pub duration: u64,
    /// Sums of the first type: by process id, and by the functions that are anywhere in a stack.
    pub pids: BTreeMap<String, u64>,
    pub functions: BTreeMap<String, u64>,
}

pub struct Receiver {
    program: Target,
    pub pyroscope: String,
    pub parca: String,
}

fn python(arguments: &[&str]) -> Result<Command, Problem> {
    let python = cache().join("push/bin/python");
    if !python.is_file() {
        return Err(Problem::Skipped(format!(
            "{} is missing (tests/setup.sh brings it)",
            python.display()
        )));
    }
    let mut command = Command::new(python);
    command.arg(script()).args(arguments);
    Ok(command)
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("receivers/push.py")
}

impl Receiver {
    pub fn start() -> Result<Self, Problem> {
        let mut program = Target::spawn(&mut python(&["receive"])?)?;
        let ready = program.line_with("ready")?;
        let mut ports = ready.split(' ').skip(1);
        let mut url = || ports.next().map(|port| format!("http://127.0.0.1:{port}"));
        let (Some(pyroscope), Some(parca)) = (url(), url()) else {
            return Err(format!("the receiver says `{ready}`").into());
        };
        Ok(Self {
            program,
            pyroscope,
            parca,
        })
    }

    /// The next request. Waits for it.
    pub fn request(&mut self) -> Result<Request, Problem> {
        let line = self.program.line_with("{")?;
        let request = serde_json::from_str(&line);
        Ok(request.map_err(|error| format!("{error} in {line}"))?)
    }

    /// All that came so far and was not taken, once the sender has ended.
    pub fn all(&mut self, from: &str) -> Result<Vec<Request>, Problem> {
        self.program.tell("all")?;
        let lines = self.program.lines_to("told")?;
        let requests = lines.iter().map(|line| {
            let request: Result<Request, _> = serde_json::from_str(line);
            request.map_err(|error| Problem::Failed(format!("{error} in {line}")))
        });
        let requests: Vec<Request> = requests.collect::<Result<_, _>>()?;
        Ok(requests.into_iter().filter(|it| it.from == from).collect())
    }

    /// Starts the real client, which pushes until it is dropped.
    pub fn client(&self) -> Result<Target, Problem> {
        Ok(Target::start(&mut python(&["client", &self.pyroscope])?)?)
    }
}
