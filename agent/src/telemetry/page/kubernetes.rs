//! The section on pods, where they are asked for.

use super::super::Snapshot;
use super::super::escape::Shown;
use super::sections::{facts, section};
use super::units::whole;

pub fn write(snapshot: &Snapshot) -> String {
    let Some(status) = &snapshot.status.kubernetes else {
        return String::new();
    };
    let pods = &status.pods;
    let mut rows = vec![
        (
            "pods that are there",
            whole((pods.known - pods.gone) as u64),
        ),
        ("pods that ended lately", whole(pods.gone as u64)),
        ("pods that found no room", whole(pods.refused)),
        ("containers that no pod had", whole(pods.strangers)),
        ("changes that were told", whole(status.events)),
        ("whole lists that came", whole(status.lists)),
    ];
    for (cause, count) in &status.errors {
        rows.push((cause, whole(*count)));
    }
    let mut content = facts(&rows);
    if let Some(error) = &status.last_error {
        content += &format!("<p class=\"bad\">{}</p>", Shown(error));
    }
    let about = if status.current {
        format!(
            "Of node {}, as the API server tells; all are known.",
            Shown(&status.node)
        )
    } else {
        format!(
            "Of node {}. The API server does not tell of changes now: names are those known before.",
            Shown(&status.node)
        )
    };
    section("Pods", &about, &content)
}
