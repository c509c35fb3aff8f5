//! Parca's `parca.profilestore.v1alpha1.ProfileStoreService/WriteRaw` over gRPC
//! (github.com/parca-dev/parca, proto/parca/profilestore/v1alpha1/profilestore.proto).

use prost::Message;

use super::client::Answer;
use super::grpc;
use super::series::Series;
use super::verdict::Outcome;

#[derive(Clone, PartialEq, Message)]
pub struct WriteRawRequest {
    #[prost(string, tag = "1")]
    pub tenant: String,
    #[prost(message, repeated, tag = "2")]
    pub series: Vec<RawProfileSeries>,
    /// Whether addresses are those of the file itself, wherever it was loaded.
    #[prost(bool, tag = "3")]
    pub normalized: bool,
}

#[derive(Clone, PartialEq, Message)]
pub struct RawProfileSeries {
    #[prost(message, optional, tag = "1")]
    pub labels: Option<LabelSet>,
    #[prost(message, repeated, tag = "2")]
    pub samples: Vec<RawSample>,
}

#[derive(Clone, PartialEq, Message)]
pub struct LabelSet {
    #[prost(message, repeated, tag = "1")]
    pub labels: Vec<Label>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Label {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct RawSample {
    #[prost(bytes = "vec", tag = "1")]
    pub raw_profile: Vec<u8>,
}

pub fn request(series: Vec<Series>) -> Vec<u8> {
    let label = |(name, value)| Label { name, value };
    let series = series.into_iter().map(|series| RawProfileSeries {
        labels: Some(LabelSet {
            labels: series.labels.into_iter().map(label).collect(),
        }),
        samples: vec![RawSample {
            raw_profile: series.pprof,
        }],
    });
    let request = WriteRawRequest {
        series: series.collect(),
        normalized: true,
        ..WriteRawRequest::default()
    };
    request.encode_to_vec()
}

/// The answer's message has no members.
pub fn outcome(answer: &Answer) -> Outcome {
    match grpc::message(answer) {
        Ok(_) => Outcome::taken(0, String::new()),
        Err(outcome) => outcome,
    }
}
