//! Labels of processes: what rules left out, and what the budget holds.

use std::collections::BTreeMap;

use super::super::Snapshot;
use super::super::escape::Shown;
use super::chart;
use super::sections::section;
use super::units::whole;

pub fn write(snapshot: &Snapshot) -> String {
    let labels = &snapshot.status.labels;
    // Those over the budget are what somebody looks for here.
    let mut keys: BTreeMap<&str, (Option<u64>, u64)> = labels
        .over
        .iter()
        .map(|(key, over)| (key.as_str(), (None, *over)))
        .collect();
    for (key, values) in &labels.values {
        keys.entry(key).or_default().0 = Some(*values);
    }
    let rows = keys.iter().map(|(key, (values, over))| {
        let class = if *over > 0 { "warn" } else { "soft" };
        let (bar, values) = match values {
            Some(values) => (chart::bar(*values, labels.most), whole(*values)),
            None => (String::new(), String::new()),
        };
        format!(
            "<tr><td class=\"path\">{}</td><td>{bar}</td><td class=\"number\">{values}</td>\
             <td class=\"number {class}\">{}</td></tr>\n",
            Shown(key),
            whole(*over)
        )
    });
    let table = format!(
        "<table><thead><tr><th>label</th><th></th><th class=\"number\">values</th>\
         <th class=\"number\">samples over the budget</th></tr></thead><tbody>{}</tbody></table>",
        rows.collect::<String>()
    );
    let rules = labels.left_out.iter();
    let rules = rules.map(|(action, samples)| {
        format!(
            "<p>Relabel rules ({}) left out {} samples.</p>",
            Shown(action),
            whole(*samples)
        )
    });
    let about = format!(
        "Of each label {} values are let through. Others became <i>other</i>, or, if they are ids, \
         are not told.",
        whole(labels.most)
    );
    section("Labels", &about, &(table + &rules.collect::<String>()))
}
