//! The agent itself, and this server.

use std::time::SystemTime;

use super::super::Snapshot;
use super::super::exposition::Kind;
use super::super::server::Traffic;
use super::list::{List, owned, point};

pub fn own(list: &mut List, snapshot: &Snapshot) {
    let own = &snapshot.own;
    let version = [env!("CARGO_PKG_VERSION"), std::env::consts::ARCH];
    list.add(
        Kind::Info,
        "strata_build",
        "Which agent this is.",
        &["version", "arch"],
        point(&version, 1u64).into_iter().collect(),
    );
    let started = snapshot.started.duration_since(SystemTime::UNIX_EPOCH);
    list.gauge(
        "process_start_time_seconds",
        "When the agent started, in seconds since 1970.",
        started.ok().map(|since| since.as_secs_f64()),
    );
    list.counter(
        "process_cpu_seconds",
        "CPU time of the agent's own threads.",
        own.cpu.as_secs_f64(),
    );
    list.gauge(
        "process_resident_memory_bytes",
        "Memory of the agent that is in RAM, files that it maps included.",
        own.resident,
    );
    list.gauge(
        "process_virtual_memory_bytes",
        "Address space of the agent.",
        own.virtual_memory,
    );
    list.gauge(
        "process_open_fds",
        "Descriptors that the agent has open.",
        own.descriptors,
    );
    list.gauge(
        "process_max_fds",
        "Descriptors that it may have open.",
        own.most_descriptors,
    );
    list.gauge("process_threads", "Threads of the agent.", own.threads);
    list.gauge(
        "strata_memory_anonymous_bytes",
        "Memory of the agent in RAM that no file backs: what it made itself.",
        own.anonymous,
    );
    let kinds = [
        point(&["maps"], own.maps),
        point(&["programs"], own.programs),
    ];
    list.add(
        Kind::Gauge,
        "strata_bpf_memory_bytes",
        "Kernel memory of the agent's eBPF maps and programs.",
        &["kind"],
        kinds.into_iter().flatten().collect(),
    );
    list.counter(
        "strata_bpf_run_seconds",
        "CPU time of the eBPF programs; zero unless kernel.bpf_stats_enabled is set.",
        own.program_time.as_secs_f64(),
    );
    let ready = snapshot.pulse.ready(snapshot.now, &snapshot.status).is_ok();
    list.gauge(
        "strata_ready",
        "Whether samples are taken and kept (1) or not (0), as /readyz says.",
        u64::from(ready),
    );
}

pub fn server(list: &mut List, traffic: &Traffic) {
    list.by(
        "strata_http_requests",
        "Requests to this server, by the path's name.",
        &["path"],
        &owned(&traffic.requests()),
    );
    list.by(
        "strata_http_connections_closed",
        "Connections that the server closed before they had their answer, by cause.",
        &["cause"],
        &owned(&traffic.closed()),
    );
}
