//! Pyroscope and Parca: what arrives holds what is in the message, under labels that are no single
//! process's. How their own clients and servers see it is tested end to end.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;

use super::http_server::{Act, Server};
use super::*;
use crate::export::Compression;
use crate::export::parca::WriteRawRequest;
use crate::export::pyroscope::PushRequest;
use crate::format::read::{self, Kind};
use crate::profile::Profile;

/// One resource a process: pid, service, container.
const PROCESSES: [(i64, &str, &str); 4] = [
    (10, "shop", "c1"),
    (11, "shop", "c1"),
    (12, "shop", "c2"),
    (13, "", ""),
];

fn rich() -> Message {
    let one = message(1);
    let mut request = ExportProfilesServiceRequest::decode(&*one.bytes).unwrap();
    let resource = request.resource_profiles.remove(0);
    for (pid, service, container) in PROCESSES {
        let text = |key: &str, value: &str| {
            attribute(key, any_value::Value::StringValue(value.to_owned()))
        };
        let mut attributes = vec![
            attribute("process.pid", any_value::Value::IntValue(pid)),
            text("process.executable.name", "python3"),
            text("process.executable.path", "/usr/bin/python3"),
            text("service.name", service),
            text("k8s.pod.label.app.kubernetes.io/name", "x"),
        ];
        if !container.is_empty() {
            attributes.push(text("container.id", container));
        }
        let mut resource = resource.clone();
        resource.resource = Some(Resource {
            attributes,
            ..Resource::default()
        });
        let profile = &mut resource.scope_profiles[0].profiles[0];
        profile.profile_id = (0x0102_0304_0506_0708_u128 << 64 | pid as u128)
            .to_be_bytes()
            .to_vec();
        request.resource_profiles.push(resource);
    }
    Message {
        bytes: request.encode_to_vec(),
        ..one
    }
}

fn attribute(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        key_strindex: 0,
    }
}

fn expected_labels() -> Vec<BTreeMap<String, String>> {
    let labels = |pairs: &[(&str, &str)]| {
        let mut labels = BTreeMap::new();
        for (name, value) in [
            ("__name__", "process_cpu"),
            ("k8s_pod_label_app_kubernetes_io_name", "x"),
        ]
        .iter()
        .chain(pairs)
        {
            labels.insert((*name).to_owned(), (*value).to_owned());
        }
        labels
    };
    vec![
        labels(&[("service_name", "shop"), ("container_id", "c1")]),
        labels(&[("service_name", "shop"), ("container_id", "c2")]),
        labels(&[("service_name", "unknown_service:python3")]),
    ]
}

/// Samples by pid.
fn samples(pprof: &[u8]) -> BTreeMap<u32, u64> {
    let mut profile = Profile::new();
    read::read(&mut profile, Kind::Pprof, "x", pprof).unwrap();
    let mut samples = BTreeMap::new();
    for (key, totals) in profile.samples() {
        *samples.entry(profile[key.process].id.pid).or_default() += totals.weight;
    }
    samples
}

const EXPECTED_SAMPLES: [&[u32]; 3] = [&[10, 11], &[12], &[13]];

fn assert_samples(pprofs: &[&[u8]]) {
    for (pprof, pids) in pprofs.iter().zip(EXPECTED_SAMPLES) {
        let expected = pids.iter().map(|pid| (*pid, 3)).collect();
        assert_eq!(samples(pprof), expected);
    }
}

#[test]
fn pyroscope_gets_a_series_for_each_set_of_labels() {
    let server = Server::start(|number, _| match number {
        0 => http_server::status("503 Service Unavailable"),
        1 => {
            let json = ("content-type", "application/json".to_owned());
            let body = br#"{"code":"unauthenticated","message":"no org id"}"#;
            Act::Answer("401 Unauthorized", vec![json], body.to_vec())
        }
        _ => {
            let proto = ("content-type", "application/proto".to_owned());
            Act::Answer("200 OK", vec![proto], Vec::new())
        }
    });
    let mut destination = to(Protocol::Pyroscope, &server.endpoint());
    // Which Pyroscope does not know.
    destination.compression = Compression::Zstd;
    let fixture = Fixture::new(destination);
    fixture.store.append(&[rich()]).unwrap();
    let status = fixture.until(|status| status.answers.contains_key("http_401"));
    assert!(
        status
            .last_error
            .is_none_or(|error| error.contains("no org id"))
    );
    fixture.until(|status| status.sent_messages == 1);
    let seen = server.seen();
    assert!(seen.iter().all(|one| one.body == seen[0].body));
    let seen = &seen[0];
    assert_eq!(seen.path, "/push.v1.PusherService/Push");
    assert_eq!(seen.header("content-type"), "application/proto");
    assert_eq!(seen.header("content-encoding"), "gzip");
    let request = PushRequest::decode(&*seen.body).unwrap();
    let labels: Vec<BTreeMap<_, _>> = request
        .series
        .iter()
        .map(|series| {
            series
                .labels
                .iter()
                .map(|it| (it.name.clone(), it.value.clone()))
                .collect()
        })
        .collect();
    assert_eq!(labels, expected_labels());
    let ids: Vec<&str> = request
        .series
        .iter()
        .map(|it| it.samples[0].id.as_str())
        .collect();
    assert_eq!(
        ids,
        [
            "01020304-0506-0708-0000-00000000000a",
            "01020304-0506-0708-0000-00000000000c",
            "01020304-0506-0708-0000-00000000000d",
        ]
    );
    let pprofs: Vec<&[u8]> = request
        .series
        .iter()
        .map(|it| &*it.samples[0].raw_profile)
        .collect();
    assert_samples(&pprofs);
}

#[test]
fn parca_gets_the_same() {
    let server = grpc_server::Server::start(|_| grpc_server::Act::Answer(Vec::new()));
    let fixture = Fixture::new(to(Protocol::Parca, &server.endpoint()));
    fixture.store.append(&[rich()]).unwrap();
    fixture.until(|status| status.sent_messages == 1);
    let seen = server.seen().remove(0);
    assert_eq!(
        seen.path,
        "/parca.profilestore.v1alpha1.ProfileStoreService/WriteRaw"
    );
    let request = WriteRawRequest::decode(&*seen.message).unwrap();
    assert!(request.normalized);
    let labels: Vec<BTreeMap<_, _>> = request
        .series
        .iter()
        .map(|series| {
            let labels = &series.labels.as_ref().unwrap().labels;
            labels
                .iter()
                .map(|it| (it.name.clone(), it.value.clone()))
                .collect()
        })
        .collect();
    assert_eq!(labels, expected_labels());
    let pprofs: Vec<&[u8]> = request
        .series
        .iter()
        .map(|it| &*it.samples[0].raw_profile)
        .collect();
    assert_samples(&pprofs);
}

#[test]
fn a_message_that_cant_be_read_is_given_up() {
    let server = Server::start(|_, _| http_server::ok());
    let fixture = Fixture::new(to(Protocol::Pyroscope, &server.endpoint()));
    let damaged = Message {
        bytes: vec![0xff; 9],
        ..message(1)
    };
    fixture.store.append(&[damaged]).unwrap();
    let status = fixture.until(|status| status.rejected_messages == 1);
    assert_eq!(status.answers["unfit"], 1);
}
