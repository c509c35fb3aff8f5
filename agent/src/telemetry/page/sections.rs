//! The rest of the page: a section a concern, each a table or two.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use super::super::Snapshot;
use super::super::escape::Shown;
use super::units::{bytes, share, span, time, whole};
use super::{chart, kubernetes, labels};
use crate::export;

pub fn write(snapshot: &Snapshot) -> String {
    let left = runs(snapshot) + &store(snapshot);
    let right = stacks(snapshot) + &agent(snapshot);
    format!(
        "<div class=\"columns\"><div>{left}</div><div>{right}</div></div>\n{}{}{}{}{}",
        exporters(snapshot),
        labels::write(snapshot),
        kubernetes::write(snapshot),
        tables(snapshot),
        executables(snapshot),
    )
}

pub fn section(title: &str, about: &str, content: &str) -> String {
    format!("<section><h2>{title}</h2><p>{about}</p>{content}</section>\n")
}

/// Rows of counts with their share of something. The words are causes, as metrics name them.
struct Counts {
    rows: String,
    of: u64,
}

impl Counts {
    fn of(of: u64) -> Self {
        Self {
            rows: String::new(),
            of,
        }
    }

    fn row(&mut self, class: &str, name: &str, cause: &str, count: u64) {
        let (name, cause) = (Shown(name), Shown(cause));
        let (number, share) = (whole(count), share(count, self.of));
        self.rows.push_str(&format!(
            "<tr><td class=\"{class}\">{name}</td><td class=\"path\">{cause}</td>\
             <td class=\"number\">{number}</td><td class=\"number soft\">{share}</td></tr>\n"
        ));
    }

    /// Those that occurred, the most frequent first; that none did is worth a row.
    fn causes(&mut self, class: &str, name: &str, causes: &BTreeMap<String, u64>) {
        let occurred = causes.iter().filter(|(_, count)| **count > 0);
        let mut occurred: Vec<(&String, &u64)> = occurred.collect();
        occurred.sort_by_key(|(_, count)| Reverse(**count));
        if occurred.is_empty() {
            self.row("soft", name, "", 0);
        }
        for (cause, count) in occurred {
            self.row(class, name, cause, *count);
        }
    }

    fn table(&self, head: &str) -> String {
        format!(
            "<table class=\"counts\"><thead><tr><th class=\"what\">{head}</th><th></th><th class=\"number\">count</th>\
             <th class=\"number\">share</th></tr></thead><tbody>\n{}</tbody></table>",
            self.rows
        )
    }
}

/// Pairs of a name and a value that is safe to show as it is.
pub fn facts(facts: &[(&str, String)]) -> String {
    let rows = facts.iter().map(|(name, value)| {
        format!("<tr><td class=\"soft\">{name}</td><td class=\"number\">{value}</td></tr>\n")
    });
    format!("<table><tbody>{}</tbody></table>", rows.collect::<String>())
}

fn runs(snapshot: &Snapshot) -> String {
    let sampling = &snapshot.status.sampling;
    let mut counts = Counts::of(sampling.runs);
    counts.row("good", "sample", "", sampling.samples);
    counts.causes("bad", "lost", &sampling.lost);
    counts.causes("soft", "left out", &sampling.left_out);
    let due = match sampling.due {
        Some(due) => format!(
            "It ran {} times; {} runs were due while CPUs were busy.",
            whole(sampling.runs),
            whole(due)
        ),
        None => format!("It ran {} times.", whole(sampling.runs)),
    };
    let about = format!("What came of every run of the sampling program. {due}");
    section("Sampling", &about, &counts.table("what came of it"))
}

fn stacks(snapshot: &Snapshot) -> String {
    let sampling = &snapshot.status.sampling;
    let mut counts = Counts::of(sampling.samples);
    counts.row("good", "whole", "", sampling.whole);
    counts.causes("warn", "cut", &sampling.cut);
    let mut content = counts.table("stacks");
    let mut frames = Counts::of(sampling.frames);
    frames.row(
        "good",
        "named",
        "",
        sampling.frames.saturating_sub(sampling.unnamed),
    );
    frames.row("warn", "without a name", "", sampling.unnamed);
    content.push_str(&frames.table("frames"));
    let reasons = |title: &str, reasons: &BTreeMap<String, u64>| {
        if reasons.is_empty() {
            return String::new();
        }
        let rows = reasons.iter().map(|(reason, count)| {
            format!(
                "<tr><td>{}</td><td class=\"number\">{}</td></tr>\n",
                Shown(reason),
                whole(*count)
            )
        });
        let rows: String = rows.collect();
        format!("<h3>{title}</h3><table><tbody>{rows}</tbody></table>")
    };
    content.push_str(&reasons(
        "Interpreters without Python frames",
        &sampling.interpreters,
    ));
    content.push_str(&reasons("Files without unwind rows", &sampling.files));
    let about = "How far the stacks of the samples are known, and why not farther.";
    section("Stacks", about, &content)
}

fn store(snapshot: &Snapshot) -> String {
    let (store, settings) = (&snapshot.status.store, &snapshot.status.settings);
    let mut rows = vec![
        (
            "used",
            format!(
                "{} {} of {}",
                chart::bar(store.bytes, settings.store_bytes),
                bytes(store.bytes),
                bytes(settings.store_bytes)
            ),
        ),
        ("messages", whole(store.messages)),
        ("segments", whole(store.segments)),
        ("oldest", ago(store.oldest)),
        ("newest", ago(store.newest)),
        ("kept for at most", span(settings.store_age)),
        ("put in since the start", whole(store.appended)),
    ];
    for (cause, count) in &store.dropped {
        rows.push(("dropped", format!("{cause}: {}", whole(*count))));
    }
    let folder = settings.store.to_string_lossy();
    let about = format!(
        "What was recorded, kept in <span class=\"path\">{}</span>.",
        Shown(&folder)
    );
    let mut content = facts(&rows);
    if let Some(error) = &snapshot.status.store_error {
        content.push_str(&problem(error));
    }
    section("Store", &about, &content)
}

fn problem(error: &str) -> String {
    format!("<p class=\"error bad\">{}</p>", Shown(error))
}

fn agent(snapshot: &Snapshot) -> String {
    let (own, batches) = (&snapshot.own, &snapshot.status.batches);
    let since = snapshot.pulse.batch;
    let age = since.map_or_else(
        || "none yet".to_owned(),
        |at| format!("{} ago", span(snapshot.now.saturating_duration_since(at))),
    );
    let rows = [
        ("batches", whole(batches.count)),
        ("last batch", age),
        ("samples in it", whole(batches.last_samples)),
        ("time that it took", time(batches.last_duration)),
        ("one is due every", time(snapshot.status.settings.interval)),
        ("threads", whole(own.threads)),
        (
            "open descriptors",
            format!(
                "{} of {}",
                whole(own.descriptors),
                whole(own.most_descriptors)
            ),
        ),
        ("address space", bytes(own.virtual_memory)),
    ];
    let about = "Batches, and what the agent takes of the machine.";
    section("Agent", about, &facts(&rows))
}

fn exporters(snapshot: &Snapshot) -> String {
    let status = &snapshot.status;
    if status.exporters.is_empty() {
        let about = "Nothing is sent anywhere: what is recorded stays in the store.";
        return section("Destinations", about, "");
    }
    let mut rows = String::new();
    for exporter in &status.exporters {
        rows.push_str(&destination(snapshot, exporter));
    }
    let content = format!(
        "<table><thead><tr><th>destination</th><th class=\"number\">sent</th>\
         <th class=\"number\">waiting</th><th class=\"number\">dropped</th><th class=\"number\">refused</th>\
         <th class=\"number\">retries</th><th class=\"number\">last success</th><th>answers</th></tr></thead>\
         <tbody>{rows}</tbody></table>"
    );
    let about = "Where the batches go. What waits, waits in the store.";
    section("Destinations", about, &content)
}

fn destination(snapshot: &Snapshot, exporter: &export::Status) -> String {
    let waiting = snapshot.status.store.destinations.get(&exporter.name);
    let waiting = waiting.cloned().unwrap_or_default();
    let mut answers: Vec<(&String, &u64)> = exporter.answers.iter().collect();
    answers.sort_by_key(|(answer, count)| (*answer != "ok", Reverse(**count)));
    let answers = answers.into_iter().map(|(answer, count)| {
        let class = if answer == "ok" { "good" } else { "bad" };
        let (answer, count) = (Shown(answer), whole(*count));
        format!("<span class=\"answer\"><span class=\"{class}\">{answer}</span> {count}</span> ")
    });
    let mut text = format!(
        "<tr><td><b>{}</b><br><span class=\"path endpoint soft\">{}</span></td>\
         <td class=\"number\">{} messages<br><span class=\"soft\">{}, {} samples</span></td>\
         <td class=\"number\">{}<br><span class=\"soft\">{}</span></td>\
         <td class=\"number\">{}</td><td class=\"number\">{}<br><span class=\"soft\">{} samples</span></td>\
         <td class=\"number\">{}</td><td class=\"number\">{}</td><td>{}</td></tr>\n",
        Shown(&exporter.name),
        Shown(&exporter.endpoint),
        whole(exporter.sent_messages),
        bytes(exporter.sent_bytes),
        whole(exporter.sent_samples),
        whole(waiting.messages),
        bytes(waiting.bytes),
        whole(waiting.dropped),
        whole(exporter.rejected_messages),
        whole(exporter.rejected_samples),
        whole(exporter.retries),
        ago(exporter.last_success),
        answers.collect::<String>(),
    );
    if let Some(error) = &exporter.last_error {
        // Shown as an alarm only while it goes on.
        let (class, when) = match exporter.waits_until {
            Some(ns) => {
                let left = Duration::from_nanos(ns.saturating_sub(since_1970()));
                let when = format!("Does not work now; the next try is in {}.", span(left));
                ("bad", when)
            }
            None => ("soft", "Works again. The last error was:".to_owned()),
        };
        text.push_str(&format!(
            "<tr><td colspan=\"8\"><p class=\"error\"><span class=\"{class}\">{when}</span> {}</p></td></tr>\n",
            Shown(error)
        ));
    }
    text
}

fn tables(snapshot: &Snapshot) -> String {
    if snapshot.status.tables.is_empty() {
        return String::new();
    }
    let rows = snapshot.status.tables.iter().map(|table| {
        format!(
            "<tr><td class=\"path\">{}</td><td>{}</td><td class=\"number\">{}</td>\
             <td class=\"number\">{}</td><td class=\"number soft\">{}</td><td class=\"number\">{}</td></tr>\n",
            Shown(table.name),
            chart::bar(table.used, table.most),
            whole(table.used),
            whole(table.most),
            share(table.used, table.most),
            whole(table.evicted)
        )
    });
    let content = format!(
        "<table><thead><tr><th>table</th><th></th><th class=\"number\">used</th><th class=\"number\">most</th>\
         <th class=\"number\">share</th><th class=\"number\">evicted</th></tr></thead><tbody>{}</tbody></table>",
        rows.collect::<String>()
    );
    let about = "Everything that grows has a bound; what was sampled least recently leaves first.";
    section("Budgets", about, &content)
}

fn executables(snapshot: &Snapshot) -> String {
    let slowest = snapshot.slowest();
    if slowest.is_empty() {
        return String::new();
    }
    let rows = slowest.iter().map(|executable| {
        format!(
            "<tr><td class=\"path\">{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td></tr>\n",
            Shown(&executable.path),
            whole(executable.rows),
            time(executable.duration)
        )
    });
    let content = format!(
        "<table><thead><tr><th>file</th><th class=\"number\">rows</th><th class=\"number\">time</th></tr></thead>\
         <tbody>{}</tbody></table>",
        rows.collect::<String>()
    );
    let about = "The files that took longest to read for their unwind rows.";
    section("Slowest files", about, &content)
}

/// A moment, ns since 1970, as people ask for it. The wall clock may have jumped.
fn ago(ns: Option<u64>) -> String {
    let Some(ns) = ns else {
        return "–".to_owned();
    };
    match since_1970().checked_sub(ns) {
        Some(age) => format!("{} ago", span(Duration::from_nanos(age))),
        None => "in the future".to_owned(),
    }
}

fn since_1970() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    })
}
