//! Pods as the API server writes them, reduced to what is used: the rest is never kept.

use std::collections::BTreeMap;

use kube::api::{ApiResource, Object};
use kube::core::ObjectMeta;
use serde::Deserialize;

use crate::metadata::pods::{Container, Owner, Pod};

pub type PodObject = Object<Spec, Status>;

pub fn pod_resource() -> ApiResource {
    resource("", "v1", "Pod", "pods")
}

pub fn resource(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    let api_version = match group {
        "" => version.to_owned(),
        group => format!("{group}/{version}"),
    };
    ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version,
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    node_name: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    init_container_statuses: Option<Vec<ContainerStatus>>,
    container_statuses: Option<Vec<ContainerStatus>>,
    ephemeral_container_statuses: Option<Vec<ContainerStatus>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContainerStatus {
    name: String,
    #[serde(default)]
    image: String,
    #[serde(rename = "containerID")]
    container_id: Option<String>,
    last_state: Option<LastState>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct LastState {
    terminated: Option<Terminated>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Terminated {
    #[serde(rename = "containerID")]
    container_id: Option<String>,
}

/// Most bytes that are kept of a pod's labels, and of its annotations, which may be 256 KiB.
const TEXTS: usize = 8 << 10;
/// Annotations that something hangs on: they come first.
const FIRST: [&str; 3] = [
    "strata.dev/",
    "resource.opentelemetry.io/",
    "kubernetes.io/config.",
];

/// As many as there is room for. One that is left out is as if it were not there: a text that is cut
/// off would be another one.
fn bounded(texts: Option<BTreeMap<String, String>>) -> BTreeMap<String, String> {
    let mut left = TEXTS;
    let mut texts: Vec<(String, String)> = texts.into_iter().flatten().collect();
    texts.sort_by_key(|(key, _)| !FIRST.iter().any(|first| key.starts_with(first)));
    texts.retain(|(key, value)| {
        let bytes = key.len() + value.len();
        let fits = bytes <= left;
        if fits {
            left -= bytes;
        }
        fits
    });
    texts.into_iter().collect()
}

/// None: it has no uid.
pub fn pod(object: PodObject) -> Option<Pod> {
    let PodObject {
        metadata,
        spec,
        status,
        ..
    } = object;
    let status = status.unwrap_or_default();
    let kinds = [
        status.container_statuses,
        status.init_container_statuses,
        status.ephemeral_container_statuses,
    ];
    let owners = controller(&metadata).into_iter().collect();
    Some(Pod {
        uid: metadata.uid?,
        namespace: metadata.namespace.unwrap_or_default(),
        name: metadata.name.unwrap_or_default(),
        node: spec.node_name.unwrap_or_default(),
        labels: bounded(metadata.labels),
        annotations: bounded(metadata.annotations),
        owners,
        containers: kinds
            .into_iter()
            .flatten()
            .flatten()
            .flat_map(containers)
            .collect(),
    })
}

/// The one that runs and the one before it.
fn containers(status: ContainerStatus) -> impl Iterator<Item = Container> {
    let before = status.last_state.and_then(|state| state.terminated);
    let before = before.and_then(|terminated| terminated.container_id);
    let ids = [status.container_id, before].into_iter().flatten();
    ids.filter_map(move |id| {
        // `containerd://<id>`; empty until it runs.
        let id = id.rsplit_once("://").map_or(&*id, |(_, id)| id);
        (!id.is_empty()).then(|| Container {
            id: id.to_owned(),
            name: status.name.clone(),
            image: status.image.clone(),
        })
    })
}

/// What controls an object, if anything does.
pub fn controller(metadata: &ObjectMeta) -> Option<Owner> {
    let mut owners = metadata.owner_references.iter().flatten();
    let owner = owners.find(|owner| owner.controller == Some(true))?;
    Some(Owner {
        kind: owner.kind.clone(),
        name: owner.name.clone(),
        uid: owner.uid.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a kubelet 1.33 writes it, less what is not read.
    const TEXT: &str = r#"{
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "web-5d9c7b-x2x", "namespace": "shop", "uid": "0d2b", "resourceVersion": "7",
            "labels": {"app": "web"}, "managedFields": [{"manager": "kubelet"}],
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "Other", "name": "o", "uid": "1"},
                {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5d9c7b", "uid": "2",
                 "controller": true, "blockOwnerDeletion": true}]
        },
        "spec": {"nodeName": "n1", "containers": [{"name": "app", "image": "web:1"}]},
        "status": {
            "phase": "Running",
            "initContainerStatuses": [{"name": "init", "image": "i:1", "containerID": "containerd://aa"}],
            "containerStatuses": [
                {"name": "app", "image": "web:1", "imageID": "sha256:0", "restartCount": 1,
                 "containerID": "containerd://bb",
                 "lastState": {"terminated": {"containerID": "containerd://cc", "exitCode": 1}},
                 "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}},
                {"name": "side", "image": "s:1", "containerID": "", "lastState": {}}],
            "ephemeralContainerStatuses": null
        }
    }"#;

    #[test]
    fn a_pod_as_it_is_sent() {
        let object: PodObject = serde_json::from_str(TEXT).expect("a pod");
        let pod = pod(object).expect("with a uid");
        assert_eq!((&*pod.uid, &*pod.node), ("0d2b", "n1"));
        assert_eq!((&*pod.namespace, &*pod.name), ("shop", "web-5d9c7b-x2x"));
        assert_eq!(pod.labels["app"], "web");
        assert_eq!(pod.owners.len(), 1);
        assert_eq!(pod.owners[0].name, "web-5d9c7b");
        let containers: Vec<(&str, &str)> = pod
            .containers
            .iter()
            .map(|container| (&*container.id, &*container.name))
            .collect();
        assert_eq!(containers, [("bb", "app"), ("cc", "app"), ("aa", "init")]);
        assert_eq!(pod.containers[0].image, "web:1");
    }

    #[test]
    fn a_pod_that_nothing_is_known_of_yet() {
        let text = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"uid": "u"}, "spec": {}}"#;
        let object: PodObject = serde_json::from_str(text).expect("a pod");
        let pod = pod(object).expect("with a uid");
        assert!(pod.containers.is_empty() && pod.owners.is_empty() && pod.node.is_empty());
    }

    #[test]
    fn what_a_pod_says_is_bounded_and_nothing_is_cut() {
        let mut texts: BTreeMap<String, String> = (0..2000)
            .map(|number| (format!("a/{number}"), "x".repeat(100)))
            .collect();
        texts.insert("a/huge".to_owned(), "x".repeat(TEXTS));
        texts.insert("strata.dev/profile".to_owned(), "false".to_owned());
        let kept = bounded(Some(texts.clone()));
        let bytes: usize = kept
            .iter()
            .map(|(key, value)| key.len() + value.len())
            .sum();
        assert!(bytes <= TEXTS && bytes > TEXTS - 200, "{bytes}");
        assert_eq!(kept["strata.dev/profile"], "false");
        assert!(kept.iter().all(|(key, value)| texts[key] == *value));
        assert!(bounded(None).is_empty());
    }
}
