//! Pods, where they are asked for.

use super::super::Snapshot;
use super::list::{List, owned};

pub fn pods(list: &mut List, snapshot: &Snapshot) {
    let Some(status) = &snapshot.status.kubernetes else {
        return;
    };
    list.gauge(
        "strata_kubernetes_up",
        "Whether this node's pods are known and changes come (1) or not (0).",
        u64::from(status.current),
    );
    list.gauge(
        "strata_kubernetes_pods",
        "Pods that are known, those included that ended in the last ten minutes.",
        status.pods.known as u64,
    );
    list.counter(
        "strata_kubernetes_refused_pods",
        "Pods that found no room.",
        status.pods.refused,
    );
    list.counter(
        "strata_kubernetes_unknown_containers",
        "Containers with samples that no pod had by the time of their batch: sandboxes among them.",
        status.pods.strangers,
    );
    list.counter(
        "strata_kubernetes_missed_changes",
        "Changes of pods that the choice of what is sampled was too slow for.",
        status.pods.missed,
    );
    list.counter(
        "strata_kubernetes_events",
        "What the API server told of pods.",
        status.events,
    );
    list.counter(
        "strata_kubernetes_lists",
        "Whole lists of pods that came.",
        status.lists,
    );
    list.by(
        "strata_kubernetes_errors",
        "Requests to the API server that failed, by cause.",
        &["cause"],
        &owned(&status.errors),
    );
}
