//! The store, and the destinations that it is sent to.

use std::collections::BTreeMap;

use super::super::Snapshot;
use super::super::exposition::{Kind, Point};
use super::list::{List, Number, POINTS, bounded, moment, owned, point};
use crate::export;
use crate::store::Waiting;

pub fn store(list: &mut List, snapshot: &Snapshot) {
    let (store, settings) = (&snapshot.status.store, &snapshot.status.settings);
    list.gauge(
        "strata_store_up",
        "Whether the last batch could be kept (1) or not (0).",
        u64::from(snapshot.status.store_error.is_none()),
    );
    list.gauge("strata_store_bytes", "Size of the store.", store.bytes);
    list.gauge(
        "strata_store_limit_bytes",
        "Most that the store may take.",
        settings.store_bytes,
    );
    list.gauge(
        "strata_store_limit_seconds",
        "Age at which messages leave the store.",
        settings.store_age.as_secs_f64(),
    );
    list.gauge(
        "strata_store_messages",
        "Messages in the store.",
        store.messages,
    );
    list.gauge(
        "strata_store_segments",
        "Files that the store consists of.",
        store.segments,
    );
    list.gauge(
        "strata_store_oldest_timestamp_seconds",
        "Time of the oldest message, in seconds since 1970.",
        moment(store.oldest),
    );
    list.gauge(
        "strata_store_newest_timestamp_seconds",
        "Time of the newest message, in seconds since 1970.",
        moment(store.newest),
    );
    list.counter(
        "strata_store_appended_messages",
        "Messages put into the store.",
        store.appended,
    );
    list.by(
        "strata_store_dropped_messages",
        "Messages that left the store to keep its bounds, or that were found unreadable, by cause.",
        &["cause"],
        &owned(&store.dropped),
    );
}

pub fn exporters(list: &mut List, snapshot: &Snapshot) {
    let exporters: Vec<&export::Status> = snapshot.status.exporters.iter().take(POINTS).collect();
    let each = |value: fn(&export::Status) -> Number| -> Vec<Point> {
        let points = exporters
            .iter()
            .map(|exporter| point(&[&exporter.name], value(exporter)));
        points.flatten().collect()
    };
    let label: &[&str] = &["destination"];
    list.add(
        Kind::Counter,
        "strata_export_sent_messages",
        "Messages that the destination took.",
        label,
        each(|exporter| exporter.sent_messages.into()),
    );
    list.add(
        Kind::Counter,
        "strata_export_sent_bytes",
        "Bytes of these messages as they were sent.",
        label,
        each(|exporter| exporter.sent_bytes.into()),
    );
    list.add(
        Kind::Counter,
        "strata_export_sent_samples",
        "Samples in these messages.",
        label,
        each(|exporter| exporter.sent_samples.into()),
    );
    let answers = exporters.iter().flat_map(|exporter| {
        bounded(&exporter.answers).into_iter().map(|mut point| {
            point.labels.insert(0, exporter.name.clone());
            point
        })
    });
    list.add(
        Kind::Counter,
        "strata_export_answers",
        "What came of each request: ok, or why not.",
        &["destination", "answer"],
        answers.collect(),
    );
    list.add(
        Kind::Counter,
        "strata_export_retries",
        "Requests that were sent again.",
        label,
        each(|exporter| exporter.retries.into()),
    );
    list.add(
        Kind::Counter,
        "strata_export_rejected_samples",
        "Samples that the destination refused.",
        label,
        each(|exporter| exporter.rejected_samples.into()),
    );
    list.add(
        Kind::Counter,
        "strata_export_rejected_messages",
        "Messages that were given up because the destination refuses them for good.",
        label,
        each(|exporter| exporter.rejected_messages.into()),
    );
    list.add(
        Kind::Gauge,
        "strata_export_last_success_timestamp_seconds",
        "When the destination last took a message, in seconds since 1970.",
        label,
        each(|exporter| moment(exporter.last_success).into()),
    );
    waiting(list, &snapshot.status.store.destinations);
}

/// The store knows what waits for a destination, also for one that is not configured any more.
fn waiting(list: &mut List, destinations: &BTreeMap<String, Waiting>) {
    let each = |value: fn(&Waiting) -> Number| -> Vec<Point> {
        let destinations = destinations.iter().take(POINTS);
        destinations
            .filter_map(|(name, waiting)| point(&[name], value(waiting)))
            .collect()
    };
    let label: &[&str] = &["destination"];
    list.add(
        Kind::Gauge,
        "strata_export_waiting_messages",
        "Messages that the destination has not taken yet.",
        label,
        each(|waiting| waiting.messages.into()),
    );
    list.add(
        Kind::Gauge,
        "strata_export_waiting_bytes",
        "Size of these messages.",
        label,
        each(|waiting| waiting.bytes.into()),
    );
    list.add(
        Kind::Gauge,
        "strata_export_oldest_waiting_timestamp_seconds",
        "Time of the oldest of these messages, in seconds since 1970.",
        label,
        each(|waiting| moment(waiting.oldest).into()),
    );
    list.add(
        Kind::Counter,
        "strata_export_dropped_messages",
        "Messages that left the store before the destination took them.",
        label,
        each(|waiting| waiting.dropped.into()),
    );
}
