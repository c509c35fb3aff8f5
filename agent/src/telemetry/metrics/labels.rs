//! Labels of processes: rules and budget.

use super::super::Snapshot;
use super::super::exposition::Kind;
use super::list::{List, POINTS, point};

pub fn labels(list: &mut List, snapshot: &Snapshot) {
    let labels = &snapshot.status.labels;
    list.by(
        "strata_relabel_left_out_samples",
        "Samples of processes that a relabel rule left out, by the rule's action.",
        &["action"],
        &labels.left_out,
    );
    list.by(
        "strata_relabel_refused_labels",
        "Labels that a relabel rule would have made and that were left as they were, by cause.",
        &["cause"],
        &labels.refused,
    );
    let values = labels.values.iter().take(POINTS);
    list.add(
        Kind::Gauge,
        "strata_label_values",
        "Values of a label that are let through; of the labels that have most.",
        &["key"],
        values
            .filter_map(|(key, values)| point(&[key], *values))
            .collect(),
    );
    list.gauge(
        "strata_label_values_limit",
        "Most values of one label that are let through.",
        labels.most,
    );
    list.by(
        "strata_label_over_budget_samples",
        "Samples whose value of a label was over the budget: it became `other`, or an id was removed.",
        &["key"],
        &labels.over,
    );
}
