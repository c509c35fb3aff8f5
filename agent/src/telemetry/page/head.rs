//! The top of the page: whether all is well, and the four figures that one looks at first.

use std::time::Duration;

use super::super::Snapshot;
use super::super::escape::Shown;
use super::super::history::lately;
use super::chart;
use super::units::{bytes, real, share, span, time, whole};

pub fn write(snapshot: &Snapshot) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let started = httpdate::fmt_http_date(snapshot.started);
    let uptime = span(snapshot.now.saturating_duration_since(snapshot.created));
    let pid = std::process::id();
    format!(
        "<header><h1>Strata agent</h1>\
         <p>version {version} · pid {pid} · up {uptime}, since {started}</p>{}</header>\n\
         <div class=\"tiles\">{}{}{}{}</div>\n",
        verdict(snapshot),
        samples(snapshot),
        lost(snapshot),
        cpu(snapshot),
        memory(snapshot)
    )
}

fn verdict(snapshot: &Snapshot) -> String {
    let (class, word, why) = match snapshot.pulse.ready(snapshot.now, &snapshot.status) {
        Ok(()) => ("verdict", "Ready", "Samples are taken and kept.".to_owned()),
        Err(why) => ("verdict no", "Not ready", why),
    };
    format!(
        "<div class=\"{class}\" role=\"status\"><b>{word}</b><span>{}</span></div>",
        Shown(&why)
    )
}

fn tile(name: &str, figure: &str, unit: &str, note: &str, drawn: &str) -> String {
    format!(
        "<div class=\"tile\"><h2>{name}</h2><p class=\"figure\">{figure} <small>{unit}</small></p>\
         <p class=\"note\">{note}</p>{drawn}</div>\n"
    )
}

fn samples(snapshot: &Snapshot) -> String {
    let (sampling, settings) = (&snapshot.status.sampling, &snapshot.status.settings);
    let rate = lately(&snapshot.history).map(|rates| real(rates.samples));
    tile(
        "Samples, last minute",
        rate.as_deref().unwrap_or("–"),
        "a second",
        &format!(
            "{} Hz on {} CPUs; {} in all",
            settings.rate,
            sampling.cpus,
            whole(sampling.samples)
        ),
        &chart::line(
            &chart::rates(&snapshot.history, |rates| rates.samples),
            "samples a second over the last hour",
        ),
    )
}

fn lost(snapshot: &Snapshot) -> String {
    let sampling = &snapshot.status.sampling;
    let lost: u64 = sampling.lost.values().sum();
    let events = lost + sampling.samples;
    tile(
        "Lost, since the start",
        &share(lost, events),
        "",
        &format!("{} of {} sampling events", whole(lost), whole(events)),
        &chart::line(
            &chart::rates(&snapshot.history, |rates| rates.lost),
            "lost a second over the last hour",
        ),
    )
}

fn cpu(snapshot: &Snapshot) -> String {
    let own = &snapshot.own;
    let rate = lately(&snapshot.history).map(|rates| real(rates.cpu * 100.0));
    let kernel = if own.program_time > Duration::ZERO {
        format!("; kernel side {}", time(own.program_time))
    } else {
        String::new()
    };
    tile(
        "Agent's CPU, last minute",
        rate.as_deref().unwrap_or("–"),
        "% of a core",
        &format!("{} in all{kernel}", time(own.cpu)),
        &chart::line(
            &chart::rates(&snapshot.history, |rates| rates.cpu),
            "cores over the last hour",
        ),
    )
}

fn memory(snapshot: &Snapshot) -> String {
    let own = &snapshot.own;
    let (figure, unit) = split(&bytes(own.anonymous));
    let values: Vec<f64> = snapshot
        .history
        .iter()
        .map(|moment| moment.anonymous as f64)
        .collect();
    tile(
        "Agent's memory",
        &figure,
        &unit,
        &format!(
            "{} with files; eBPF {}",
            bytes(own.resident),
            bytes(own.maps + own.programs)
        ),
        &chart::line(&values, "anonymous memory over the last hour"),
    )
}

fn split(amount: &str) -> (String, String) {
    let (figure, unit) = amount.split_once(' ').unwrap_or((amount, ""));
    (figure.to_owned(), unit.to_owned())
}
