//! The room against servers that behave and that do not. What each of them received is compared with
//! what was put into the store: in order, once where it was answered.

mod calls;
mod collector;
mod grpc_server;
mod http_server;
mod outages;
mod push;
mod rules;
mod tls;

use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::profiles::v1development::ExportProfilesServiceRequest;
use opentelemetry_proto::tonic::profiles::v1development as messages;
use prost::Message as _;
use tempfile::TempDir;

use super::pace::Pace;
use super::{Destination, Exporters, Protocol, Status};
use crate::store::{Limits, Message, Store};

/// A test that waits for longer has failed.
const PATIENCE: Duration = Duration::from_secs(60);
const NAME: &str = "there";

/// Quick, so that many failures fit into a test.
const QUICK: Pace = Pace {
    first: Duration::from_millis(20),
    most: Duration::from_millis(100),
    blocked: Duration::from_millis(100),
    doubtful: 4,
};

struct Fixture {
    store: Arc<Store>,
    exporters: Exporters,
    _folder: TempDir,
}

impl Fixture {
    fn new(destination: Destination) -> Self {
        Self::of(vec![destination], QUICK)
    }

    fn of(destinations: Vec<Destination>, pace: Pace) -> Self {
        let folder = TempDir::new().unwrap();
        let limits = Limits {
            bytes: 64 << 20,
            age: Duration::from_secs(3600),
        };
        let store = Arc::new(Store::open(&folder.path().join("store"), limits).unwrap());
        let exporters = Exporters::start_at(destinations, Arc::clone(&store), pace).unwrap();
        Self {
            store,
            exporters,
            _folder: folder,
        }
    }

    /// Puts messages into the store, each by itself.
    fn append(&self, numbers: impl IntoIterator<Item = u64>) {
        for number in numbers {
            self.store.append(&[message(number)]).unwrap();
        }
    }

    fn status(&self) -> Status {
        self.exporters.status().remove(0)
    }

    /// Waits for what must come.
    #[track_caller]
    fn until(&self, holds: impl Fn(&Status) -> bool) -> Status {
        let end = Instant::now() + PATIENCE;
        loop {
            let status = self.status();
            if holds(&status) {
                return status;
            }
            assert!(Instant::now() < end, "it did not come: {status:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn to(protocol: Protocol, endpoint: &str) -> Destination {
    let mut destination = Destination::new(NAME, protocol, endpoint);
    destination.timeout = Duration::from_secs(5);
    destination
}

/// A message that is told from others by its id. What is in it is right, so that receivers take it.
fn message(number: u64) -> Message {
    let texts = ["", "samples", "count", "cpu", "nanoseconds", "work"];
    let dictionary = messages::ProfilesDictionary {
        mapping_table: vec![messages::Mapping::default()],
        location_table: vec![
            messages::Location::default(),
            messages::Location {
                lines: vec![messages::Line {
                    function_index: 1,
                    line: i64::try_from(number).unwrap(),
                    column: 0,
                }],
                ..messages::Location::default()
            },
        ],
        function_table: vec![
            messages::Function::default(),
            messages::Function {
                name_strindex: 5,
                ..messages::Function::default()
            },
        ],
        link_table: vec![messages::Link {
            trace_id: vec![0; 16],
            span_id: vec![0; 8],
        }],
        string_table: texts.map(str::to_owned).to_vec(),
        attribute_table: vec![messages::KeyValueAndUnit::default()],
        stack_table: vec![
            messages::Stack::default(),
            messages::Stack {
                location_indices: vec![1],
            },
        ],
    };
    let value_type = |name, unit| {
        Some(messages::ValueType {
            type_strindex: name,
            unit_strindex: unit,
        })
    };
    let profile = messages::Profile {
        sample_type: value_type(1, 2),
        samples: vec![messages::Sample {
            stack_index: 1,
            values: vec![3],
            ..messages::Sample::default()
        }],
        time_unix_nano: 1_700_000_000_000_000_000 + number,
        duration_nano: 10_000_000_000,
        period_type: value_type(3, 4),
        period: 52_631_578,
        profile_id: u128::from(number).to_be_bytes().to_vec(),
        ..messages::Profile::default()
    };
    let request = ExportProfilesServiceRequest {
        resource_profiles: vec![messages::ResourceProfiles {
            scope_profiles: vec![messages::ScopeProfiles {
                profiles: vec![profile],
                ..messages::ScopeProfiles::default()
            }],
            ..messages::ResourceProfiles::default()
        }],
        dictionary: Some(dictionary),
    };
    Message {
        start: 1_700_000_000_000_000_000 + number,
        end: 1_700_000_010_000_000_000 + number,
        samples: 3,
        bytes: request.encode_to_vec(),
    }
}

/// Which message it is, if it is one byte for byte.
fn number(bytes: &[u8]) -> Option<u64> {
    let request = ExportProfilesServiceRequest::decode(bytes).ok()?;
    let profiles = &request
        .resource_profiles
        .first()?
        .scope_profiles
        .first()?
        .profiles;
    let id: [u8; 16] = profiles.first()?.profile_id.clone().try_into().ok()?;
    let number = u64::try_from(u128::from_be_bytes(id)).ok()?;
    (message(number).bytes == bytes).then_some(number)
}
