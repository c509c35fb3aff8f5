//! The watch against a server of ours that goes wrong in every way that the real one may. (That it
//! understands the real one is shown on a cluster.)

mod server;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use self::server::{QUICK, Reply, Script, Server};
use super::*;
use crate::metadata::pods::{Change, Pods};

/// A log that is looked at.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("log").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn pod(uid: &str, version: u64, container: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": format!("web-{uid}"), "namespace": "shop", "uid": uid,
            "resourceVersion": version.to_string(),
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-1", "uid": "set",
                "controller": true,
            }],
        },
        "spec": {"nodeName": "n1"},
        "status": {"containerStatuses": [
            {"name": "app", "image": "web:1", "containerID": format!("containerd://{container}")},
        ]},
    })
}

fn list(version: u64, pods: Vec<Value>) -> Reply {
    let body = json!({
        "apiVersion": "v1", "kind": "PodList",
        "metadata": {"resourceVersion": version.to_string()}, "items": pods,
    });
    Reply::Json(200, body)
}

fn event(kind: &str, object: Value) -> Value {
    json!({"type": kind, "object": object})
}

fn status(code: u16, reason: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason,
        "message": reason, "metadata": {},
    })
}

fn deployment() -> Reply {
    let body = json!({
        "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
        "metadata": {
            "name": "web-1", "namespace": "shop", "uid": "set",
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "d",
                "controller": true,
            }],
        },
    });
    Reply::Json(200, body)
}

/// Waits until something holds, for longer than any pause of the watch.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < Duration::from_secs(60), "never: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn owners(pods: &Pods, container: &str) -> Vec<String> {
    let found = pods.find(Some(container), None);
    let owners = found.map(|found| found.pod.owners.clone());
    owners
        .into_iter()
        .flatten()
        .map(|owner| format!("{} {}", owner.kind, owner.name))
        .collect()
}

/// What a watch says on this thread until something holds.
fn said(watch: Watch, mut holds: impl FnMut() -> bool) -> String {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .finish();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let begin = Instant::now();
    let held = async {
        while !holds() && begin.elapsed() < Duration::from_secs(60) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tracing::subscriber::with_default(subscriber, || {
        runtime.block_on(async {
            tokio::select! {
                () = watch.run() => {}
                () = held => {}
            }
        });
    });
    assert!(begin.elapsed() < Duration::from_secs(60), "never");
    let log = log.0.lock().expect("log").clone();
    String::from_utf8(log).expect("text")
}

/// One that names pods of this server, as `start_with` makes it.
struct Watched {
    watch: Watch,
    pods: Arc<Pods>,
    status: Arc<Mutex<Status>>,
}

impl Watched {
    fn new(config: Box<MakeConfig>, times: Times) -> Self {
        let pods = Arc::new(Pods::default());
        let status: Arc<Mutex<Status>> = Arc::default();
        let watch = Watch::new("n1", config, Arc::clone(&pods), Arc::clone(&status), times);
        Self {
            watch,
            pods,
            status,
        }
    }
}

#[test]
fn pods_come_change_and_go() {
    let server = Server::start(Script {
        lists: [list(1, vec![pod("a", 1, "c1")])].into(),
        watches: [Reply::Stream(vec![
            event("ADDED", pod("b", 2, "c2")),
            event("MODIFIED", pod("a", 3, "c3")),
            event("DELETED", pod("b", 4, "c2")),
        ])]
        .into(),
        owners: [deployment()].into(),
        ..Script::default()
    });
    let kubernetes = server.watch();
    let pods = kubernetes.pods();
    until("the pod that goes", || pods.counts().gone == 1);
    // The one that is gone is still named, and so is the container that was replaced.
    for (container, name) in [("c1", "web-a"), ("c2", "web-b"), ("c3", "web-a")] {
        let found = pods.find(Some(container), None).expect(container);
        assert_eq!(found.pod.name, name);
        assert_eq!(found.container.expect("its name").name, "app");
    }
    until("the owner's owner", || {
        owners(pods, "c1") == ["ReplicaSet web-1", "Deployment web"]
    });
    let status = kubernetes.status();
    assert!(status.current && status.errors.is_empty());
    let requests = server.requests();
    let of_owners = requests.iter().filter(|head| head.contains("/apis/"));
    assert_eq!(of_owners.count(), 1, "{requests:?}");
    assert!(requests[0].contains("spec.nodeName"), "{requests:?}");
}

#[test]
fn a_server_that_refuses_is_asked_again() {
    let refused = [
        (429, "TooManyRequests"),
        (500, "InternalError"),
        (401, "Unauthorized"),
    ];
    let refused = refused.map(|(code, reason)| Reply::Json(code, status(code, reason)));
    let mut lists = VecDeque::from(refused);
    lists.push_back(list(1, vec![pod("a", 1, "c1")]));
    let server = Server::start(Script {
        lists,
        ..Script::default()
    });
    let kubernetes = server.watch();
    until("the pod", || {
        kubernetes.pods().find(Some("c1"), None).is_some()
    });
    until("all pods", || kubernetes.pods().is_current());
    let errors = kubernetes.status().errors;
    let counted: u64 = errors.values().sum();
    // The client may repeat some of them by itself.
    assert!((1..=3).contains(&counted), "{errors:?}");
    assert!(errors.contains_key("unauthorized"), "{errors:?}");
    until("all is well", || kubernetes.status().last_error.is_none());
}

#[test]
fn a_server_that_is_away_for_long_is_asked_seldom_and_everything_is_made_anew() {
    let refusals = (0..12).map(|_| Reply::Json(503, status(503, "ServiceUnavailable")));
    let mut lists: VecDeque<Reply> = refusals.collect();
    lists.push_back(list(1, vec![pod("a", 1, "c1")]));
    let server = Server::start(Script {
        lists,
        ..Script::default()
    });
    let made = Arc::new(AtomicUsize::new(0));
    let (config, count) = (server.config(), Arc::clone(&made));
    let config = move || {
        count.fetch_add(1, Ordering::Relaxed);
        Ok(config.clone())
    };
    let times = Times {
        anew: Duration::from_millis(400),
        ..QUICK
    };
    let watched = Watched::new(Box::new(config), times);
    let pods = watched.pods;
    let said = said(watched.watch, || pods.is_current());
    assert!(made.load(Ordering::Relaxed) > 1);
    let lists = server.lists();
    assert_eq!(lists.len(), 13);
    for pair in lists.windows(2).skip(4) {
        assert!(pair[1] - pair[0] >= QUICK.most, "{lists:?}");
    }
    let warnings = said.matches("can't be asked for pods").count();
    assert_eq!(warnings, 1, "{said}");
    let status = watched.status.lock().expect("status");
    assert_eq!((status.lists, status.errors["server"]), (1, 12));
}

#[test]
fn a_watch_that_is_too_old_begins_anew_and_finds_what_went() {
    let server = Server::start(Script {
        lists: [
            list(1, vec![pod("a", 1, "c1"), pod("b", 1, "c2")]),
            list(9, vec![pod("b", 8, "c2"), pod("c", 9, "c4")]),
        ]
        .into(),
        watches: [Reply::Stream(vec![event("ERROR", status(410, "Expired"))])].into(),
        ..Script::default()
    });
    let kubernetes = server.watch();
    let pods = kubernetes.pods();
    let changes = pods.subscribe();
    until("the new pod", || pods.find(Some("c4"), None).is_some());
    until("the old pod's end", || pods.counts().gone == 1);
    assert!(pods.find(Some("c1"), None).is_some());
    assert!(
        changes
            .try_iter()
            .any(|change| change == Change::Gone("a".to_owned()))
    );
    let status = kubernetes.status();
    assert_eq!((status.lists, status.errors["gone"]), (2, 1));
}

#[test]
fn a_connection_that_is_cut_goes_on_where_it_was() {
    let server = Server::start(Script {
        lists: [list(1, vec![])].into(),
        watches: [
            Reply::Cut(vec![event("ADDED", pod("a", 5, "c1"))]),
            Reply::Stream(vec![event("ADDED", pod("b", 6, "c2"))]),
        ]
        .into(),
        ..Script::default()
    });
    let kubernetes = server.watch();
    let pods = kubernetes.pods();
    until("the second pod", || pods.find(Some("c2"), None).is_some());
    assert!(pods.find(Some("c1"), None).is_some());
    let requests = server.requests();
    let resumed = requests
        .iter()
        .any(|head| head.contains("watch=true") && head.contains("resourceVersion=5"));
    assert!(resumed, "{requests:?}");
    assert_eq!(kubernetes.status().lists, 1);
}

#[test]
fn a_quiet_watch_that_breaks_and_goes_on_needs_no_event_to_be_current() {
    let server = Server::start(Script {
        lists: [list(1, vec![pod("a", 1, "c1")])].into(),
        watches: [
            Reply::Broken(Duration::ZERO),
            Reply::Broken(Duration::ZERO),
            Reply::Json(503, status(503, "ServiceUnavailable")),
            Reply::Stream(Vec::new()),
        ]
        .into(),
        ..Script::default()
    });
    let config = server.config();
    let watched = Watched::new(Box::new(move || Ok(config.clone())), QUICK);
    let (pods, state) = (watched.pods, watched.status);
    let mut were_current = false;
    let said = said(watched.watch, || {
        let state = state.lock().expect("status");
        let have_failed = state.errors.values().sum::<u64>() == 3;
        were_current |= have_failed && state.last_error.is_some() && pods.is_current();
        have_failed && state.last_error.is_none() && pods.is_current()
    });
    // From when it was open, and not only from when it was believed in.
    assert!(were_current);
    assert_eq!(said.matches("can't be asked for pods").count(), 2, "{said}");
    let state = state.lock().expect("status");
    assert_eq!((state.lists, state.events), (1, 1));
    assert_eq!((state.errors["connection"], state.errors["server"]), (2, 1));
}

#[test]
fn one_failure_after_a_long_quiet_time_asks_for_no_list() {
    let server = Server::start(Script {
        lists: (0..9).map(|_| list(1, Vec::new())).collect(),
        watches: [
            Reply::Broken(Duration::from_millis(500)),
            Reply::Stream(Vec::new()),
        ]
        .into(),
        ..Script::default()
    });
    let kubernetes = server.watch_in(Times {
        anew: Duration::from_millis(200),
        ..QUICK
    });
    until("the failure", || !kubernetes.status().errors.is_empty());
    until("all pods", || kubernetes.status().current);
    until("all is well", || kubernetes.status().last_error.is_none());
    assert_eq!(server.lists().len(), 1);
}

fn refusals() -> VecDeque<Reply> {
    let refusal = || Reply::Json(403, status(403, "Forbidden"));
    (0..10_000).map(|_| refusal()).collect()
}

#[test]
fn an_owner_that_may_not_be_read_is_left_out() {
    let server = Server::start(Script {
        lists: [list(1, vec![pod("a", 1, "c1")])].into(),
        owners: refusals(),
        ..Script::default()
    });
    let kubernetes = server.watch();
    let pods = kubernetes.pods();
    until("all pods", || pods.is_current());
    let wanted = [(Some("c1".to_owned()), Some("a".to_owned()))];
    let begin = Instant::now();
    pods.wait(&wanted, begin + Duration::from_secs(60));
    assert!(begin.elapsed() < Duration::from_secs(30));
    assert_eq!(owners(pods, "c1"), ["ReplicaSet web-1"]);
}

#[test]
fn a_right_that_is_missing_is_told_of_once_and_looked_for_again() {
    let server = Server::start(Script {
        lists: [list(1, vec![pod("a", 1, "c1")])].into(),
        owners: refusals(),
        ..Script::default()
    });
    let config = server.config();
    let watched = Watched::new(Box::new(move || Ok(config.clone())), QUICK);
    let (pods, state) = (watched.pods, watched.status);
    let said = said(watched.watch, || {
        let state = state.lock().expect("status");
        let is_known = owners(&pods, "c1").len() == 2;
        let are_refused = state.errors.get("forbidden") >= Some(&3);
        if are_refused && !is_known {
            // It is no fault of the pods' own.
            assert!(pods.is_current());
            assert_eq!(owners(&pods, "c1"), ["ReplicaSet web-1"]);
            let told = state.last_error.as_deref().unwrap_or_default();
            assert!(told.contains("right to get replicasets in apps"), "{told}");
            server.script.lock().expect("script").owners = [deployment()].into();
        }
        is_known
    });
    assert_eq!(
        said.matches("right to get replicasets").count(),
        1,
        "{said}"
    );
    assert_eq!(state.lock().expect("status").last_error, None);
}

#[test]
fn an_owner_that_can_t_be_asked_for_keeps_nobody_waiting() {
    let server = Server::start(Script {
        lists: [list(1, vec![pod("a", 1, "c1")])].into(),
        // What the client repeats by itself is among them.
        owners: (0..40)
            .map(|_| Reply::Json(500, status(500, "InternalError")))
            .collect(),
        ..Script::default()
    });
    let kubernetes = server.watch();
    until("all pods", || kubernetes.pods().is_current());
    let wanted = [(Some("c1".to_owned()), Some("a".to_owned()))];
    kubernetes
        .pods()
        .wait(&wanted, Instant::now() + Duration::from_secs(60));
    assert_eq!(kubernetes.pods().counts().strangers, 0);
    assert_eq!(owners(kubernetes.pods(), "c1"), ["ReplicaSet web-1"]);
    assert!(kubernetes.pods().is_current());
    server.script.lock().expect("script").owners = [deployment()].into();
    until("the owner's owner", || {
        owners(kubernetes.pods(), "c1").len() == 2
    });
}

#[test]
fn who_is_not_in_a_pod_is_told_so() {
    let error = Kubernetes::start_with("", Box::new(in_cluster), Times::default())
        .err()
        .expect("no node");
    assert!(error.to_string().contains("STRATA_NODE_NAME"), "{error}");
}
