//! What a pod makes known of its processes, by OpenTelemetry's names: the semantic conventions for
//! `k8s` and `container`, and their rules for `service.name` on Kubernetes.

use super::pod::{Container, Pod};
use crate::metadata::SERVICE_NAME;

pub const POD_UID: &str = "k8s.pod.uid";
pub const NODE_NAME: &str = "k8s.node.name";
const SERVICE_NAMESPACE: &str = "service.namespace";

/// Annotations that set a resource attribute.
const RESOURCE: &str = "resource.opentelemetry.io/";
/// What others than the pod's owner know of it is not taken from its annotations.
const SEEN: [&str; 3] = ["k8s.", "container.", "process."];
/// Labels that name a service, the better one first.
const NAME_LABELS: [&str; 2] = ["app.kubernetes.io/instance", "app.kubernetes.io/name"];

/// Owners that have an attribute, the one that names a service before others first.
const OWNERS: [(&str, &str); 6] = [
    ("Deployment", "k8s.deployment.name"),
    ("ReplicaSet", "k8s.replicaset.name"),
    ("StatefulSet", "k8s.statefulset.name"),
    ("DaemonSet", "k8s.daemonset.name"),
    ("CronJob", "k8s.cronjob.name"),
    ("Job", "k8s.job.name"),
];

/// Which labels and annotations become attributes; `*` stands for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chosen {
    pub labels: Vec<String>,
    pub annotations: Vec<String>,
}

/// All attributes of a process in this container of a pod. The first of a key counts.
pub fn attributes(
    pod: &Pod,
    container: Option<&Container>,
    chosen: &Chosen,
) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    let mut add = |key: &str, value: &str| {
        if !value.is_empty() {
            all.push((key.to_owned(), value.to_owned()));
        }
    };
    add("k8s.namespace.name", &pod.namespace);
    add("k8s.pod.name", &pod.name);
    add(POD_UID, &pod.uid);
    add(NODE_NAME, &pod.node);
    for owner in &pod.owners {
        if let Some((_, key)) = OWNERS.iter().find(|(kind, _)| *kind == owner.kind) {
            add(key, &owner.name);
        }
    }
    if let Some(container) = container {
        add("k8s.container.name", &container.name);
        let (name, tag) = image(&container.image);
        add("container.image.name", name);
        add("container.image.tags", tag);
    }
    for (key, value) in &pod.annotations {
        match key.strip_prefix(RESOURCE) {
            Some(key) if !SEEN.iter().any(|seen| key.starts_with(seen)) => add(key, value),
            _ => {}
        }
    }
    add(SERVICE_NAME, service_name(pod));
    add(SERVICE_NAMESPACE, &pod.namespace);
    for (key, value) in &pod.labels {
        if is_chosen(&chosen.labels, key) {
            add(&format!("k8s.pod.label.{key}"), value);
        }
    }
    for (key, value) in &pod.annotations {
        if is_chosen(&chosen.annotations, key) {
            add(&format!("k8s.pod.annotation.{key}"), value);
        }
    }
    all
}

fn is_chosen(chosen: &[String], key: &str) -> bool {
    chosen.iter().any(|own| own == key || own == "*")
}

/// The service that a pod without a name of its own for it is part of.
fn service_name(pod: &Pod) -> &str {
    let label = NAME_LABELS.iter().find_map(|label| pod.labels.get(*label));
    let owner = || {
        OWNERS.iter().find_map(|(kind, _)| {
            let owner = pod.owners.iter().find(|owner| owner.kind == *kind)?;
            Some(&owner.name)
        })
    };
    label
        .filter(|name| !name.is_empty())
        .or_else(owner)
        .unwrap_or(&pod.name)
}

/// Name and tag of an image: `registry:5000/team/web:1.2@sha256:…` is of tag `1.2`.
pub fn image(reference: &str) -> (&str, &str) {
    let reference = reference.split('@').next().unwrap_or_default();
    match reference.rsplit_once(':') {
        // What follows the registry's port has a slash.
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (reference, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::super::pod::Owner;
    use super::*;

    fn owner(kind: &str, name: &str) -> Owner {
        Owner {
            kind: kind.to_owned(),
            name: name.to_owned(),
            uid: format!("uid of {name}"),
        }
    }

    fn pod() -> Pod {
        Pod {
            uid: "u".to_owned(),
            namespace: "shop".to_owned(),
            name: "web-5d9c7b-x2x".to_owned(),
            node: "n1".to_owned(),
            owners: vec![
                owner("ReplicaSet", "web-5d9c7b"),
                owner("Deployment", "web"),
            ],
            ..Pod::default()
        }
    }

    fn value<'a>(all: &'a [(String, String)], key: &str) -> Option<&'a str> {
        let found = all.iter().find(|(own, _)| own == key);
        found.map(|(_, value)| value.as_str())
    }

    #[test]
    fn a_pod_of_a_deployment() {
        let container = Container {
            id: "c".to_owned(),
            name: "app".to_owned(),
            image: "reg:5000/shop/web:1.2@sha256:00".to_owned(),
        };
        let all = attributes(&pod(), Some(&container), &Chosen::default());
        let value = |key| value(&all, key);
        assert_eq!(value("k8s.namespace.name"), Some("shop"));
        assert_eq!(value("k8s.pod.name"), Some("web-5d9c7b-x2x"));
        assert_eq!(value("k8s.pod.uid"), Some("u"));
        assert_eq!(value("k8s.node.name"), Some("n1"));
        assert_eq!(value("k8s.replicaset.name"), Some("web-5d9c7b"));
        assert_eq!(value("k8s.deployment.name"), Some("web"));
        assert_eq!(value("k8s.container.name"), Some("app"));
        assert_eq!(value("container.image.name"), Some("reg:5000/shop/web"));
        assert_eq!(value("container.image.tags"), Some("1.2"));
        assert_eq!(value("service.name"), Some("web"));
        assert_eq!(value("service.namespace"), Some("shop"));
        assert_eq!(value("k8s.job.name"), None);
    }

    #[test]
    fn a_service_is_named_by_what_is_most_particular() {
        let mut pod = pod();
        let name = |pod: &Pod| {
            let all = attributes(pod, None, &Chosen::default());
            value(&all, "service.name").map(str::to_owned)
        };
        let set = |pod: &mut Pod, key: &str, value: &str| {
            pod.labels.insert(key.to_owned(), value.to_owned());
        };
        set(&mut pod, "app.kubernetes.io/name", "by-name");
        assert_eq!(name(&pod).as_deref(), Some("by-name"));
        set(&mut pod, "app.kubernetes.io/instance", "by-instance");
        assert_eq!(name(&pod).as_deref(), Some("by-instance"));
        let key = "resource.opentelemetry.io/service.name".to_owned();
        pod.annotations.insert(key, "by-annotation".to_owned());
        assert_eq!(name(&pod).as_deref(), Some("by-annotation"));
        let alone = Pod {
            owners: Vec::new(),
            labels: Default::default(),
            annotations: Default::default(),
            ..pod
        };
        assert_eq!(name(&alone).as_deref(), Some("web-5d9c7b-x2x"));
    }

    #[test]
    fn annotations_set_attributes_but_those_that_others_know() {
        let mut pod = pod();
        for key in [
            "deployment.environment.name",
            "k8s.pod.name",
            "k8s.cluster.name",
            "container.id",
            "process.pid",
        ] {
            pod.annotations
                .insert(format!("{RESOURCE}{key}"), "claimed".to_owned());
        }
        let all = attributes(&pod, None, &Chosen::default());
        let claimed: Vec<_> = all.iter().filter(|(_, value)| value == "claimed").collect();
        assert_eq!(claimed, [&all[all.len() - 3]]);
        assert_eq!(claimed[0].0, "deployment.environment.name");
    }

    #[test]
    fn labels_and_annotations_only_if_chosen() {
        let mut pod = pod();
        pod.labels.insert("tier".to_owned(), "front".to_owned());
        pod.labels.insert("secret".to_owned(), "no".to_owned());
        pod.annotations.insert("team".to_owned(), "a".to_owned());
        let mut chosen = Chosen {
            labels: vec!["tier".to_owned()],
            annotations: Vec::new(),
        };
        let all = attributes(&pod, None, &chosen);
        assert_eq!(value(&all, "k8s.pod.label.tier"), Some("front"));
        assert_eq!(value(&all, "k8s.pod.label.secret"), None);
        assert_eq!(value(&all, "k8s.pod.annotation.team"), None);
        chosen.annotations.push("*".to_owned());
        let all = attributes(&pod, None, &chosen);
        assert_eq!(value(&all, "k8s.pod.annotation.team"), Some("a"));
    }

    #[test]
    fn images() {
        assert_eq!(image("busybox"), ("busybox", ""));
        assert_eq!(image("busybox:1"), ("busybox", "1"));
        assert_eq!(image("localhost:5000/x"), ("localhost:5000/x", ""));
        assert_eq!(image("a/b@sha256:12"), ("a/b", ""));
        assert_eq!(image(""), ("", ""));
    }
}
