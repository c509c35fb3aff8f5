//! Pyroscope's `push.v1.PusherService/Push` (github.com/grafana/pyroscope, api/push/v1/push.proto), as a unary call of the
//! Connect protocol: a POST of the message, an empty message as the answer, errors as JSON.

use prost::Message;

use super::client::Answer;
use super::series::Series;
use super::verdict::{self, Outcome};

#[derive(Clone, PartialEq, Message)]
pub struct PushRequest {
    #[prost(message, repeated, tag = "1")]
    pub series: Vec<RawSeries>,
}

#[derive(Clone, PartialEq, Message)]
pub struct RawSeries {
    #[prost(message, repeated, tag = "1")]
    pub labels: Vec<LabelPair>,
    #[prost(message, repeated, tag = "2")]
    pub samples: Vec<RawSample>,
}

#[derive(Clone, PartialEq, Message)]
pub struct LabelPair {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct RawSample {
    #[prost(bytes = "vec", tag = "1")]
    pub raw_profile: Vec<u8>,
    #[prost(string, tag = "2")]
    pub id: String,
}

pub fn request(series: Vec<Series>) -> Vec<u8> {
    let series = series.into_iter().map(|series| RawSeries {
        labels: pairs(series.labels),
        samples: vec![RawSample {
            raw_profile: series.pprof,
            id: series.id,
        }],
    });
    let request = PushRequest {
        series: series.collect(),
    };
    request.encode_to_vec()
}

fn pairs(labels: super::series::Labels) -> Vec<LabelPair> {
    let pair = |(name, value)| LabelPair { name, value };
    labels.into_iter().map(pair).collect()
}

pub fn outcome(answer: &Answer) -> Outcome {
    let content = verdict::content_type(&answer.headers);
    if !answer.status.is_success() {
        let json = content == Some("application/json");
        let error: Option<Error> = serde_json::from_slice(&answer.body).ok();
        let text = match error.filter(|_| json) {
            Some(error) => error.message,
            None => String::from_utf8_lossy(&answer.body).into_owned(),
        };
        return verdict::of_status(answer.status, &answer.headers, json, &text);
    }
    match content {
        Some("application/proto") => Outcome::taken(0, String::new()),
        None if answer.body.is_empty() => Outcome::taken(0, String::new()),
        content => Outcome::garbage(format!(
            "it answered {} with {}, which Pyroscope does not",
            answer.status,
            verdict::shown(content.unwrap_or("no content type"))
        )),
    }
}

#[derive(serde::Deserialize)]
struct Error {
    #[serde(default)]
    message: String,
}
