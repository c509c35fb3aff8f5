//! Relabel rules: what they make of labels, compared with a real Prometheus that has the same rules over the same labels;
//! which are refused, compared with promtool; and what an agent that runs does with them.

mod agent;
mod cases;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use strata::metadata::relabel::{Labels, Refused, Rule, Rules, Said};
use strata_tests::machine::Problem;
use strata_tests::machine::prometheus::{Prometheus, check_config};

use crate::cell::{Cell, must_fail};
use crate::world::World;

/// How long Prometheus may take to find its targets.
const PATIENCE: Duration = Duration::from_secs(60);

pub fn cells(world: &Arc<World>) -> Vec<Cell> {
    let mut cells = Vec::new();
    let mut add = |row: &str, property: &str, check: fn(&World) -> Result<(), Problem>| {
        let world = Arc::clone(world);
        cells.push(Cell::new("relabel", row, property, move || check(&world)));
    };
    add("prometheus", "same_labels", same_labels);
    add("promtool", "same_refusals", same_refusals);
    add("agent", "in_force", agent::in_force);
    cells
}

/// A target's labels before any rule, without those that Prometheus adds.
fn base() -> Value {
    json!({
        "service_name": "Checkout",
        "container_id": "4f5e6d",
        "k8s_namespace_name": "shop",
        "k8s_pod_name": "checkout-7d9f-x2x9k",
        "k8s_pod_label_app": "checkout",
        "k8s_pod_label_team": "payments",
        "k8s_node_name": "node-1.Example",
        "digits": "0123",
        "empty": "",
    })
}

/// Prometheus' own labels of a target.
fn of_target(job: &str) -> [(&'static str, String); 6] {
    [
        ("job", job.to_owned()),
        ("__address__", "127.0.0.1:1".to_owned()),
        ("__scheme__", "http".to_owned()),
        ("__metrics_path__", "/metrics".to_owned()),
        ("__scrape_interval__", "1h".to_owned()),
        ("__scrape_timeout__", "1s".to_owned()),
    ]
}

/// Prometheus takes JSON for YAML.
fn configuration(cases: &[(String, Value)]) -> String {
    let jobs = cases.iter().map(|(job, rules)| {
        json!({
            "job_name": job,
            "static_configs": [{"targets": ["127.0.0.1:1"], "labels": base()}],
            "relabel_configs": rules,
        })
    });
    json!({
        "global": {"scrape_interval": "1h", "scrape_timeout": "1s"},
        "scrape_configs": jobs.collect::<Vec<_>>(),
    })
    .to_string()
}

fn said(rule: &Value) -> Said {
    let text = |key: &str| rule[key].as_str().map(str::to_owned);
    let names = rule["source_labels"].as_array().map(|names| {
        let names = names.iter().filter_map(Value::as_str);
        names.map(str::to_owned).collect()
    });
    Said {
        source_labels: names,
        separator: text("separator"),
        target_label: text("target_label"),
        regex: text("regex"),
        replacement: text("replacement"),
        action: text("action"),
        modulus: rule.get("modulus").is_some(),
    }
}

fn understood(rules: &Value) -> Result<Rules, String> {
    let rules = rules.as_array().ok_or("no list of rules")?;
    let rules = rules.iter().map(|rule| Rule::new(said(rule)));
    let rules: Result<Vec<Rule>, _> = rules.collect();
    Ok(Rules::new(rules.map_err(|wrong| wrong.why)?))
}

/// What Strata makes of the labels. None: the target is left out.
fn ours(job: &str, rules: &Value) -> Result<Option<Labels>, String> {
    let mut labels = Labels::new();
    let own = of_target(job).map(|(name, value)| (name.to_owned(), value));
    labels.extend(own);
    for (name, value) in base().as_object().ok_or("no labels")? {
        let value = value.as_str().ok_or("no text")?;
        if !value.is_empty() {
            labels.insert(name.clone(), value.to_owned());
        }
    }
    let left_out = understood(rules)?.apply(&mut labels, &mut Refused::default());
    Ok(left_out.is_none().then_some(labels))
}

/// What Prometheus made of them, by job; those that are left out are not there.
fn theirs(prometheus: &Prometheus, jobs: usize) -> Result<BTreeMap<String, Labels>, String> {
    let until = Instant::now() + PATIENCE;
    loop {
        let answer = prometheus.ask("/api/v1/targets")?;
        let list = |of: &str| answer["data"][of].as_array().cloned().unwrap_or_default();
        let (active, dropped) = (list("activeTargets"), list("droppedTargets"));
        if active.len() + dropped.len() < jobs {
            if Instant::now() > until {
                return Err(format!("it has not found all targets: {answer}"));
            }
            std::thread::sleep(Duration::from_millis(100));
            continue;
        }
        let found = active.iter().map(|target| {
            let labels = target["labels"].as_object().into_iter().flatten();
            let labels = labels.map(|(name, value)| {
                let value = value.as_str().unwrap_or_default();
                (name.clone(), value.to_owned())
            });
            let mut labels: Labels = labels.collect();
            // It gives each target one.
            labels.remove("instance");
            let pool = target["scrapePool"].as_str().unwrap_or_default();
            (pool.to_owned(), labels)
        });
        return Ok(found.collect());
    }
}

fn same_labels(world: &World) -> Result<(), Problem> {
    let cases = cases::understood();
    let numbered = (1..).zip(cases);
    let cases: Vec<(String, Value)> = numbered
        .map(|(number, rules)| (format!("case-{number}"), rules))
        .collect();
    let folder = world.scratch().join("relabel");
    let prometheus = Prometheus::with(&configuration(&cases), &folder)?;
    let theirs = theirs(&prometheus, cases.len())?;
    let check = |job: &str, rules: &Value, theirs: Option<&Labels>| {
        let ours = ours(job, rules)?;
        if ours.as_ref() == theirs {
            return Ok(());
        }
        Err(format!("{rules}: {ours:?}, but Prometheus has {theirs:?}"))
    };
    let mut wrong = Vec::new();
    for (job, rules) in &cases {
        wrong.extend(check(job, rules, theirs.get(job)).err());
    }
    if !wrong.is_empty() {
        return Err(wrong.join("\n").into());
    }
    let kept = theirs.len();
    if kept < cases.len() / 2 || kept == cases.len() {
        return Err(format!("Prometheus has {kept} of {} targets", cases.len()).into());
    }
    let other = json!([{"target_label": "more", "replacement": "1"}]);
    let (job, _) = &cases[0];
    must_fail("another rule", check(job, &other, theirs.get(job)))
}

fn same_refusals(world: &World) -> Result<(), Problem> {
    let folder = world.scratch().join("relabel-refused");
    let mut wrong = Vec::new();
    for rule in cases::refused() {
        let rules = json!([rule]);
        let theirs = check_config(
            &configuration(&[("one".to_owned(), rules.clone())]),
            &folder,
        )?;
        if theirs.is_ok() {
            wrong.push(format!("promtool takes {rules}"));
        }
        if understood(&rules).is_ok() {
            wrong.push(format!("Strata takes {rules}"));
        }
    }
    let all: Vec<Value> = cases::understood();
    let first = configuration(&[("one".to_owned(), all[0].clone())]);
    if let Err(why) = check_config(&first, &folder)? {
        wrong.push(format!("promtool refuses what it should take: {why}"));
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(wrong.join("\n").into()),
    }
}
