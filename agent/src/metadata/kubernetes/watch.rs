//! The list and watch of a node's pods.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::stream::FuturesUnordered;
use futures_util::{StreamExt, future};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};

use super::object::{PodObject, pod, pod_resource};
use super::owners::{Owners, ask};
use super::{KubernetesError, MakeConfig, Status};
use crate::metadata::pods::{Owner, Pod, Pods};

/// Longest quiet time of a connection: the server marks its place in a watch once a minute.
const QUIET: Duration = Duration::from_secs(150);
/// After which time without an answer everything is made anew: certificates, addresses.
const ANEW: Duration = Duration::from_secs(120);
/// Pause before that, where it fails at once.
const PAUSE: Duration = Duration::from_secs(5);
/// Between two questions for an owner that could not be answered: doubled up to the second.
const SOON: Duration = Duration::from_millis(500);
const SELDOM: Duration = Duration::from_secs(60);
/// Most owners that are asked for at the same time, and that wait to be.
const ASKED: usize = 8;
const WAITING: usize = 4096;

pub struct Watch {
    node: String,
    config: Box<MakeConfig>,
    pods: Arc<Pods>,
    status: Arc<Mutex<Status>>,
    owners: Owners,
    /// Owners to ask for, with the pods' namespace and when.
    wanted: Vec<Question>,
    /// Uids of owners that are being asked for.
    asking: HashSet<String>,
    /// The uids of a list that is under way.
    listed: HashSet<String>,
    /// Whether there was a whole list.
    has_list: bool,
    /// When the server last answered.
    answered: Instant,
}

#[derive(Clone)]
struct Question {
    owner: Owner,
    namespace: String,
    next: tokio::time::Instant,
    wait: Duration,
}

impl Watch {
    pub fn new(
        node: &str,
        config: Box<MakeConfig>,
        pods: Arc<Pods>,
        status: Arc<Mutex<Status>>,
    ) -> Self {
        Self {
            node: node.to_owned(),
            config,
            pods,
            status,
            owners: Owners::default(),
            wanted: Vec::new(),
            asking: HashSet::new(),
            listed: HashSet::new(),
            has_list: false,
            answered: Instant::now(),
        }
    }

    /// Watches until nobody wants it any more.
    pub async fn run(mut self) {
        loop {
            self.answered = Instant::now();
            self.pods.expect();
            match self.client() {
                Ok(client) => self.watch(client).await,
                Err(error) => self.failed("config", &error.to_string()),
            }
            self.pods.set_current(false);
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn client(&self) -> Result<Client, KubernetesError> {
        let mut config = (self.config)()?;
        config.read_timeout = Some(QUIET);
        // What fails is counted here, and tried again here.
        config.default_retry = false;
        Client::try_from(config).map_err(|error| KubernetesError::Config(Box::new(error)))
    }

    /// Returns when the server has not answered for long.
    async fn watch(&mut self, client: Client) {
        let api: Api<PodObject> = Api::all_with(client.clone(), &pod_resource());
        let config = watcher::Config::default().fields(&format!("spec.nodeName={}", self.node));
        let mut events = pin!(watcher(api, config).default_backoff());
        let mut asked = FuturesUnordered::new();
        self.asking.clear();
        loop {
            while asked.len() < ASKED
                && let Some(question) = self.take_question()
            {
                let client = client.clone();
                asked.push(async move {
                    let answer = ask(client, &question.namespace, &question.owner).await;
                    (question, answer)
                });
            }
            // A question that waits for its time.
            let next = self.wanted.iter().map(|question| question.next).min();
            let next = next.filter(|_| asked.len() < ASKED);
            let next = async {
                match next {
                    Some(next) => tokio::time::sleep_until(next).await,
                    None => future::pending().await,
                }
            };
            tokio::select! {
                event = events.next() => match event {
                    Some(Ok(event)) => self.take(event),
                    Some(Err(error)) => {
                        self.failed(cause(&error), &error.to_string());
                        if self.answered.elapsed() > ANEW {
                            return;
                        }
                    }
                    None => return,
                },
                Some((question, answer)) = asked.next(), if !asked.is_empty() => {
                    self.take_answer(question, answer);
                }
                () = next => {}
            }
        }
    }

    fn take(&mut self, event: Event<PodObject>) {
        self.answered = Instant::now();
        {
            let mut status = self.status();
            status.last_error = None;
            match event {
                Event::Init => status.lists += 1,
                Event::InitDone => {}
                _ => status.events += 1,
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

    fn set(&mut self, mut pod: Pod) {
        let owner = self.owners.complete(&mut pod);
        let namespace = pod.namespace.clone();
        let asked = |owner: &Owner| self.wanted.iter().find(|other| other.owner == *owner);
        let asked = owner.as_ref().and_then(asked);
        // One that could not be asked for is not waited for.
        let is_waiting = owner.is_some() && asked.is_none_or(|question| question.wait == SOON);
        let asking = owner.as_ref().map(|owner| self.asking.contains(&owner.uid));
        let is_new = asked.is_none() && asking == Some(false);
        self.pods.set(pod, is_waiting);
        if let Some(owner) = owner
            && self.wanted.len() < WAITING
            && is_new
        {
            self.wanted.push(Question {
                owner,
                namespace,
                next: tokio::time::Instant::now(),
                wait: SOON,
            });
        }
    }

    fn take_question(&mut self) -> Option<Question> {
        let now = tokio::time::Instant::now();
        let due = self
            .wanted
            .iter()
            .position(|question| question.next <= now)?;
        let question = self.wanted.swap_remove(due);
        self.asking.insert(question.owner.uid.clone());
        Some(question)
    }

    fn take_answer(&mut self, question: Question, answer: Result<Option<Owner>, kube::Error>) {
        self.asking.remove(&question.owner.uid);
        match answer {
            Ok(above) => {
                self.owners.put(&question.owner, above);
                for mut pod in self.pods.owned_by(&question.owner.uid) {
                    self.owners.complete(&mut pod);
                    self.pods.set(pod, false);
                }
            }
            Err(error) => {
                self.count(cause_of(&error), &error.to_string());
                // Nobody waits for it meanwhile.
                for pod in self.pods.owned_by(&question.owner.uid) {
                    self.pods.set(pod, false);
                }
                self.wanted.push(Question {
                    next: tokio::time::Instant::now() + question.wait,
                    wait: SELDOM.min(question.wait * 2),
                    ..question
                });
            }
        }
    }

    /// The watch does not go on by itself.
    fn failed(&self, cause: &'static str, text: &str) {
        // What was known is not known to hold.
        self.pods.set_current(false);
        self.count(cause, text);
    }

    fn count(&self, cause: &'static str, text: &str) {
        let mut status = self.status();
        *status.errors.entry(cause).or_default() += 1;
        let is_new = status.last_error.as_deref() != Some(text);
        status.last_error = Some(text.to_owned());
        drop(status);
        if is_new {
            tracing::warn!(
                cause,
                "The API server can't be asked for pods; their names are those known before: {text}"
            );
        }
    }

    fn status(&self) -> std::sync::MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
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
        403 => "forbidden",
        410 => "gone",
        429 => "too_many_requests",
        500..=599 => "server",
        _ => "answer",
    }
}
