//! A pod, as much of it as names and choices need.

use std::collections::BTreeMap;

/// Most container ids that are kept of one pod: those that ran before are still in samples.
const CONTAINERS: usize = 64;

/// What the API server tells of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    pub uid: String,
    pub namespace: String,
    pub name: String,
    pub node: String,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    /// What it belongs to, the nearest first: a ReplicaSet, then its Deployment.
    pub owners: Vec<Owner>,
    /// Of all kinds: init and ephemeral ones too, and those that ended.
    pub containers: Vec<Container>,
}

/// An object that controls another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// E.g. `ReplicaSet`.
    pub kind: String,
    pub name: String,
    pub uid: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// As the runtime names it in cgroups.
    pub id: String,
    pub name: String,
    pub image: String,
}

/// The hash of a static pod's manifest, by which the kubelet names its cgroup: the API server has
/// only a mirror of such a pod, under a uid of its own (`kubetypes.ConfigMirrorAnnotationKey`).
const MIRROR: &str = "kubernetes.io/config.mirror";
/// Its hexadecimal digits.
const HASH: usize = 32;

impl Pod {
    /// The hash in its cgroups' names, where that is not its uid. Nothing that looks like the uid of
    /// another: anybody may annotate a pod so.
    pub fn alias(&self) -> Option<&str> {
        let hash = self.annotations.get(MIRROR)?;
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        (hash.len() == HASH && hash.bytes().all(is_digit)).then_some(hash)
    }

    /// Bytes that it holds.
    pub(super) fn bytes(&self) -> usize {
        let texts = self.labels.iter().chain(&self.annotations);
        let texts: usize = texts.map(|(key, value)| key.len() + value.len() + 64).sum();
        let owners = self.owners.iter();
        let owners: usize = owners
            .map(|it| size_of::<Owner>() + it.kind.len() + it.name.len() + it.uid.len())
            .sum();
        // Ids stand in the index too.
        let containers = self.containers.iter();
        let containers: usize = containers
            .map(|it| {
                size_of::<Container>() + 2 * it.id.len() + it.name.len() + it.image.len() + 64
            })
            .sum();
        let own = self.uid.len() + self.namespace.len() + self.name.len() + self.node.len();
        size_of::<Self>() + texts + owners + containers + own
    }

    /// Takes over what an earlier state knew and this one no longer tells.
    pub(super) fn follow(&mut self, before: &Self) {
        for container in &before.containers {
            if self.containers.len() >= CONTAINERS {
                break;
            }
            if !self.containers.iter().any(|own| own.id == container.id) {
                self.containers.push(container.clone());
            }
        }
    }
}
