//! The list and watch of a node's pods.

use std::collections::{BTreeMap, HashSet};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt, future};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use tokio::sync::Notify;

use super::backoff::Backoff;
use super::object::{PodObject, pod, pod_resource};
use super::opened::telling;
use super::owners::{Owners, ask, right};
use super::questions::{Question, Questions};
use super::trouble::Trouble;
use super::{KubernetesError, MakeConfig, Status};
use crate::metadata::pods::{Owner, Pod, Pods};

/// Longest quiet time of a connection: the server marks its place in a watch once a minute.
const QUIET: Duration = Duration::from_secs(150);
/// A right is missing.
const FORBIDDEN: &str = "forbidden";
/// Most owners that are asked for at the same time.
const ASKED: usize = 8;

/// How long things take.
#[derive(Clone, Copy)]
pub struct Times {
    /// After how long a row of failures everything is made anew: certificates, addresses.
    pub anew: Duration,
    /// How long a watch is to be open before it is believed that it goes on.
    pub settled: Duration,
    /// Pauses after failures: doubled from the first up to the most.
    pub first: Duration,
    pub most: Duration,
    /// The same between two questions for an owner that could not be answered.
    pub soon: Duration,
    pub seldom: Duration,
    /// The pause where owners may not be read: until somebody gives the right, all agents ask in vain.
    pub refused: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            anew: Duration::from_secs(120),
            settled: Duration::from_secs(2),
            first: Duration::from_millis(800),
            most: Duration::from_secs(30),
            soon: Duration::from_millis(500),
            seldom: Duration::from_secs(60),
            refused: Duration::from_secs(600),
        }
    }
}

pub struct Watch {
    node: String,
    config: Box<MakeConfig>,
    pods: Arc<Pods>,
    status: Arc<Mutex<Status>>,
    times: Times,
    backoff: Backoff,
    trouble: Trouble,
    owners: Owners,
    questions: Questions,
    /// What goes wrong with them, by the right that they need.
    owners_trouble: BTreeMap<&'static str, Trouble>,
    /// The uids of a list that is under way.
    listed: HashSet<String>,
    /// Whether there was a whole list.
    has_list: bool,
    /// When this client's failures began, if they are not over.
    failing: Option<Instant>,
}

impl Watch {
    pub fn new(
        node: &str,
        config: Box<MakeConfig>,
        pods: Arc<Pods>,
        status: Arc<Mutex<Status>>,
        times: Times,
    ) -> Self {
        Self {
            node: node.to_owned(),
            config,
            pods,
            status,
            times,
            backoff: Backoff::new(times.first, times.most),
            trouble: Trouble::default(),
            owners: Owners::default(),
            questions: Questions::new(times),
            owners_trouble: BTreeMap::new(),
            listed: HashSet::new(),
            has_list: false,
            failing: None,
        }
    }

    /// Watches until nobody wants it any more.
    pub async fn run(mut self) {
        loop {
            self.failing = None;
            self.pods.expect();
            let pause = match self.client() {
                Ok(client) => self.watch(client).await,
                Err(error) => self.failed("config", &error.to_string()),
            };
            self.pods.set_current(false);
            tokio::time::sleep(pause).await;
        }
    }

    fn client(&self) -> Result<Client, KubernetesError> {
        let mut config = (self.config)()?;
        config.read_timeout = Some(QUIET);
        // What fails is counted here, and tried again here.
        config.default_retry = false;
        Client::try_from(config).map_err(|error| KubernetesError::Config(Box::new(error)))
    }

    /// Returns when it has gone wrong for long, with the pause until the next try.
    async fn watch(&mut self, client: Client) -> Duration {
        let opened = Arc::new(Notify::new());
        let api: Api<PodObject> = Api::all_with(telling(client.clone(), &opened), &pod_resource());
        let config = watcher::Config::default().fields(&format!("spec.nodeName={}", self.node));
        let mut events = pin!(watcher(api, config));
        // Nothing is asked for before then.
        let mut resume = None;
        // When an open watch is believed in.
        let mut settled = None;
        let mut asked = FuturesUnordered::new();
        self.questions.begin_anew();
        loop {
            while asked.len() < ASKED
                && let Some(question) = self.questions.take()
            {
                let client = client.clone();
                asked.push(async move {
                    let answer = ask(client, &question.namespace, &question.owner).await;
                    (question, answer)
                });
            }
            // A question that waits for its time.
            let next = self.questions.next();
            let next = until(next.filter(|_| asked.len() < ASKED));
            let event = async {
                if resume.is_some() {
                    until(resume).await;
                }
                events.next().await
            };
            tokio::select! {
                event = event => match event {
                    Some(Ok(event)) => {
                        resume = None;
                        self.take(event);
                    }
                    Some(Err(error)) => {
                        let pause = self.failed(cause(&error), &error.to_string());
                        let failing = self.failing.map(|begin| begin.elapsed());
                        if failing.is_some_and(|failing| failing > self.times.anew) {
                            return pause;
                        }
                        resume = Some(tokio::time::Instant::now() + pause);
                        // What was open is so no more, even if that was not heard of yet.
                        settled = None;
                        let _ = opened.notified().now_or_never();
                    }
                    // It has no end.
                    None => return self.backoff.pause(Instant::now()),
                },
                Some((question, answer)) = asked.next(), if !asked.is_empty() => {
                    self.take_answer(question, answer);
                }
                () = opened.notified() => {
                    // It goes on where the last one ended, so nothing was missed.
                    self.pods.set_current(self.has_list);
                    settled = Some(tokio::time::Instant::now() + self.times.settled);
                }
                () = until(settled) => {
                    settled = None;
                    self.recovered();
                }
                () = next => {}
            }
        }
    }

    fn take(&mut self, event: Event<PodObject>) {
        match event {
            // A list is going to be asked for: no answer yet.
            Event::Init => {}
            Event::InitApply(_) => self.status().events += 1,
            Event::InitDone => {
                // That it can also be watched is still to be seen.
                self.status().lists += 1;
            }
            Event::Apply(_) | Event::Delete(_) => {
                self.status().events += 1;
                self.backoff.reset();
                self.recovered();
            }
        }
        match event {
            Event::Init => {
                self.listed.clear();
                self.has_list = false;
            }
            Event::InitApply(object) => {
                if let Some(pod) = pod(object) {
                    self.listed.insert(pod.uid.clone());
                    self.set(pod);
                }
            }
            Event::InitDone => {
                self.pods.retain(&self.listed);
                self.listed = HashSet::new();
                self.has_list = true;
                tracing::info!(
                    node = self.node,
                    pods = self.pods.counts().known,
                    "the node's pods are known"
                );
            }
            Event::Apply(object) => {
                if let Some(pod) = pod(object) {
                    self.set(pod);
                }
            }
            Event::Delete(object) => {
                if let Some(pod) = pod(object) {
                    // Its last state has ids that no other may have had.
                    let uid = pod.uid.clone();
                    self.set(pod);
                    self.pods.remove(&uid);
                }
            }
        }
        if self.has_list {
            self.pods.set_current(true);
        }
    }

    /// Pods are told of again.
    fn recovered(&mut self) {
        self.failing = None;
        self.trouble.end();
        self.show();
    }

    fn set(&mut self, mut pod: Pod) {
        let owner = self.owners.complete(&mut pod);
        let is_waiting = owner.is_some_and(|owner| self.questions.want(owner, &pod.namespace));
        self.pods.set(pod, is_waiting);
    }

    fn take_answer(&mut self, question: Question, answer: Result<Option<Owner>, kube::Error>) {
        let owned = self.pods.owned_by(&question.owner.uid);
        match answer {
            Ok(above) => {
                self.owners.put(&question.owner, above);
                for mut pod in owned {
                    self.owners.complete(&mut pod);
                    self.pods.set(pod, false);
                }
                self.questions.done(&question);
                if self.questions.go_well(&question) {
                    self.owners_trouble.remove(right(&question.owner));
                    self.show();
                }
            }
            Err(error) => {
                let cause = cause_of(&error);
                self.owner_failed(cause, &question.owner, &error);
                if owned.is_empty() {
                    // Its pods are gone, so nobody asks any more.
                    self.questions.done(&question);
                } else {
                    self.questions.failed(question, cause == FORBIDDEN);
                }
                // Nobody waits for it meanwhile.
                for pod in owned {
                    self.pods.set(pod, false);
                }
            }
        }
    }

    fn owner_failed(&mut self, cause: &'static str, owner: &Owner, error: &kube::Error) {
        self.count(cause);
        let right = right(owner);
        let remedy = if cause == FORBIDDEN {
            format!("; the agent's ClusterRole needs the right to {right}")
        } else {
            String::new()
        };
        let text = format!("{error}{remedy}");
        let trouble = self.owners_trouble.entry(right).or_default();
        if trouble.add(cause, &text) {
            tracing::warn!(
                cause,
                kind = owner.kind,
                "The API server can't be asked for owners of pods, so what stands above them is not named: {text}"
            );
        }
        self.show();
    }

    /// The watch does not go on by itself. How long it is to pause.
    fn failed(&mut self, cause: &'static str, text: &str) -> Duration {
        // What was known is not known to hold.
        self.pods.set_current(false);
        self.count(cause);
        if self.trouble.add(cause, text) {
            tracing::warn!(
                cause,
                "The API server can't be asked for pods; their names are those known before: {text}"
            );
        }
        self.show();
        let now = Instant::now();
        self.failing.get_or_insert(now);
        self.backoff.pause(now)
    }

    fn count(&self, cause: &'static str) {
        *self.status().errors.entry(cause).or_default() += 1;
    }

    fn show(&self) {
        let of_owners = || self.owners_trouble.values().find_map(Trouble::last);
        let last = self.trouble.last().or_else(of_owners).cloned();
        self.status().last_error = last;
    }

    fn status(&self) -> std::sync::MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// None: never.
async fn until(time: Option<tokio::time::Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => future::pending().await,
    }
}

fn cause(error: &watcher::Error) -> &'static str {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => cause_of(error),
        watcher::Error::WatchError(status) => cause_of_code(status.code),
        watcher::Error::NoResourceVersion => "answer",
    }
}

fn cause_of(error: &kube::Error) -> &'static str {
    match error {
        kube::Error::Api(status) => cause_of_code(status.code),
        kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) => "answer",
        kube::Error::Auth(_) => "token",
        _ => "connection",
    }
}

fn cause_of_code(code: u16) -> &'static str {
    match code {
        401 => "unauthorized",
        403 => FORBIDDEN,
        410 => "gone",
        429 => "too_many_requests",
        500..=599 => "server",
        _ => "answer",
    }
}
