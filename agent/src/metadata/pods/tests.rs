use std::thread;

use super::*;

fn container(id: &str, name: &str) -> Container {
    Container {
        id: id.to_owned(),
        name: name.to_owned(),
        image: String::new(),
    }
}

fn pod(uid: &str, containers: &[(&str, &str)]) -> Pod {
    Pod {
        uid: uid.to_owned(),
        name: format!("pod {uid}"),
        containers: containers
            .iter()
            .map(|(id, name)| container(id, name))
            .collect(),
        ..Pod::default()
    }
}

fn names(found: Option<Found>) -> Option<(String, Option<String>)> {
    let found = found?;
    let container = found.container.map(|container| container.name);
    Some((found.pod.name.clone(), container))
}

fn is(pod: &str, container: Option<&str>) -> Option<(String, Option<String>)> {
    Some((pod.to_owned(), container.map(str::to_owned)))
}

#[test]
fn by_container_and_by_uid() {
    let pods = Pods::default();
    pods.set(pod("a", &[("c1", "app")]), false);
    let find = |container, uid| names(pods.find(container, uid));
    assert_eq!(find(Some("c1"), None), is("pod a", Some("app")));
    // A pod that nobody knows, whose processes may give their cgroups any names.
    assert_eq!(find(Some("c1"), Some("b")), None);
    // One that is known has no other's container.
    pods.set(pod("z", &[]), false);
    assert_eq!(find(Some("c1"), Some("z")), is("pod z", None));
    // Its status is not there yet.
    assert_eq!(find(Some("c2"), Some("a")), is("pod a", None));
    assert_eq!(find(None, Some("a")), is("pod a", None));
    assert_eq!(find(Some("c2"), Some("b")), None);
    assert_eq!(find(None, None), None);
    // A cluster inside a pod.
    pods.set_around(Some("outer".to_owned()));
    assert_eq!(find(Some("c1"), Some("outer")), is("pod a", Some("app")));
    assert_eq!(find(Some("c1"), Some("b")), None);
    // Here pods have cgroups of their own, and it is in none.
    assert_eq!(find(Some("c1"), None), None);
}

#[test]
fn containers_that_ended_keep_their_names() {
    let pods = Pods::default();
    pods.set(pod("a", &[("c1", "app")]), false);
    pods.set(pod("a", &[("c2", "app")]), false);
    pods.set(pod("a", &[("c3", "app")]), false);
    let find = |container| names(pods.find(Some(container), None));
    for id in ["c1", "c2", "c3"] {
        assert_eq!(find(id), is("pod a", Some("app")), "{id}");
    }
    pods.remove("a");
    assert_eq!(find("c1"), is("pod a", Some("app")));
    assert_eq!((pods.counts().known, pods.counts().gone), (1, 1));
}

#[test]
fn a_pod_with_many_restarts_is_bounded() {
    let pods = Pods::default();
    for number in 0..1000 {
        let id = format!("c{number}");
        pods.set(pod("a", &[(&id, "app")]), false);
    }
    let found = pods.find(Some("c999"), None).expect("the last one");
    assert!(found.pod.containers.len() <= 64);
    assert_eq!(pods.lock().containers.len(), found.pod.containers.len());
}

#[test]
fn static_pods_have_two_uids() {
    let pods = Pods::default();
    let mirror = |uid: &str, of: &str| {
        let mut mirror = pod(uid, &[]);
        let key = "kubernetes.io/config.mirror".to_owned();
        mirror.annotations.insert(key, of.to_owned());
        pods.set(mirror, false);
    };
    let find = |uid| names(pods.find(None, Some(uid)));
    let hash = "0123456789abcdef0123456789abcdef";
    mirror("a", hash);
    assert_eq!(find(hash), is("pod a", None));
    // Nobody takes that from a pod that is there, and no pod's uid.
    mirror("b", hash);
    pods.set(pod("victim", &[]), false);
    mirror("c", "victim");
    assert_eq!(find(hash), is("pod a", None));
    assert_eq!(find("victim"), is("pod victim", None));
    pods.remove("a");
    mirror("b", hash);
    assert_eq!(find(hash), is("pod b", None));
}

#[test]
fn there_is_a_bound_and_those_that_are_gone_leave_first() {
    let pods = Pods::default();
    for number in 0..MOST {
        pods.set(pod(&format!("u{number}"), &[]), false);
    }
    pods.set(pod("more", &[]), false);
    assert_eq!(pods.counts().refused, 1);
    assert!(pods.find(None, Some("more")).is_none());
    for number in 0..10 {
        pods.remove(&format!("u{number}"));
    }
    pods.set(pod("more", &[]), false);
    assert!(pods.find(None, Some("more")).is_some());
    assert!(pods.find(None, Some("u4000")).is_some());
    assert!(pods.counts().known <= MOST);
}

#[test]
fn the_bytes_have_a_bound_too() {
    let pods = Pods::default();
    let large = |number: usize| {
        let mut pod = pod(&format!("u{number}"), &[]);
        pod.labels.insert("a".to_owned(), "x".repeat(1 << 20));
        pod
    };
    for number in 0..20 {
        pods.set(large(number), false);
        pods.set(large(number), false);
    }
    // The one that fills it has still found room.
    assert_eq!((pods.counts().known, pods.counts().refused), (16, 8));
    for number in 0..16 {
        pods.remove(&format!("u{number}"));
    }
    pods.set(large(20), false);
    let inner = pods.lock();
    let bytes: usize = inner.pods.values().map(|entry| entry.pod.bytes()).sum();
    assert_eq!(inner.bytes, bytes);
    assert!(inner.pods.contains_key("u20") && inner.pods.len() < 16);
}

#[test]
fn who_listens_hears_of_what_changes() {
    let pods = Pods::default();
    let first = pod("a", &[]);
    pods.set(first.clone(), false);
    let changes = pods.subscribe();
    // The same again is no change.
    pods.set(first.clone(), false);
    let second = pod("a", &[("c", "app")]);
    pods.set(second.clone(), false);
    pods.remove("a");
    pods.remove("a");
    pods.set(second.clone(), false);
    let all: Vec<Change> = changes.try_iter().collect();
    let known = |pod: &Pod| Change::Known(Arc::new(pod.clone()));
    let expected = [
        known(&first),
        known(&second),
        Change::Gone("a".to_owned()),
        known(&second),
    ];
    assert_eq!(all, expected);
}

#[test]
fn what_a_new_list_lacks_is_gone() {
    let pods = Pods::default();
    for uid in ["a", "b", "c"] {
        pods.set(pod(uid, &[]), false);
    }
    let changes = pods.subscribe();
    let _here: Vec<Change> = changes.try_iter().collect();
    pods.retain(&HashSet::from(["b".to_owned()]));
    let mut gone: Vec<Change> = changes.try_iter().collect();
    gone.sort_by_key(|change| format!("{change:?}"));
    let expected = ["a", "c"].map(|uid| Change::Gone(uid.to_owned()));
    assert_eq!(gone, expected);
}

#[test]
fn waits_for_who_is_about_to_be_known() {
    let pods = Arc::new(Pods::default());
    let wanted = [(Some("c1".to_owned()), Some("a".to_owned()))];
    let long = || Instant::now() + Duration::from_secs(60);
    // Who is not watching has nothing to wait for; at the start the list may be on its way.
    pods.wait(&wanted, long());
    pods.expect();
    let begin = Instant::now();
    pods.wait(&wanted, begin + Duration::from_millis(20));
    assert!(begin.elapsed() >= Duration::from_millis(20));
    assert_eq!(pods.counts().strangers, 0);
    pods.set_current(true);
    let other = Arc::clone(&pods);
    let watching = thread::spawn(move || {
        for (containers, is_waiting) in [(&[][..], false), (&[("c1", "app")][..], true)] {
            other.set(pod("a", containers), is_waiting);
            thread::sleep(Duration::from_millis(20));
        }
        other.set(pod("a", &[("c1", "app")]), false);
    });
    pods.wait(&wanted, long());
    let found = pods.find(Some("c1"), None);
    assert_eq!(names(found), is("pod a", Some("app")));
    assert!(!pods.lock().pods["a"].is_waiting);
    watching.join().expect("the other thread");

    // Who never becomes known is waited for once.
    let stranger = [(Some("pause".to_owned()), Some("a".to_owned()))];
    pods.wait(&stranger, Instant::now() + Duration::from_millis(10));
    assert_eq!(pods.counts().strangers, 1);
    pods.wait(&stranger, long());
    // What is in a pod and in no container of it, as an engine's helper, is not waited for.
    pods.wait(&[(None, Some("a".to_owned()))], long());
}
