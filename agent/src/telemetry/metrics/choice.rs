//! What was chosen to be sampled, where there is a choice.

use super::super::Snapshot;
use super::super::exposition::Kind;
use super::list::{List, point};

pub fn choice(list: &mut List, snapshot: &Snapshot) {
    let Some(counts) = &snapshot.status.choice else {
        return;
    };
    let pods = [
        ("sampled", counts.sampled),
        ("own_rate", counts.at_own_rate),
        ("left_out", counts.left_out),
        ("no_cgroup", counts.without_cgroup),
    ];
    list.add(
        Kind::Gauge,
        "strata_pods_chosen",
        "Pods that are there, by what became of the choice.",
        &["choice"],
        pods.into_iter()
            .filter_map(|(choice, count)| point(&[choice], count))
            .collect(),
    );
    list.counter(
        "strata_choice_refused_policies",
        "Pods whose choice the kernel side had no room for.",
        counts.refused,
    );
    list.counter(
        "strata_choice_misspelt_annotations",
        "Annotations of pods that should say what to do and do not.",
        counts.misspelt,
    );
    list.counter(
        "strata_choice_dropped_samples",
        "Samples of pods that are left out, taken before that was known, and dropped.",
        snapshot.status.labels.unchosen,
    );
}
