//! The agent's log: text or JSON on stderr. Its level can change while the agent runs, and no place
//! in the code fills it (`limit`).

mod format;
mod limit;

use std::io;
use std::sync::{Arc, OnceLock};

use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::Registry;
use tracing_subscriber::{EnvFilter, Layer, reload};

use super::config::LogFormat;
use limit::Limit;

/// What can still be changed of the log.
struct Control {
    filter: reload::Handle<EnvFilter, Registry>,
    limit: Arc<Limit>,
}

static CONTROL: OnceLock<Control> = OnceLock::new();

const LEVELS: &[&str] = &["off", "error", "warn", "info", "debug", "trace"];

/// What the libraries say. Kube warns of each request that fails; `metadata::kubernetes` says it once.
const LIBRARIES: &str = "warn,kube_runtime=error,kube_client=off";

/// What a level or a list of directives lets through. A level is that of Strata; the libraries say
/// no more than warnings.
pub fn filter(text: &str) -> Option<EnvFilter> {
    let is_level = |text: &str| LEVELS.contains(&text.trim().to_ascii_lowercase().as_str());
    if is_level(text) {
        let level = text.trim().to_ascii_lowercase();
        return match level.as_str() {
            "off" | "error" => EnvFilter::try_new(level).ok(),
            level => EnvFilter::try_new(format!("{LIBRARIES},strata={level}")).ok(),
        };
    }
    // By itself, `EnvFilter` takes any word for a target of which everything is let through.
    let is_directive = |part: &str| match part.rsplit_once('=') {
        Some((target, level)) => !target.trim().is_empty() && is_level(level),
        None => is_level(part),
    };
    text.split(',').all(is_directive).then_some(())?;
    EnvFilter::try_new(text).ok()
}

/// Begins to write the log. To be called once.
pub fn start(level: &str, format: LogFormat) {
    let (subscriber, control) = subscriber(level, format, is_journal(), io::stderr);
    if tracing::subscriber::set_global_default(subscriber).is_ok() {
        let _ = CONTROL.set(control);
    }
}

/// Takes another level.
pub fn set_level(level: &str) {
    if let (Some(control), Some(filter)) = (CONTROL.get(), filter(level)) {
        let _ = control.filter.reload(filter);
    }
}

/// Says what was left out, if there is something to say. To be called now and then.
pub fn tick() {
    if let Some(control) = CONTROL.get() {
        control.limit.tell();
    }
}

fn subscriber<W>(
    level: &str,
    format: LogFormat,
    journal: bool,
    writer: W,
) -> (impl tracing::Subscriber + Send + Sync, Control)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = filter(level).unwrap_or_else(|| EnvFilter::new("info"));
    let (filter, handle) = reload::Layer::new(filter);
    let limit = Arc::new(Limit::default());
    let layer = fmt::layer().with_writer(writer);
    let layer: Box<dyn Layer<_> + Send + Sync> = match format {
        LogFormat::Json => Box::new(layer.json().flatten_event(true).with_current_span(false)),
        LogFormat::Text if journal => Box::new(layer.event_format(format::Journal)),
        LogFormat::Text => Box::new(layer),
    };
    let subscriber = Registry::default()
        .with(filter)
        .with(limit::LimitLayer(Arc::clone(&limit)))
        .with(layer);
    let control = Control {
        filter: handle,
        limit,
    };
    (subscriber, control)
}

/// Whether stderr goes to systemd's journal, which has times and levels of its own.
fn is_journal() -> bool {
    let Some(stream) = std::env::var_os("JOURNAL_STREAM") else {
        return false;
    };
    // SAFETY: an all-zero `stat` is a valid one.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: `stat` has room for the answer.
    let known = unsafe { libc::fstat(libc::STDERR_FILENO, &raw mut stat) } == 0;
    known && stream.to_str() == Some(&format!("{}:{}", stat.st_dev, stat.st_ino))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written while `speak` runs.
    fn written(
        level: &str,
        format: LogFormat,
        journal: bool,
        speak: impl FnOnce(&Control),
    ) -> String {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let (subscriber, control) = subscriber(level, format, journal, move || writer.clone());
        tracing::subscriber::with_default(subscriber, || speak(&control));
        let bytes = buffer.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn levels_and_directives_are_known() {
        for right in [
            "info",
            "OFF",
            "debug",
            "info,strata::export=debug",
            "strata=trace",
        ] {
            assert!(filter(right).is_some(), "{right}");
        }
        for wrong in ["", "loud", "info,loud", "strata=loud", "=info", "strata"] {
            assert!(filter(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn json_is_an_object_a_line() {
        let text = written("info", LogFormat::Json, false, |_| {
            tracing::warn!(code = 7, "it is \"so\"");
            tracing::debug!("not this");
        });
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["level"], "WARN");
        assert_eq!(lines[0]["code"], 7);
        assert_eq!(lines[0]["message"], "it is \"so\"");
    }

    #[test]
    fn the_journal_gets_levels_its_own_way_and_no_time() {
        let text = written("debug", LogFormat::Text, true, |_| {
            tracing::error!("one");
            tracing::info!(code = 7, "two");
        });
        assert_eq!(text, "<3>one\n<6>two code=7\n");
    }

    #[test]
    fn the_level_changes() {
        let text = written("warn", LogFormat::Text, false, |control| {
            tracing::info!("before");
            control.filter.reload(filter("info").unwrap()).unwrap();
            tracing::info!("after");
        });
        assert!(!text.contains("before") && text.contains("after"), "{text}");
    }

    #[test]
    fn one_place_does_not_fill_the_log() {
        let text = written("info", LogFormat::Text, false, |control| {
            for number in 0..1_000 {
                tracing::warn!("again {number}");
            }
            tracing::warn!("another");
            control.limit.tell_all();
        });
        let of = |part: &str| text.matches(part).count();
        assert_eq!(of("again"), limit::MOST as usize + 1, "{text}");
        assert_eq!(of("another"), 1);
        assert!(
            text.contains(&format!("{} more", 1_000 - limit::MOST)),
            "{text}"
        );
    }
}
