//! Live tests: cgroups as the kubelet makes them, processes in them, the kernel side at work. They
//! take root, and are skipped by name where that can't be had.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use agent_common::filter::FILTER_POLICY;

use super::super::run::sampling;
use super::*;
use crate::metadata::pods::Pod;
use crate::metadata::select::{PROFILE, RATE, Rule};
use crate::process::cgroup::hierarchy::Hierarchy;
use crate::process::cgroup::hierarchy::hierarchies;
use crate::process::rights::check_rights;
use crate::session::{Session, View};

const BASE: u64 = 997;

/// A node's cgroups in one hierarchy. Removed in the end. There is one at a time: CPU time is measured.
struct Node {
    _alone: MutexGuard<'static, ()>,
    hierarchy: Hierarchy,
    top: PathBuf,
    made: Vec<PathBuf>,
}

impl Node {
    fn new(v2: bool) -> Option<Self> {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = check_rights() {
            eprintln!("skipped: {error}");
            return None;
        }
        let all = hierarchies(&cgroup_subsystem);
        let Some(hierarchy) = all.into_iter().find(|it| it.is_v2() == v2) else {
            eprintln!("skipped: no such hierarchy is mounted");
            return None;
        };
        let name = format!("strata-test-node-{}", std::process::id());
        let top = hierarchy.mount.join(name);
        let mut node = Self {
            _alone: alone,
            hierarchy,
            top,
            made: Vec::new(),
        };
        node.make("kubepods/burstable")
            .inspect_err(|error| eprintln!("skipped: no cgroup can be made: {error}"))
            .ok()?;
        Some(node)
    }

    fn make(&mut self, below: &str) -> std::io::Result<PathBuf> {
        let directory = self.top.join(below);
        fs::create_dir_all(&directory)?;
        self.made.push(directory.clone());
        Ok(directory)
    }

    /// The cgroup of a pod's container.
    fn pod(&mut self, uid: &str) -> PathBuf {
        let path = format!("kubepods/burstable/pod{uid}/{}", "c".repeat(64));
        self.make(&path).expect("a cgroup")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        for directory in &self.made {
            let mut directory = &**directory;
            while directory.starts_with(&self.top) {
                for _ in 0..100 {
                    match fs::remove_dir(directory) {
                        // Busy until the last of a process is gone.
                        Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                            sleep(Duration::from_millis(5));
                        }
                        _ => break,
                    }
                }
                directory = directory.parent().unwrap_or(Path::new("/"));
            }
        }
    }
}

/// A process that does nothing but compute.
struct Busy(Child);

impl Busy {
    fn start(cgroup: Option<&Path>) -> Self {
        let mut command = Command::new("nice");
        command.args(["-n", "5", "sh", "-c", "while :; do :; done"]);
        let busy = Self(command.spawn().expect("a shell"));
        if let Some(cgroup) = cgroup {
            let procs = cgroup.join("cgroup.procs");
            fs::write(procs, busy.pid().to_string()).expect("the cgroup");
        }
        busy
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    fn end(&self) {
        // SAFETY: takes no pointers; the child was not waited for, so that its pid is its own.
        unsafe { libc::kill(self.pid() as i32, libc::SIGKILL) };
    }

    /// Seconds of CPU time, as the kernel counts them.
    fn cpu(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("stat");
        let fields = stat.rsplit_once(')').expect("a name").1;
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks: u64 = ticks
            .map(|ticks| ticks.parse::<u64>().expect("ticks"))
            .sum();
        ticks as f64 / 100.0
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn pod(uid: &str, namespace: &str, annotations: &[(&str, &str)]) -> Pod {
    let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    Pod {
        uid: uid.to_owned(),
        namespace: namespace.to_owned(),
        name: format!("pod-{uid}"),
        labels: BTreeMap::from([("app".to_owned(), "web".to_owned())]),
        annotations: annotations.iter().map(pair).collect(),
        ..Pod::default()
    }
}

fn everything() -> Wanted {
    Wanted {
        rate: BASE,
        selection: Selection::default(),
        host: true,
    }
}

/// A session with its choice.
struct Bench {
    session: Session,
    chooser: Chooser,
}

/// What was sampled in a stretch of time.
struct Measured {
    /// Samples that the kernel side accepted, by pid: none of them is lost or late.
    accepted: BTreeMap<u32, u64>,
    /// ns that one stands for, of those whose samples came through.
    periods: BTreeMap<u32, BTreeSet<u64>>,
    /// CPU time of each process that was given: less than the stretch's, and more.
    least: Vec<f64>,
    most: Vec<f64>,
}

impl Measured {
    fn samples(&self, busy: &Busy) -> u64 {
        self.accepted.get(&busy.pid()).copied().unwrap_or(0)
    }
}

impl Bench {
    fn new(node: &Node, wanted: Wanted, pods: &Arc<Pods>, hold: Duration, busy: &[&Busy]) -> Self {
        let mut config = sampling(BASE);
        config.filter = FILTER_POLICY;
        config.cgroup_subsystem = node.hierarchy.subsystem;
        let pids: Vec<u32> = busy.iter().map(|busy| busy.pid()).collect();
        let mut session = Session::new(config, &pids).expect("a session");
        session.scan().expect("files");
        let ground = Ground {
            compared: Compared {
                hierarchy: node.hierarchy.clone(),
                has_pods: true,
            },
            hold,
        };
        let policies = session.policies().expect("the table");
        let chooser = Chooser::start(ground, policies, BASE, wanted, Some(Arc::clone(pods)));
        let chooser = chooser.expect("a thread");
        session.start().expect("clocks");
        let mut bench = Self { session, chooser };
        // Whatever has to be read first is read.
        bench.pump(Duration::from_millis(300));
        bench
    }

    fn pump(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until {
            sleep(Duration::from_millis(50));
            self.session.pump().expect("records");
        }
    }

    /// Until each of these has had so much CPU time, however busy the machine is.
    fn measure(&mut self, time: Duration, busy: &[&Busy]) -> Measured {
        let view = View {
            native_python: false,
            inlines: false,
        };
        let cpu = || -> Vec<f64> { busy.iter().map(|busy| busy.cpu()).collect() };
        // The kernel side's counts are read while a batch is made, which takes its time.
        let before = cpu();
        self.session.batch(view).expect("what came before");
        let begun = cpu();
        let until = Instant::now() + 20 * time;
        let is_enough = |begun: &[f64]| {
            let mut used = cpu().into_iter().zip(begun);
            used.all(|(now, begun)| now - begun >= time.as_secs_f64())
        };
        while !is_enough(&begun) && Instant::now() < until {
            self.pump(Duration::from_millis(50));
        }
        let ended = cpu();
        let (profile, statistics) = self.session.batch(view).expect("a batch");
        let after = cpu();
        let between = |from: &[f64], to: &[f64]| {
            let pairs = from.iter().zip(to);
            pairs.map(|(from, to)| to - from).collect()
        };
        let processes = statistics.processes.iter();
        let mut periods: BTreeMap<u32, BTreeSet<u64>> = BTreeMap::new();
        for (key, totals) in profile.samples() {
            let own = periods.entry(profile[key.process].id.pid).or_default();
            own.insert(totals.value / totals.weight.max(1));
        }
        Measured {
            accepted: processes.map(|it| (it.pid, it.tally.entries)).collect(),
            periods,
            least: between(&begun, &ended),
            most: between(&before, &after),
        }
    }
}

/// There are as many samples as belong to the CPU time of the process with this number, at this rate.
#[track_caller]
fn close(measured: &Measured, busy: &Busy, number: usize, rate: u64, by: f64) {
    let seconds = measured.samples(busy) as f64 / rate as f64;
    let (least, most) = (measured.least[number], measured.most[number]);
    assert!(
        least > 0.05 && seconds > least * (1.0 - by) && seconds < most * (1.0 + by),
        "{seconds:.3} s were sampled of {least:.3} to {most:.3} s"
    );
    // One that waited for something may be of before.
    let periods = measured.periods.get(&busy.pid());
    let expected = 1_000_000_000 / rate;
    assert!(
        periods.is_none_or(|periods| periods.contains(&expected)),
        "{periods:?}"
    );
}

/// Nobody else's, whatever a test that was killed has left.
fn uid(number: u32) -> String {
    format!("{:08x}-9d1e-4b6a-8c55-{number:012x}", std::process::id())
}

/// Annotations, a rule and a rate of its own, all at once; and each of them taken back.
fn choice(v2: bool) {
    let Some(mut node) = Node::new(v2) else {
        return;
    };
    let [plain, out, slow, ruled] = [1, 2, 3, 4].map(|number| {
        let cgroup = node.pod(&uid(number));
        Busy::start(Some(&cgroup))
    });
    let outside = Busy::start(None);
    let all = [&plain, &out, &slow, &ruled, &outside];
    let pods = Arc::new(Pods::default());
    pods.set(pod(&uid(1), "shop", &[]), false);
    pods.set(pod(&uid(2), "shop", &[(PROFILE, "false")]), false);
    pods.set(pod(&uid(3), "shop", &[(RATE, "199")]), false);
    pods.set(pod(&uid(4), "bank", &[]), false);
    pods.set_current(true);
    let rules =
        vec![Rule::new(&["bank".to_owned()], "app=web", Some(false), None).expect("a rule")];
    let wanted = Wanted {
        selection: Selection {
            only_chosen: false,
            rules,
        },
        ..everything()
    };
    let mut bench = Bench::new(&node, wanted, &pods, HOLD, &all);
    let first = bench.measure(Duration::from_secs(1), &all);
    assert_eq!((first.samples(&out), first.samples(&ruled)), (0, 0));
    close(&first, &plain, 0, BASE, 0.1);
    close(&first, &outside, 4, BASE, 0.1);
    // A fifth of the samples, by chance: of some 200 some 14 more or less.
    close(&first, &slow, 2, 199, 0.3);
    let counts = bench.chooser.counts();
    assert_eq!(
        (counts.sampled, counts.at_own_rate, counts.left_out),
        (1, 1, 2)
    );
    assert_eq!((counts.without_cgroup, counts.refused), (0, 0));

    // All of it the other way round, and the settings too.
    pods.set(pod(&uid(1), "shop", &[(PROFILE, "false")]), false);
    pods.set(pod(&uid(2), "shop", &[]), false);
    pods.set(pod(&uid(3), "shop", &[]), false);
    bench.chooser.want(Wanted {
        host: false,
        ..everything()
    });
    // Once the thread has come to it, the kernel side has too.
    let changed = Instant::now();
    let is_done = |counts: Counts| (counts.sampled, counts.left_out) == (3, 1);
    while !is_done(bench.chooser.counts()) {
        assert!(
            changed.elapsed() < Duration::from_secs(2),
            "no change after 2 s"
        );
        sleep(Duration::from_millis(10));
    }
    let second = bench.measure(Duration::from_millis(500), &all);
    assert_eq!((second.samples(&plain), second.samples(&outside)), (0, 0));
    for (busy, cpu) in [(&out, 1), (&slow, 2), (&ruled, 3)] {
        close(&second, busy, cpu, BASE, 0.1);
    }

    // A pod that is gone is left out until its last process has ended.
    pods.remove(&uid(1));
    sleep(Duration::from_millis(1500));
    let third = bench.measure(Duration::from_millis(200), &all);
    assert_eq!(third.samples(&plain), 0);
    let policies = bench.chooser.counts().policies;
    plain.end();
    let container = node.pod(&uid(1));
    let until = Instant::now() + Duration::from_secs(5);
    for directory in [&*container, container.parent().expect("the pod's")] {
        while fs::remove_dir(directory).is_err() {
            assert!(Instant::now() < until, "the cgroup stays");
            sleep(Duration::from_millis(10));
        }
    }
    while bench.chooser.counts().policies == policies {
        assert!(Instant::now() < until, "the policy stays");
        sleep(Duration::from_millis(50));
    }
}

#[test]
fn choice_in_v1() {
    choice(false);
}

#[test]
fn choice_in_v2() {
    choice(true);
}

/// Where pods have to be chosen, those that nothing is known of are not sampled.
#[test]
fn pods_are_sampled_once_they_are_chosen() {
    let Some(mut node) = Node::new(false).or_else(|| Node::new(true)) else {
        return;
    };
    let cgroup = node.pod(&uid(1));
    let early = Busy::start(Some(&cgroup));
    let pods = Arc::new(Pods::default());
    let only_chosen = Wanted {
        selection: Selection {
            only_chosen: true,
            rules: Vec::new(),
        },
        ..everything()
    };
    let mut bench = Bench::new(&node, only_chosen, &pods, Duration::ZERO, &[&early]);
    let unknown = bench.measure(Duration::from_millis(200), &[&early]);
    assert_eq!(unknown.samples(&early), 0);
    pods.set(pod(&uid(1), "shop", &[(PROFILE, "true")]), false);
    // Its cgroup comes after the pod is known.
    pods.set(pod(&uid(2), "shop", &[(PROFILE, "true")]), false);
    pods.set_current(true);
    sleep(Duration::from_millis(300));
    assert_eq!(bench.chooser.counts().without_cgroup, 1);
    let late = Busy::start(Some(&node.pod(&uid(2))));
    sleep(Duration::from_millis(300));
    let both = [&early, &late];
    let known = bench.measure(Duration::from_millis(500), &both);
    close(&known, &early, 0, BASE, 0.1);
    close(&known, &late, 1, BASE, 0.1);
}

/// The agent starts before it knows who the pods are: what is left out is not sampled for a moment.
#[test]
fn the_first_pods_are_waited_for() {
    let Some(mut node) = Node::new(false).or_else(|| Node::new(true)) else {
        return;
    };
    let busy = Busy::start(Some(&node.pod(&uid(7))));
    let other = Busy::start(Some(&node.pod(&uid(8))));
    let all = [&busy, &other];
    let pods = Arc::new(Pods::default());
    let mut bench = Bench::new(&node, everything(), &pods, Duration::from_secs(600), &all);
    let waiting = bench.measure(Duration::from_millis(200), &all);
    assert_eq!((waiting.samples(&busy), waiting.samples(&other)), (0, 0));
    pods.set(pod(&uid(7), "shop", &[(PROFILE, "false")]), false);
    pods.set_current(true);
    sleep(Duration::from_millis(300));
    let known = bench.measure(Duration::from_millis(500), &all);
    assert_eq!(known.samples(&busy), 0);
    // Nobody knows this one, and nobody leaves it out.
    close(&known, &other, 1, BASE, 0.1);
}
