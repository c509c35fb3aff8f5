//! What was found, for people and for programs.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::process::ProcessReport;
use super::trial;

/// How it stands with one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Ok,
    /// A recording works, and lacks something.
    Warn,
    /// A recording does not work.
    Fail,
    /// It was not tried, since something else is missing.
    Skip,
}

/// One thing that was looked at.
#[derive(Clone, Debug)]
pub struct Finding {
    pub state: State,
    /// What was looked at.
    pub label: String,
    /// What was found.
    pub detail: String,
    /// What to do about it.
    pub remedy: Option<String>,
    /// Shown only to who asks for more.
    pub more: bool,
}

impl Finding {
    pub fn new(state: State, label: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            state,
            label: label.into(),
            detail: detail.into(),
            remedy: None,
            more: false,
        }
    }

    pub fn ok(label: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(State::Ok, label, detail)
    }

    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// Makes it one that is shown only to who asks for more.
    pub fn more(mut self) -> Self {
        self.more = true;
        self
    }
}

/// The part of the machine that a check belongs to, in the order of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    Machine,
    Rights,
    Settings,
    /// What a recording does first, done for a moment.
    Trial,
}

impl Group {
    pub const ALL: [Self; 4] = [Self::Machine, Self::Rights, Self::Settings, Self::Trial];

    pub fn title(self) -> &'static str {
        match self {
            Self::Machine => "Machine",
            Self::Rights => "Rights of this process",
            Self::Settings => "Settings of the kernel",
            Self::Trial => "Trial: what a recording does first",
        }
    }
}

/// A check of the machine. `name` and the form of `value` stay as they are.
#[derive(Clone, Debug)]
pub struct Check {
    pub group: Group,
    pub name: &'static str,
    /// For programs.
    pub value: Value,
    pub finding: Finding,
}

impl Check {
    pub fn new(
        group: Group,
        name: &'static str,
        value: impl Into<Value>,
        finding: Finding,
    ) -> Self {
        Self {
            group,
            name,
            value: value.into(),
            finding,
        }
    }
}

impl Serialize for Check {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let mut map = out.serialize_map(Some(5))?;
        map.serialize_entry("group", &self.group)?;
        map.serialize_entry("state", &self.finding.state)?;
        map.serialize_entry("value", &self.value)?;
        map.serialize_entry("detail", &self.finding.detail)?;
        map.serialize_entry("remedy", &self.finding.remedy)?;
        map.end()
    }
}

/// A program of the kernel side.
#[derive(Clone, Debug, Serialize)]
pub struct Program {
    pub name: String,
    /// Instructions that the verifier processed, of a million that it allows. None before 5.16.
    pub verified_instructions: Option<u32>,
    pub load_ms: Option<f64>,
}

/// All that was found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// This program's version.
    pub strata: &'static str,
    /// Whether a recording would work: nothing failed.
    pub works: bool,
    #[serde(serialize_with = "by_name")]
    pub checks: Vec<Check>,
    pub programs: Vec<Program>,
    pub processes: Vec<ProcessReport>,
}

impl Report {
    pub fn new(checks: Vec<Check>, programs: Vec<Program>, processes: Vec<ProcessReport>) -> Self {
        let failed = |finding: &Finding| finding.state == State::Fail;
        let works = !checks.iter().any(|check| failed(&check.finding))
            && !processes.iter().flat_map(|it| &it.findings).any(failed);
        Self {
            strata: env!("CARGO_PKG_VERSION"),
            works,
            checks,
            programs,
            processes,
        }
    }

    /// What to show, part by part.
    pub fn parts(&self) -> Vec<(String, Vec<Finding>)> {
        let of = |group| {
            let checks = self.checks.iter().filter(move |check| check.group == group);
            checks.map(|check| check.finding.clone()).collect()
        };
        let mut parts: Vec<(String, Vec<Finding>)> = Group::ALL
            .map(|group| (group.title().to_owned(), of(group)))
            .into();
        let programs = self.programs.iter().map(trial::describe).collect();
        parts.push((
            "Programs of the kernel side: verified of a million, time to load".to_owned(),
            programs,
        ));
        let processes = self.processes.iter();
        parts.extend(processes.map(|it| (it.title(), it.findings.clone())));
        parts
    }
}

/// As an object, in the order of the output.
fn by_name<S: Serializer>(checks: &[Check], out: S) -> Result<S::Ok, S::Error> {
    out.collect_map(checks.iter().map(|check| (check.name, check)))
}
