//! The state as JSON: the same as on the page, in numbers.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::super::history::lately;
use super::super::server::Traffic;
use super::super::{Labels, Snapshot};
use crate::export;
use crate::store;

pub fn write(snapshot: &Snapshot, traffic: &Traffic) -> String {
    let status = &snapshot.status;
    let now = snapshot.now;
    let interval = status.settings.interval;
    let rates = lately(&snapshot.history).map(|rates| {
        json!({
            "over_seconds": rates.over.as_secs_f64(),
            "samples_per_second": rates.samples,
            "lost_per_second": rates.lost,
            "cpu_cores": rates.cpu,
        })
    });
    let value = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "alive": snapshot.pulse.alive(now, interval).is_ok(),
        "ready": snapshot.pulse.ready(now, status).is_ok(),
        "not_ready_because": snapshot.pulse.ready(now, status).err(),
        "started": since_1970(snapshot.started),
        "uptime_seconds": now.saturating_duration_since(snapshot.created).as_secs_f64(),
        "rates": rates,
        "own": own(snapshot),
        "settings": {
            "rate_hertz": status.settings.rate,
            "interval_seconds": interval.as_secs_f64(),
            "store": status.settings.store.to_string_lossy(),
            "store_bytes": status.settings.store_bytes,
            "store_age_seconds": status.settings.store_age.as_secs_f64(),
        },
        "sampling": status.sampling,
        "batches": {
            "count": status.batches.count,
            "last_age_seconds": snapshot.pulse.batch.map(|at| now.saturating_duration_since(at).as_secs_f64()),
            "last_duration_seconds": status.batches.last_duration.as_secs_f64(),
            "last_samples": status.batches.last_samples,
        },
        "labels": labels(&status.labels),
        "tables": status.tables,
        "executables": executables(snapshot),
        "store": store(&status.store, status.store_error.as_deref()),
        "exporters": status.exporters.iter().map(exporter).collect::<Vec<_>>(),
        "kubernetes": status.kubernetes,
        "choice": status.choice,
        "http": {"requests": traffic.requests(), "connections_closed": traffic.closed()},
    });
    format!("{value:#}\n")
}

fn own(snapshot: &Snapshot) -> Value {
    let own = &snapshot.own;
    json!({
        "cpu_seconds": own.cpu.as_secs_f64(),
        "resident_bytes": own.resident,
        "anonymous_bytes": own.anonymous,
        "virtual_bytes": own.virtual_memory,
        "threads": own.threads,
        "open_descriptors": own.descriptors,
        "most_descriptors": own.most_descriptors,
        "bpf_map_bytes": own.maps,
        "bpf_program_bytes": own.programs,
        "bpf_run_seconds": own.program_time.as_secs_f64(),
    })
}

fn labels(labels: &Labels) -> Value {
    let values: serde_json::Map<String, Value> = labels
        .values
        .iter()
        .map(|(key, values)| (key.clone(), json!(values)))
        .collect();
    json!({
        "values": values,
        "most_values": labels.most,
        "over_budget_samples": labels.over,
        "relabel_left_out_samples": labels.left_out,
        "relabel_refused_labels": labels.refused,
        "dropped_samples_of_pods": labels.unchosen,
    })
}

fn executables(snapshot: &Snapshot) -> Vec<Value> {
    let executables = snapshot.slowest().into_iter();
    executables
        .map(|executable| {
            json!({
                "path": executable.path,
                "rows": executable.rows,
                "seconds": executable.duration.as_secs_f64(),
            })
        })
        .collect()
}

fn store(store: &store::Status, error: Option<&str>) -> Value {
    let waiting: serde_json::Map<String, Value> = store
        .destinations
        .iter()
        .map(|(name, waiting)| {
            let value = json!({
                "messages": waiting.messages,
                "bytes": waiting.bytes,
                "dropped": waiting.dropped,
                "oldest": seconds(waiting.oldest),
            });
            (name.clone(), value)
        })
        .collect();
    json!({
        "error": error,
        "bytes": store.bytes,
        "messages": store.messages,
        "segments": store.segments,
        "oldest": seconds(store.oldest),
        "newest": seconds(store.newest),
        "appended": store.appended,
        "dropped": store.dropped,
        "waiting": waiting,
    })
}

fn exporter(exporter: &export::Status) -> Value {
    json!({
        "name": exporter.name,
        "endpoint": exporter.endpoint,
        "sent_messages": exporter.sent_messages,
        "sent_bytes": exporter.sent_bytes,
        "sent_samples": exporter.sent_samples,
        "answers": exporter.answers,
        "rejected_samples": exporter.rejected_samples,
        "rejected_messages": exporter.rejected_messages,
        "retries": exporter.retries,
        "last_error": exporter.last_error,
        "last_success": seconds(exporter.last_success),
        "waits_until": seconds(exporter.waits_until),
    })
}

fn seconds(ns: Option<u64>) -> Option<f64> {
    ns.map(|ns| ns as f64 / 1e9)
}

fn since_1970(time: SystemTime) -> f64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or(Duration::ZERO).as_secs_f64()
}
