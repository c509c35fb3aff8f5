//! Labels under control: all that is told of a process goes through the operator's rules and then
//! through a budget of values, before the batch is kept.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Instant;

use super::config::Config;
use crate::format::otlp;
use crate::metadata::budget::{Budget, Limits, OTHER, Verdict};
use crate::metadata::pods::Chosen;
use crate::metadata::relabel::{Action, Labels, Refused, Rules};
use crate::metadata::select::Selection;
use crate::profile::{Attribute, Index as _, ProcessIndex, Profile, Value};
use crate::telemetry;

/// By what settings the processes of a batch are labelled.
#[derive(Clone, Debug)]
pub struct Labelling {
    /// What every resource says besides what is known of its process.
    everywhere: Vec<(String, String)>,
    /// What is taken over from pods.
    pub chosen: Chosen,
    /// Which pods are sampled.
    pub selection: Selection,
    rules: Rules,
    pub limits: Limits,
}

/// Labels one batch after the other.
pub struct Labeller {
    budget: Budget,
    /// Samples of processes that rules left out.
    left_out: BTreeMap<Action, u64>,
    refused: Refused,
}

impl Labelling {
    pub fn of(config: &Config) -> Self {
        Self {
            everywhere: config.resource_attributes.clone(),
            chosen: config.chosen.clone(),
            selection: config.selection.clone(),
            rules: config.relabel.clone(),
            limits: config.label_values,
        }
    }
}

impl Labeller {
    pub fn new() -> Self {
        Self {
            budget: Budget::new(Limits {
                values: 0,
                total: 0,
            }),
            left_out: BTreeMap::new(),
            refused: Refused::default(),
        }
    }

    pub fn label(&mut self, profile: &mut Profile, by: &Labelling, now: Instant) {
        self.budget.begin(by.limits, now);
        tell_everywhere(profile, &by.everywhere);
        let samples = samples(profile);
        let mut order: Vec<usize> = (0..samples.len()).filter(|it| samples[*it] > 0).collect();
        // Where the budget ends, those with the most samples have had theirs.
        order.sort_by_key(|position| Reverse(samples[*position]));
        let mut left_out = vec![false; samples.len()];
        for position in order {
            let process = ProcessIndex::new(position as u32);
            otlp::spell_out(profile, process);
            let mut labels = labels(profile, process);
            if let Some(action) = by.rules.apply(&mut labels, &mut self.refused) {
                *self.left_out.entry(action).or_default() += samples[position];
                left_out[position] = true;
                continue;
            }
            labels.retain(|key, value| {
                let verdict = self.budget.admit(key, value, samples[position], now);
                if verdict == Verdict::Other {
                    OTHER.clone_into(value);
                }
                verdict != Verdict::Removed
            });
            write(profile, process, labels);
        }
        if left_out.contains(&true) {
            profile.retain(|key| !left_out[key.process.position()]);
        }
    }

    /// What there is to tell of it.
    pub fn status(&self, limits: Limits) -> telemetry::Labels {
        let spent = self.budget.spent();
        let left_out = self.left_out.iter();
        let refused = [
            ("too_long", self.refused.too_long),
            ("too_many", self.refused.too_many),
        ];
        telemetry::Labels {
            left_out: left_out
                .map(|(action, samples)| (action.name().to_owned(), *samples))
                .collect(),
            refused: refused
                .map(|(cause, count)| (cause.to_owned(), count))
                .into(),
            most: limits.values as u64,
            values: spent.values,
            over: spent.over,
            unchosen: 0,
            all: telemetry::Table {
                name: "label_values",
                used: spent.total,
                most: limits.total as u64,
                evicted: spent.evicted,
            },
        }
    }
}

/// Of each process.
fn samples(profile: &Profile) -> Vec<u64> {
    let mut samples = vec![0_u64; profile.processes().len()];
    for (key, totals) in profile.samples() {
        let of = &mut samples[key.process.position()];
        *of = of.saturating_add(totals.weight);
    }
    samples
}

/// What a process says of itself goes before.
fn tell_everywhere(profile: &mut Profile, everywhere: &[(String, String)]) {
    for (key, value) in everywhere {
        let key = profile.string(key);
        let value = Value::Text(profile.string(value));
        for position in 0..profile.processes().len() {
            let index = ProcessIndex::new(position as u32);
            let attributes = &mut profile.process_mut(index).attributes;
            if !attributes.iter().any(|attribute| attribute.key == key) {
                attributes.push(Attribute { key, value });
            }
        }
    }
}

fn labels(profile: &Profile, process: ProcessIndex) -> Labels {
    let attributes = profile[process].attributes.iter();
    attributes
        .map(|attribute| (profile[attribute.key].to_owned(), text(profile, attribute)))
        .filter(|(key, value)| !key.is_empty() && !value.is_empty())
        .collect()
}

fn text(profile: &Profile, attribute: &Attribute) -> String {
    match attribute.value {
        Value::Text(text) => profile[text].to_owned(),
        Value::Integer(number) => number.to_string(),
    }
}

/// What was not changed stays what it was: a number is no text.
fn write(profile: &mut Profile, process: ProcessIndex, mut labels: Labels) {
    let mut attributes = Vec::with_capacity(labels.len());
    for attribute in profile[process].attributes.clone() {
        let key = profile[attribute.key].to_owned();
        let Some(value) = labels.remove(&key) else {
            continue;
        };
        attributes.push(match text(profile, &attribute) == value {
            true => attribute,
            false => Attribute {
                value: Value::Text(profile.string(&value)),
                ..attribute
            },
        });
    }
    for (key, value) in labels {
        let key = profile.string(&key);
        let value = Value::Text(profile.string(&value));
        attributes.push(Attribute { key, value });
    }
    profile.describe(process, attributes);
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use agent_common::process::ProcessId;

    use super::super::args::AgentArgs;
    use super::super::config::{Loaded, Typed};
    use super::*;
    use crate::profile::{
        ContextId, Event, Measurement, SampleKey, StackId, StringId, UNKNOWN_CPU, ValueType,
    };

    /// As these flags say.
    fn by(flags: &[(&'static str, &str)]) -> Labelling {
        let typed = flags.iter().map(|&(name, text)| Typed {
            name,
            flag: format!("--{name}"),
            text: text.to_owned(),
        });
        let mut args = AgentArgs {
            config: Some(Path::new("/dev/null").to_owned()),
            ..AgentArgs::default()
        };
        args.settings.0 = typed.collect();
        Labelling::of(&Loaded::of(&args, Vec::new()).unwrap().config)
    }

    /// A process for each pod, which has so many samples.
    fn profile(pods: &[(&str, u64)]) -> Profile {
        let mut profile = Profile::new();
        let value = ValueType {
            name: StringId::EMPTY,
            unit: StringId::EMPTY,
        };
        let event = profile.event(Event {
            name: StringId::EMPTY,
            value,
            period: None,
        });
        for (pid, (pod, samples)) in (1..).zip(pods) {
            let process = profile.process(ProcessId {
                pid,
                exec: 0,
                start: 0,
            });
            profile.process_mut(process).name = profile.string("comm");
            let uid = format!("uid-{pod}");
            let said = [("k8s.pod.name", *pod), ("k8s.pod.uid", &*uid)];
            let said = said.map(|(key, value)| Attribute {
                key: profile.string(key),
                value: Value::Text(profile.string(value)),
            });
            profile.describe(process, said.to_vec());
            let key = SampleKey {
                stack: StackId::EMPTY,
                context: ContextId::NONE,
                process,
                thread: profile.thread(process, pid),
                cpu: UNKNOWN_CPU,
                event,
            };
            for time in 0..*samples {
                let measured = Measurement {
                    time,
                    value: 1,
                    weight: 1,
                };
                profile.add(key, measured);
            }
        }
        profile
    }

    /// What is told of each process that has samples, by pid.
    fn told(profile: &Profile) -> BTreeMap<u32, Labels> {
        let with_samples = profile.samples().map(|(key, _)| key.process);
        with_samples
            .map(|process| (profile[process].id.pid, labels(profile, process)))
            .collect()
    }

    fn label(labeller: &mut Labeller, profile: &mut Profile, by: &Labelling) {
        labeller.label(profile, by, Instant::now());
    }

    #[test]
    fn rules_see_all_that_is_told_and_numbers_stay_numbers() {
        let by = by(&[
            ("resource-attributes", "zone=b"),
            (
                "relabel",
                r#"[
                    { source_labels = ["process.pid", "service.name", "zone"], target_label = "all" },
                    { action = "labeldrop", regex = 'process\.title|zone' },
                ]"#,
            ),
        ]);
        let mut profile = profile(&[("web-1", 1)]);
        label(&mut Labeller::new(), &mut profile, &by);
        let told = told(&profile);
        assert_eq!(told[&1]["all"], "1;unknown_service;b");
        assert!(!told[&1].contains_key("process.title") && !told[&1].contains_key("zone"));
        let pid = profile.string("process.pid");
        let mut attributes = profile.processes()[0].attributes.iter();
        let pid = attributes.find(|attribute| attribute.key == pid).unwrap();
        assert_eq!(pid.value, Value::Integer(1));
        let messages = otlp::messages(&profile, &Default::default(), || [1; 16]);
        let has = |text: &str| {
            let mut places = messages.messages[0].bytes.windows(text.len());
            places.any(|place| place == text.as_bytes())
        };
        assert!(has("unknown_service;b") && has("web-1"));
        assert!(!has("comm") && !has("process.title"));
    }

    #[test]
    fn processes_that_rules_leave_out_are_counted_by_action() {
        let by = by(&[(
            "relabel",
            r#"[
                { action = "drop", source_labels = ["k8s.pod.name"], regex = "web-.*" },
                { action = "keep", source_labels = ["k8s.pod.name"], regex = "db-.*" },
            ]"#,
        )]);
        let mut labeller = Labeller::new();
        let mut profile = profile(&[("web-1", 3), ("db-1", 2), ("web-2", 4), ("x", 5)]);
        label(&mut labeller, &mut profile, &by);
        assert_eq!(told(&profile).keys().copied().collect::<Vec<_>>(), [2]);
        let status = labeller.status(by.limits);
        let expected = [("drop".to_owned(), 7), ("keep".to_owned(), 5)];
        assert_eq!(status.left_out, BTreeMap::from(expected));
    }

    #[test]
    fn what_is_over_the_budget_is_other_and_no_id() {
        let by = by(&[("label-values", "2")]);
        let mut labeller = Labeller::new();
        let mut first = profile(&[("a", 1), ("b", 5), ("c", 9)]);
        label(&mut labeller, &mut first, &by);
        let told_first = told(&first);
        assert_eq!(told_first[&2]["k8s.pod.name"], "b");
        assert_eq!(told_first[&2]["k8s.pod.uid"], "uid-b");
        // The one with the fewest samples.
        assert_eq!(told_first[&1]["k8s.pod.name"], "other");
        assert!(!told_first[&1].contains_key("k8s.pod.uid"));
        assert_eq!(told_first[&1]["process.pid"], "1");
        let mut second = profile(&[("a", 9), ("b", 1)]);
        label(&mut labeller, &mut second, &by);
        assert_eq!(told(&second)[&1]["k8s.pod.name"], "other");
        assert_eq!(told(&second)[&2]["k8s.pod.name"], "b");
        let status = labeller.status(by.limits);
        assert_eq!(status.over["k8s.pod.name"], 10);
        assert_eq!(status.over["k8s.pod.uid"], 10);
        assert_eq!((status.all.used, status.most), (5, 2));
    }
}
