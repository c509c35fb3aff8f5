//! The owner of a pod's owner: the Deployment of a ReplicaSet, the CronJob of a Job. Only the owner
//! itself knows; its name alone would be a guess.

use std::collections::HashMap;

use kube::api::DynamicObject;
use kube::{Api, Client};

use super::object::{controller, resource};
use crate::metadata::pods::{Owner, Pod};

/// Most owners that are remembered.
const MOST: usize = 4096;

/// What is known of owners, by uid.
#[derive(Default)]
pub struct Owners(HashMap<String, Option<Owner>>);

impl Owners {
    /// Adds what is known to a pod. Whom to ask for the rest, if anybody.
    pub fn complete(&self, pod: &mut Pod) -> Option<Owner> {
        let owner = pod
            .owners
            .last()
            .filter(|owner| may_be_owned(&owner.kind))?;
        match self.0.get(&owner.uid) {
            Some(Some(above)) => {
                pod.owners.push(above.clone());
                None
            }
            Some(None) => None,
            None => Some(owner.clone()),
        }
    }

    /// Remembers what came of asking.
    pub fn put(&mut self, owner: &Owner, above: Option<Owner>) {
        if self.0.len() >= MOST {
            // They are asked for again as their pods change.
            self.0.clear();
        }
        self.0.insert(owner.uid.clone(), above);
    }
}

/// Kinds that something may stand above, of those that own pods.
fn may_be_owned(kind: &str) -> bool {
    matches!(kind, "ReplicaSet" | "Job")
}

/// The right to read owners of a kind, as roles have it.
pub fn right(owner: &Owner) -> &'static str {
    match &*owner.kind {
        "ReplicaSet" => "get replicasets in apps",
        _ => "get jobs in batch",
    }
}

/// Asks what controls an owner. None: nothing, or it is gone.
pub async fn ask(
    client: Client,
    namespace: &str,
    owner: &Owner,
) -> Result<Option<Owner>, kube::Error> {
    let resource = match &*owner.kind {
        "ReplicaSet" => resource("apps", "v1", "ReplicaSet", "replicasets"),
        _ => resource("batch", "v1", "Job", "jobs"),
    };
    let api: Api<DynamicObject> = Api::namespaced_with(client, namespace, &resource);
    match api.get_metadata(&owner.name).await {
        Ok(object) if object.metadata.uid.as_deref() == Some(&owner.uid) => {
            Ok(controller(&object.metadata))
        }
        // Another one has its name by now.
        Ok(_) => Ok(None),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(kind: &str, name: &str) -> Owner {
        Owner {
            kind: kind.to_owned(),
            name: name.to_owned(),
            uid: format!("uid of {name}"),
        }
    }

    fn owned(by: Owner) -> Pod {
        Pod {
            owners: vec![by],
            ..Pod::default()
        }
    }

    #[test]
    fn an_owner_is_asked_for_once() {
        let mut owners = Owners::default();
        let set = owner("ReplicaSet", "web-1");
        let mut pod = owned(set.clone());
        assert_eq!(owners.complete(&mut pod), Some(set.clone()));
        owners.put(&set, Some(owner("Deployment", "web")));
        assert_eq!(owners.complete(&mut pod), None);
        assert_eq!(pod.owners, [set, owner("Deployment", "web")]);
        // Nothing is asked of what stands above.
        assert_eq!(owners.complete(&mut pod), None);
        assert_eq!(pod.owners.len(), 2);
    }

    #[test]
    fn those_without_owner_are_left_alone() {
        let mut owners = Owners::default();
        assert_eq!(owners.complete(&mut Pod::default()), None);
        assert_eq!(
            owners.complete(&mut owned(owner("StatefulSet", "db"))),
            None
        );
        let job = owner("Job", "once");
        owners.put(&job, None);
        let mut pod = owned(job);
        assert_eq!(owners.complete(&mut pod), None);
        assert_eq!(pod.owners.len(), 1);
    }

    #[test]
    fn there_is_a_bound() {
        let mut owners = Owners::default();
        for number in 0..3 * MOST {
            owners.put(&owner("Job", &number.to_string()), None);
        }
        assert!(owners.0.len() <= MOST);
    }
}
