//! A message as Pyroscope and Parca want it: a pprof for each set of labels, with the id that its
//! profile has in the message, so that a message sent again is known again.
//!
//! Labels are what a resource says of its service, container and host. What tells single processes
//! apart is none: each value of a label is a series of its own there. Samples keep it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use opentelemetry_proto::tonic::collector::profiles::v1development::ExportProfilesServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::profiles::v1development::ResourceProfiles;
use prost::Message as _;

use super::wire::WireError;
use crate::format::{self, Options, read};
use crate::profile::Profile;

const NAME: &str = "__name__";
const SERVICE: &str = "service_name";
/// What Pyroscope, Parca and Go programs call a profile of CPU time.
const CPU: &str = "process_cpu";
/// `process.pid`, `process.executable.path` and so on.
const OF_PROCESS: &str = "process.";

pub type Labels = BTreeMap<String, String>;

pub struct Series {
    pub labels: Labels,
    /// gzipped
    pub pprof: Vec<u8>,
    /// A UUID as text.
    pub id: String,
}

pub fn series(message: &[u8]) -> Result<Vec<Series>, WireError> {
    let message = ExportProfilesServiceRequest::decode(message).map_err(WireError::Decode)?;
    let dictionary = message.dictionary.unwrap_or_default();
    let mut groups = BTreeMap::<Labels, Vec<&ResourceProfiles>>::new();
    for resource in &message.resource_profiles {
        groups.entry(labels(resource)).or_default().push(resource);
    }
    let mut series = Vec::new();
    for (labels, resources) in groups {
        let mut profile = Profile::new();
        for resource in &resources {
            read::resource(&mut profile, resource, &dictionary).map_err(WireError::Read)?;
        }
        if profile.samples().len() == 0 {
            continue;
        }
        series.push(Series {
            labels,
            pprof: format::pprof(&profile, &Options::default()).map_err(WireError::Format)?,
            id: id(&resources),
        });
    }
    Ok(series)
}

fn labels(resource: &ResourceProfiles) -> Labels {
    let mut labels = Labels::new();
    let mut executable = None;
    let attributes = resource.resource.as_ref().map(|it| &*it.attributes);
    for attribute in attributes.unwrap_or_default() {
        let value = attribute.value.as_ref().and_then(|it| it.value.as_ref());
        let Some(Value::StringValue(text)) = value else {
            continue;
        };
        match attribute.key.as_str() {
            "process.executable.name" => executable = Some(text),
            key if key.starts_with(OF_PROCESS) || text.is_empty() => {}
            key => {
                labels.insert(label(key), text.clone());
            }
        }
    }
    labels.insert(NAME.to_owned(), CPU.to_owned());
    // By OpenTelemetry's rule for a service without a name.
    labels.entry(SERVICE.to_owned()).or_insert_with(|| {
        let executable = executable.filter(|name| !name.is_empty());
        executable.map_or_else(
            || "unknown_service".to_owned(),
            |name| format!("unknown_service:{name}"),
        )
    });
    labels
}

/// As labels are written: letters, digits and `_`.
fn label(key: &str) -> String {
    let fits = |letter: char| letter.is_ascii_alphanumeric();
    let mut label: String = key
        .chars()
        .map(|letter| if fits(letter) { letter } else { '_' })
        .collect();
    if !label.starts_with(|first: char| first.is_ascii_alphabetic()) {
        label.insert(0, '_');
    }
    // Such names are the other side's own.
    if label.starts_with("__") {
        label.insert_str(0, "label");
    }
    label
}

/// The id of the first profile, which is in no other group.
fn id(resources: &[&ResourceProfiles]) -> String {
    let scopes = resources
        .iter()
        .flat_map(|resource| &resource.scope_profiles);
    let mut ids = scopes
        .flat_map(|scope| &scope.profiles)
        .map(|it| &it.profile_id);
    let first = ids.find(|id| id.len() == 16);
    let mut text = String::new();
    for (place, byte) in first.map_or(&[0; 16][..], |id| id).iter().enumerate() {
        if [4, 6, 8, 10].contains(&place) {
            text.push('-');
        }
        // Writing to a text can't fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
