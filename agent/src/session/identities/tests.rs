use std::process::{Command, Stdio};

use agent_common::process::ProcessId;

use super::*;
use crate::process::ProcessHandle;
use crate::process::identity::ns_per_tick;

fn id(pid: u32) -> ProcessId {
    let handle = ProcessHandle::open(pid).expect("a process");
    ProcessId {
        pid,
        exec: 1,
        start: handle.start_ticks() * ns_per_tick(),
    }
}

fn attributes(profile: &Profile, process: ProcessId) -> Vec<(String, String)> {
    let processes = profile.processes().iter();
    let found = processes.filter(|found| found.id == process);
    let attributes = found.flat_map(|process| &process.attributes);
    attributes
        .map(|attribute| match attribute.value {
            Value::Text(text) => (profile[attribute.key].to_owned(), profile[text].to_owned()),
            Value::Integer(_) => unreachable!("all are texts"),
        })
        .collect()
}

#[test]
fn what_is_known_goes_into_the_profile() {
    let mut child = Command::new("cat")
        .env("OTEL_SERVICE_NAME", "web")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("cat");
    // It answers once it runs.
    use std::io::{Read, Write};
    child
        .stdin
        .as_mut()
        .expect("a pipe")
        .write_all(b"x")
        .expect("written");
    child
        .stdout
        .as_mut()
        .expect("a pipe")
        .read_exact(&mut [0])
        .expect("read");
    let process = id(child.id());
    let gone = ProcessId {
        start: process.start + 1_000_000_000,
        ..process
    };
    let mut identities = Identities::default();
    let mut profile = Profile::new();
    profile.process(process);
    profile.process(gone);
    identities.tell(&mut profile);
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let expected = [pair(SERVICE_NAME, "web"), pair(EXECUTABLE_NAME, "cat")];
    assert_eq!(attributes(&profile, process), expected);
    assert!(attributes(&profile, gone).is_empty());

    // What was known of it outlives the process.
    child.kill().expect("kill");
    child.wait().expect("wait");
    identities.look_again();
    let mut profile = Profile::new();
    profile.process(process);
    // It executed something else meanwhile, by what is known now.
    profile.process(ProcessId { exec: 2, ..process });
    identities.tell(&mut profile);
    assert_eq!(attributes(&profile, process), expected[..1]);
}

#[test]
fn the_least_recently_sampled_leave_first() {
    let mut identities = Identities::default();
    for pid in 0..MOST as u32 + 1 {
        let known = Known {
            place: Place::default(),
            identity: None,
            bytes: 10,
            round: u64::from(pid % 7 == 0),
            next: None,
            wait: SOON,
        };
        let process = ProcessId {
            pid,
            exec: 0,
            start: 0,
        };
        identities.of.insert(process, known);
        identities.bytes += 10;
    }
    identities.evict();
    assert_eq!(identities.of.len(), MOST / 2);
    assert_eq!(identities.bytes, 10 * identities.of.len());
    let kept = identities.of.keys().filter(|process| process.pid % 7 == 0);
    assert_eq!(kept.count(), (MOST + 1).div_ceil(7));
}

/// One that is gone before anybody could look at it is where the kernel side saw it.
#[test]
fn a_short_life_has_its_container() {
    let id = "ab".repeat(32);
    let uid = "5f3c2a10-9d1e-4b6a-8c55-0a1b2c3d4e5f";
    let pod = format!("pod{uid}");
    let names = [id.as_bytes(), pod.as_bytes(), b"burstable", b"kubepods"];
    let gone = ProcessId {
        pid: u32::MAX,
        exec: 1,
        start: 1,
    };
    let mut identities = Identities::default();
    identities.see(&gone, Place::of(names.into_iter(), 5));
    let mut profile = Profile::new();
    profile.process(gone);
    identities.tell(&mut profile);
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let expected = [pair("container.id", &id), pair("k8s.pod.uid", uid)];
    assert_eq!(attributes(&profile, gone), expected);
}
