//! Who the pods of this node are, told by the API server: a list and a watch of the node's pods, and
//! one question for each owner that may have an owner.
//!
//! On a thread of its own. While the server is away, slow or refuses, what was known stays known,
//! and the watch goes on where it can; everything that goes wrong is counted.

mod backoff;
mod object;
mod opened;
mod owners;
mod questions;
#[cfg(test)]
mod tests;
mod trouble;
mod watch;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::{env, io, thread};

use kube::Config;
use serde::Serialize;
use tokio::sync::oneshot;

use self::watch::{Times, Watch};
use super::pods::{Counts, Pods};

/// The variables that tell a container of its cluster.
const HOST: &str = "KUBERNETES_SERVICE_HOST";

#[derive(Debug, thiserror::Error)]
pub enum KubernetesError {
    #[error(
        "This node's name is not known, so its pods can't be asked for: set node-name \
         (STRATA_NODE_NAME from the field spec.nodeName, as deploy/kustomize does), or kubernetes = \
         \"off\"."
    )]
    NoNode,
    #[error(
        "The API server can't be reached from here: {0}. Run the agent in a pod with a service \
         account, or set kubernetes = \"off\"."
    )]
    Config(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the thread that watches pods can't be started: {0}")]
    Thread(#[source] io::Error),
}

/// How it goes with the API server.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Status {
    pub node: String,
    /// Whether all pods are known and changes come.
    pub current: bool,
    pub pods: Counts,
    /// What the server told of pods.
    pub events: u64,
    /// Whole lists that it gave.
    pub lists: u64,
    /// Requests that failed, by cause.
    pub errors: BTreeMap<&'static str, u64>,
    /// The last of them, until one succeeds again.
    pub last_error: Option<String>,
}

/// A watch under way.
pub struct Kubernetes {
    pods: Arc<Pods>,
    status: Arc<Mutex<Status>>,
    /// Ends the thread when it is dropped.
    _stop: oneshot::Sender<()>,
}

impl Kubernetes {
    /// Whether this process runs in a pod.
    pub fn is_here() -> bool {
        env::var_os(HOST).is_some()
    }

    /// Watches the pods of `node` as the service account of the pod around this process.
    pub fn start(node: &str) -> Result<Self, KubernetesError> {
        // What is not there now, the pod was not given.
        in_cluster()?;
        Self::start_with(node, Box::new(in_cluster), Times::default())
    }

    /// The same by another configuration, which is asked for again when the server is away for long.
    fn start_with(
        node: &str,
        config: Box<MakeConfig>,
        times: Times,
    ) -> Result<Self, KubernetesError> {
        if node.is_empty() {
            return Err(KubernetesError::NoNode);
        }
        let pods = Arc::new(Pods::default());
        let status = Arc::new(Mutex::new(Status {
            node: node.to_owned(),
            ..Status::default()
        }));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(KubernetesError::Thread)?;
        let (stop, stopped) = oneshot::channel();
        let watch = Watch::new(node, config, Arc::clone(&pods), Arc::clone(&status), times);
        thread::Builder::new()
            .name("strata-pods".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = watch.run() => {}
                        _ = stopped => {}
                    }
                });
            })
            .map_err(KubernetesError::Thread)?;
        Ok(Self {
            pods,
            status,
            _stop: stop,
        })
    }

    pub fn pods(&self) -> &Arc<Pods> {
        &self.pods
    }

    pub fn status(&self) -> Status {
        let status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        Status {
            current: self.pods.is_current(),
            pods: self.pods.counts(),
            ..status.clone()
        }
    }
}

type MakeConfig = dyn Fn() -> Result<Config, KubernetesError> + Send;

fn in_cluster() -> Result<Config, KubernetesError> {
    Config::incluster_env().map_err(|error| KubernetesError::Config(Box::new(error)))
}
