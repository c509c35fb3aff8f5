//! Each place in the code may speak so often a minute; then it is counted how often it would have.
//! What is only said on request (debug, trace) is not limited.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Messages of one place in a [`WINDOW`].
pub const MOST: u32 = 20;
const WINDOW: Duration = Duration::from_secs(60);

/// What is told about messages that were left out comes from here, and is not limited.
const OWN: &str = "strata::left_out";

/// Longest part of a message that is repeated.
const SHOWN: usize = 80;

/// As many entries as there are places in the code.
#[derive(Default)]
pub struct Limit {
    places: Mutex<HashMap<Identifier, Place>>,
}

struct Place {
    since: Instant,
    said: u32,
    left_out: u64,
    /// The first that was left out.
    example: String,
    level: Level,
}

/// Messages that were left out.
struct LeftOut {
    number: u64,
    example: String,
    level: Level,
}

impl Limit {
    /// Whether a place may speak now.
    fn admit(&self, event: &Event<'_>, now: Instant) -> bool {
        let metadata = event.metadata();
        if *metadata.level() > Level::INFO || metadata.target() == OWN {
            return true;
        }
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let place = places.entry(metadata.callsite()).or_insert(Place {
            since: now,
            said: 0,
            left_out: 0,
            example: String::new(),
            level: *metadata.level(),
        });
        // A place with something to tell begins anew once that is told.
        if place.left_out == 0 && now.duration_since(place.since) >= WINDOW {
            place.since = now;
            place.said = 0;
        }
        if place.said < MOST {
            place.said += 1;
            return true;
        }
        if place.left_out == 0 {
            place.example = message(event);
        }
        place.left_out += 1;
        false
    }

    /// Takes what is to be told of places whose window is over.
    fn due(&self, now: Instant, window: Duration) -> Vec<LeftOut> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let over =
            |place: &&mut Place| place.left_out > 0 && now.duration_since(place.since) >= window;
        let due = places.values_mut().filter(over).map(|place| {
            place.since = now;
            place.said = 0;
            LeftOut {
                number: std::mem::take(&mut place.left_out),
                example: std::mem::take(&mut place.example),
                level: place.level,
            }
        });
        due.collect()
    }

    /// Tells what was left out in windows that are over.
    pub fn tell(&self) {
        tell(self.due(Instant::now(), WINDOW));
    }

    #[cfg(test)]
    pub fn tell_all(&self) {
        tell(self.due(Instant::now(), Duration::ZERO));
    }
}

fn tell(due: Vec<LeftOut>) {
    for LeftOut {
        number,
        example,
        level,
    } in due
    {
        match level {
            Level::INFO => tracing::info!(target: OWN, "{number} more like this: {example}"),
            _ => tracing::warn!(target: OWN, "{number} more like this: {example}"),
        }
    }
}

fn message(event: &Event<'_>) -> String {
    struct Message(String);
    impl Visit for Message {
        fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
            if field.name() == "message" {
                self.0 = format!("{value:?}");
            }
        }
    }
    let mut message = Message(String::new());
    event.record(&mut message);
    match message.0.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &message.0[..end]),
        None => message.0,
    }
}

pub struct LimitLayer(pub Arc<Limit>);

impl<S: Subscriber> Layer<S> for LimitLayer {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        self.0.admit(event, Instant::now())
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        // Its own messages are told from here too.
        if event.metadata().target() != OWN {
            self.0.tell();
        }
    }
}
