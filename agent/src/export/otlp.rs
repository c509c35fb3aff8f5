//! What an OTLP receiver says of a message.

use opentelemetry_proto::tonic::collector::profiles::v1development::ExportProfilesServiceResponse;
use prost::Message as _;

use super::client::Answer;
use super::grpc;
use super::verdict::{self, Outcome};

pub fn of_grpc(answer: &Answer) -> Outcome {
    match grpc::message(answer) {
        Ok(message) => of_response(&message),
        Err(outcome) => outcome,
    }
}

pub fn of_http(answer: &Answer) -> Outcome {
    let content = verdict::content_type(&answer.headers);
    let binary = content == Some("application/x-protobuf");
    if !answer.status.is_success() {
        let ours = binary || content == Some("application/json");
        let text = match grpc::Status::decode(&*answer.body) {
            Ok(status) if binary => status.message,
            _ => String::from_utf8_lossy(&answer.body).into_owned(),
        };
        return verdict::of_status(answer.status, &answer.headers, ours, &text);
    }
    match content {
        // Some receivers answer in JSON whatever they are asked in.
        Some("application/json") => of_json(&answer.body),
        // Anything may answer 200: a proxy's page for logging in is no receiver.
        Some(content) if !binary && !answer.body.is_empty() => Outcome::garbage(format!(
            "it answered {} with {}, which OTLP does not",
            answer.status,
            verdict::shown(content)
        )),
        _ => of_response(&answer.body),
    }
}

fn of_response(bytes: &[u8]) -> Outcome {
    match ExportProfilesServiceResponse::decode(bytes) {
        Ok(response) => {
            let partial = response.partial_success.unwrap_or_default();
            taken(partial.rejected_profiles, &partial.error_message)
        }
        Err(error) => Outcome::garbage(format!("its answer can't be decoded ({error})")),
    }
}

fn of_json(bytes: &[u8]) -> Outcome {
    #[derive(Default, serde::Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Response {
        partial_success: Partial,
    }
    #[derive(Default, serde::Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Partial {
        /// Numbers of 64 bits are texts in protobuf's JSON.
        rejected_profiles: serde_json::Value,
        error_message: String,
    }
    if bytes.is_empty() {
        return taken(0, "");
    }
    match serde_json::from_slice::<Response>(bytes) {
        Ok(Response { partial_success }) => {
            let number = &partial_success.rejected_profiles;
            let text = number.as_str().and_then(|text| text.parse().ok());
            let refused = number.as_i64().or(text).unwrap_or(0);
            taken(refused, &partial_success.error_message)
        }
        Err(error) => Outcome::garbage(format!("its answer can't be decoded ({error})")),
    }
}

/// A text alone is a warning.
fn taken(refused: i64, said: &str) -> Outcome {
    let refused = u64::try_from(refused).unwrap_or(0);
    Outcome::taken(refused, verdict::shown(said))
}
