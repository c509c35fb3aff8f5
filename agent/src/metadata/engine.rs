//! Names of containers where there is no Kubernetes: of docker's and podman's, asked over the socket
//! that the agent was given.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::pods::image;
use crate::process::cgroup::engine::{Named, ask};

/// Most containers that are remembered.
const MOST: usize = 10_000;
/// Between two questions, when one was of use and when not.
const SOON: Duration = Duration::from_secs(1);
const LATER: Duration = Duration::from_secs(10);

/// An engine and what it told.
pub struct Engine {
    socket: PathBuf,
    known: HashMap<String, Named>,
    next: Option<Instant>,
    failed: bool,
}

impl Engine {
    pub fn new(socket: PathBuf) -> Self {
        Self {
            socket,
            known: HashMap::new(),
            next: None,
            failed: false,
        }
    }

    /// Name and image of a container by OpenTelemetry's names. Nothing: the engine does not know it.
    pub fn attributes(&mut self, container: &str) -> Vec<(String, String)> {
        if !self.known.contains_key(container) {
            self.ask(container);
        }
        let Some(named) = self.known.get(container) else {
            return Vec::new();
        };
        let (image, tag) = image(&named.image);
        let name = named.names.first().map_or("", |name| name);
        let all = [
            ("container.name", name.trim_start_matches('/')),
            ("container.image.name", image),
            ("container.image.tags", tag),
        ];
        let all = all.into_iter().filter(|(_, value)| !value.is_empty());
        all.map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }

    fn ask(&mut self, wanted: &str) {
        let now = Instant::now();
        if self.next.is_some_and(|next| now < next) {
            return;
        }
        match ask(&self.socket, true) {
            Ok(all) => {
                if self.known.len() + all.len() > MOST {
                    self.known.clear();
                }
                let all = all.into_iter().take(MOST);
                self.known
                    .extend(all.map(|named| (named.id.clone(), named)));
                self.failed = false;
            }
            Err(error) => {
                if !self.failed {
                    tracing::warn!(
                        socket = %self.socket.display(),
                        "Containers have no names, since their engine can't be asked: {error}. Check \
                         container-engine."
                    );
                }
                self.failed = true;
            }
        }
        let of_use = self.known.contains_key(wanted);
        self.next = Some(Instant::now() + if of_use { SOON } else { LATER });
    }
}
