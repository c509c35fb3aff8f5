//! Gives the processes of a batch the names of what is around them: container, pod, workload.
//!
//! On the store's thread, since it may wait: a pod that started a second ago is known a moment later.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::config::{Config, Use};
use crate::metadata::CONTAINER_ID;
use crate::metadata::engine::Engine;
use crate::metadata::kubernetes::{Kubernetes, KubernetesError};
use crate::metadata::pods::{Chosen, Found, NODE_NAME, POD_UID, attributes};
use crate::metadata::select::{Outcome, Selection};
use crate::process::cgroup::own_pod_uid;
use crate::profile::{Attribute, Index as _, ProcessIndex, Profile, Value};

/// Longest time that a batch waits for pods that are not known yet.
const PATIENCE: Duration = Duration::from_secs(3);

/// What can be asked for names.
pub struct Names {
    node: String,
    kubernetes: Option<Arc<Kubernetes>>,
    engine: Option<Engine>,
    patience: Duration,
}

/// Begins to watch the pods of this node, if there are any.
pub fn watch(config: &Config) -> Result<Option<Arc<Kubernetes>>, KubernetesError> {
    let start = || {
        let kubernetes = Kubernetes::start(&config.node_name)?;
        kubernetes.pods().set_around(own_pod_uid());
        Ok(Some(Arc::new(kubernetes)))
    };
    match config.kubernetes {
        Use::Off => Ok(None),
        Use::On => start(),
        Use::Auto if !Kubernetes::is_here() => Ok(None),
        // Names are not worth a machine that is not profiled.
        Use::Auto => match start() {
            Ok(kubernetes) => Ok(kubernetes),
            Err(error) => {
                tracing::warn!("Pods have no names: {error}");
                Ok(None)
            }
        },
    }
}

impl Names {
    pub fn new(config: &Config, kubernetes: Option<Arc<Kubernetes>>) -> Self {
        Self {
            node: config.node_name.clone(),
            kubernetes,
            engine: config.container_engine.clone().map(Engine::new),
            // The next batch must not find this one waiting.
            patience: PATIENCE.min(config.interval / 2),
        }
    }

    /// Writes what is known of the profile's processes into it, and takes out samples of pods that are
    /// not to be sampled: those of the moment before anybody knew whose they are. Gives how many.
    pub fn tell(&mut self, profile: &mut Profile, chosen: &Chosen, selection: &Selection) -> u64 {
        let keys = [CONTAINER_ID, POD_UID].map(|key| profile.string(key));
        let places: Vec<(Option<String>, Option<String>)> = profile
            .processes()
            .iter()
            .map(|process| {
                let [container, pod] = keys.map(|key| text(profile, &process.attributes, key));
                (container, pod)
            })
            .collect();
        if let Some(kubernetes) = &self.kubernetes {
            let in_pods = places.iter().filter(|(_, pod)| pod.is_some());
            let in_pods: HashSet<_> = in_pods.cloned().collect();
            let in_pods: Vec<_> = in_pods.into_iter().collect();
            let until = Instant::now() + self.patience;
            kubernetes.pods().wait(&in_pods, until);
        }
        let mut left_out = vec![false; places.len()];
        for (position, (container, pod)) in places.iter().enumerate() {
            let index = ProcessIndex::new(position as u32);
            let (container, pod) = (container.as_deref(), pod.as_deref());
            let found = match self.pod(container, pod) {
                Some(found) => {
                    left_out[position] = selection.decide(&found.pod).outcome == Outcome::LeftOut;
                    attributes(&found.pod, found.container.as_ref(), chosen)
                }
                None => self.without_pod(container),
            };
            put(profile, index, found);
        }
        take_out(profile, &left_out)
    }

    fn pod(&self, container: Option<&str>, pod: Option<&str>) -> Option<Found> {
        self.kubernetes.as_ref()?.pods().find(container, pod)
    }

    fn without_pod(&mut self, container: Option<&str>) -> Vec<(String, String)> {
        let mut all = match (&mut self.engine, container) {
            (Some(engine), Some(container)) => engine.attributes(container),
            _ => Vec::new(),
        };
        if !self.node.is_empty() {
            all.push((NODE_NAME.to_owned(), self.node.clone()));
        }
        all
    }
}

/// Takes out the samples of these processes. Gives how many.
fn take_out(profile: &mut Profile, left_out: &[bool]) -> u64 {
    if !left_out.contains(&true) {
        return 0;
    }
    let of_them = |process: ProcessIndex| left_out[process.position()];
    let weights = profile
        .samples()
        .filter(|(key, _)| of_them(key.process))
        .map(|(_, totals)| totals.weight);
    let samples = weights.fold(0, u64::saturating_add);
    profile.retain(|key| !of_them(key.process));
    samples
}

fn text(
    profile: &Profile,
    attributes: &[Attribute],
    key: crate::profile::StringId,
) -> Option<String> {
    let attribute = attributes.iter().find(|attribute| attribute.key == key)?;
    match attribute.value {
        Value::Text(text) => Some(profile[text].to_owned()),
        Value::Integer(_) => None,
    }
}

/// Where a process is, it does not know better itself; which service it is, it does.
fn put(profile: &mut Profile, process: ProcessIndex, found: Vec<(String, String)>) {
    for (key, value) in found {
        let goes_before = key.starts_with("k8s.") || key.starts_with("container.");
        let key = profile.string(&key);
        let value = Value::Text(profile.string(&value));
        let attributes = &mut profile.process_mut(process).attributes;
        match attributes.iter_mut().find(|attribute| attribute.key == key) {
            Some(attribute) if goes_before => attribute.value = value,
            Some(_) => {}
            None => attributes.push(Attribute { key, value }),
        }
    }
}

#[cfg(test)]
mod tests {
    use agent_common::process::ProcessId;

    use super::*;

    #[test]
    fn a_process_may_name_its_service_but_not_its_pod() {
        let mut profile = Profile::new();
        let process = profile.process(ProcessId::default());
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let own = vec![pair("service.name", "mine"), pair("k8s.pod.name", "forged")];
        put(&mut profile, process, own);
        let told = vec![
            pair("service.name", "by owner"),
            pair("k8s.pod.name", "real"),
            pair("k8s.pod.label.a", "b"),
        ];
        put(&mut profile, process, told);
        let attributes = &profile[process].attributes;
        let mut all: Vec<(String, String)> = Vec::new();
        for attribute in attributes {
            let value = text(&profile, attributes, attribute.key).expect("a text");
            all.push((profile[attribute.key].to_owned(), value));
        }
        let expected = [
            pair("service.name", "mine"),
            pair("k8s.pod.name", "real"),
            pair("k8s.pod.label.a", "b"),
        ];
        assert_eq!(all, expected);
    }
}
