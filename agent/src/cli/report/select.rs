//! Which samples are meant: of which time, process, container, thread, function, with which labels.

use std::borrow::Cow;
use std::ops::Range;

use super::pattern::Pattern;
use crate::profile::{
    Attribute, FunctionId, Index as _, Process, Profile, SampleKey, UNKNOWN_CPU, Value,
};

/// The attribute that says which container a process is in.
const CONTAINER: &str = "container.id";

/// Of each list that is not empty one has to fit.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// ns since 1970: from here on, and up to there.
    pub since: Option<u64>,
    pub until: Option<u64>,
    pub processes: Vec<Pattern>,
    /// Beginnings of ids.
    pub containers: Vec<String>,
    pub threads: Vec<Pattern>,
    pub functions: Vec<Pattern>,
    pub labels: Vec<Label>,
}

/// Labels with the same key are alternatives, different keys have to fit together.
#[derive(Clone, Debug)]
pub struct Label {
    pub key: String,
    pub value: Pattern,
}

/// What may not fit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Process,
    Container,
    Thread,
    Function,
    Label(String),
}

impl Selection {
    pub fn window(&self) -> Range<u64> {
        self.since.unwrap_or(0)..self.until.unwrap_or(u64::MAX)
    }

    pub fn is_timed(&self) -> bool {
        self.since.is_some() || self.until.is_some()
    }

    /// Whether everything is meant.
    pub fn is_all(&self) -> bool {
        !self.is_timed() && self.kinds().is_empty()
    }

    /// What is asked for, each kind once.
    pub fn kinds(&self) -> Vec<Kind> {
        let mut kinds = Vec::new();
        let asked = [
            (Kind::Process, !self.processes.is_empty()),
            (Kind::Container, !self.containers.is_empty()),
            (Kind::Thread, !self.threads.is_empty()),
            (Kind::Function, !self.functions.is_empty()),
        ];
        kinds.extend(asked.into_iter().filter(|(_, asked)| *asked).map(|it| it.0));
        for label in &self.labels {
            let kind = Kind::Label(label.key.clone());
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        kinds
    }

    /// What was typed of a kind, for messages.
    pub fn typed(&self, kind: &Kind) -> Vec<&str> {
        match kind {
            Kind::Process => self.processes.iter().map(|it| it.text.as_str()).collect(),
            Kind::Container => self.containers.iter().map(String::as_str).collect(),
            Kind::Thread => self.threads.iter().map(|it| it.text.as_str()).collect(),
            Kind::Function => self.functions.iter().map(|it| it.text.as_str()).collect(),
            Kind::Label(key) => {
                let labels = self.labels.iter().filter(|label| label.key == *key);
                labels.map(|label| label.value.text.as_str()).collect()
            }
        }
    }
}

/// Tells which samples of one profile fit.
pub struct Selector<'a> {
    selection: &'a Selection,
    profile: &'a Profile,
    kinds: Vec<Kind>,
    /// Whether a function fits, once it was looked at.
    functions: Vec<Option<bool>>,
}

impl<'a> Selector<'a> {
    pub fn new(selection: &'a Selection, profile: &'a Profile) -> Self {
        Self {
            selection,
            profile,
            kinds: selection.kinds(),
            functions: vec![None; profile.functions().len()],
        }
    }

    /// Whether a sample fits, whatever its time. `fitting` hears of each kind that does.
    pub fn fits(&mut self, key: &SampleKey, mut fitting: impl FnMut(usize)) -> bool {
        let mut all = true;
        for place in 0..self.kinds.len() {
            if self.kind_fits(place, key) {
                fitting(place);
            } else {
                all = false;
            }
        }
        all
    }

    fn kind_fits(&mut self, place: usize, key: &SampleKey) -> bool {
        let (profile, selection) = (self.profile, self.selection);
        let any = |patterns: &[Pattern], name: &str| patterns.iter().any(|it| it.fits(name));
        match &self.kinds[place] {
            Kind::Function => self.stack_fits(key),
            Kind::Process => {
                let process = &profile[key.process];
                any(&selection.processes, &profile[process.name])
                    || any(&selection.processes, &process.id.pid.to_string())
                    || any(&selection.processes, executable(profile, process))
            }
            Kind::Thread => {
                let thread = &profile[key.thread];
                any(&selection.threads, &profile[thread.name])
                    || any(&selection.threads, &thread.tid.to_string())
            }
            Kind::Container => values(profile, key, CONTAINER).iter().any(|id| {
                let mut wanted = selection.containers.iter();
                wanted.any(|wanted| id.starts_with(wanted.as_str()))
            }),
            Kind::Label(label) => {
                let values = values(profile, key, label);
                let mut wanted = selection.labels.iter().filter(|it| it.key == *label);
                wanted.any(|wanted| values.iter().any(|value| wanted.value.fits(value)))
            }
        }
    }

    fn stack_fits(&mut self, key: &SampleKey) -> bool {
        let profile = self.profile;
        let mut frames = profile.frames_of(key.stack).iter();
        frames.any(|frame| {
            profile[*frame]
                .function
                .is_some_and(|it| self.function_fits(it))
        })
    }

    fn function_fits(&mut self, function: FunctionId) -> bool {
        if let Some(known) = self.functions[function.position()] {
            return known;
        }
        let name = &self.profile[self.profile[function].name];
        let mut patterns = self.selection.functions.iter();
        let fits = patterns.any(|pattern| pattern.fits(name));
        self.functions[function.position()] = Some(fits);
        fits
    }
}

/// What a sample could be found by, of one kind.
pub fn names<'a>(profile: &'a Profile, key: &SampleKey, kind: &Kind) -> Vec<Cow<'a, str>> {
    match kind {
        Kind::Process => vec![(&profile[profile[key.process].name]).into()],
        Kind::Thread => vec![(&profile[profile[key.thread].name]).into()],
        Kind::Container => values(profile, key, CONTAINER),
        Kind::Function => {
            let frames = profile.frames_of(key.stack).iter();
            let functions = frames.filter_map(|frame| profile[*frame].function);
            functions
                .map(|it| (&profile[profile[it].name]).into())
                .collect()
        }
        Kind::Label(label) => values(profile, key, label),
    }
}

/// The keys of all labels of a sample that are attributes of the profile.
pub fn keys<'a>(profile: &'a Profile, key: &SampleKey) -> impl Iterator<Item = &'a str> {
    attributes(profile, key).map(|attribute| &profile[attribute.key])
}

fn attributes<'a>(profile: &'a Profile, key: &SampleKey) -> impl Iterator<Item = &'a Attribute> {
    let process = profile[key.process].attributes.iter();
    process.chain(&*profile[key.context].attributes)
}

/// What a sample says under a label: its own attributes, its process's, and what OpenTelemetry has
/// attributes for and a profile places of its own.
fn values<'a>(profile: &'a Profile, key: &SampleKey, label: &str) -> Vec<Cow<'a, str>> {
    let process = &profile[key.process];
    let thread = &profile[key.thread];
    let known = |number: u32| (number != 0).then(|| number.to_string().into());
    let own: Option<Cow<str>> = match label {
        "process.pid" => known(process.id.pid),
        "process.title" => Some(profile[process.name].into()),
        "process.executable.name" => Some(executable(profile, process).into()),
        "process.executable.path" => process
            .executable
            .map(|it| profile[profile[it].path].into()),
        "thread.id" => known(thread.tid),
        "thread.name" => Some(profile[thread.name].into()),
        "cpu.logical_number" if key.cpu != UNKNOWN_CPU => Some(key.cpu.to_string().into()),
        "trace_id" => profile[key.context]
            .link
            .map(|link| hex(&link.trace_id).into()),
        "span_id" => profile[key.context]
            .link
            .map(|link| hex(&link.span_id).into()),
        _ => None,
    };
    let attributes = attributes(profile, key).filter(|it| profile[it.key] == *label);
    let mut values: Vec<Cow<str>> = attributes.map(|it| text(profile, it.value)).collect();
    values.extend(own);
    values
}

fn text(profile: &Profile, value: Value) -> Cow<'_, str> {
    match value {
        Value::Text(text) => profile[text].into(),
        Value::Integer(number) => number.to_string().into(),
    }
}

/// The name of the file that a process executes; empty if it is not known.
fn executable<'a>(profile: &'a Profile, process: &Process) -> &'a str {
    let path = process
        .executable
        .map_or("", |it| &profile[profile[it].path]);
    path.rsplit('/').next().unwrap_or(path)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
