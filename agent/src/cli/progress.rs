//! What goes on, on one line of a terminal. Where stderr is none, nothing of it is written.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use super::summary::samples;

/// How often the line changes.
const INTERVAL: Duration = Duration::from_millis(500);
/// Back to the line's begin, and all of it gone.
const CLEAR: &str = "\r\x1b[K";

/// The line.
pub struct Progress {
    shown: bool,
    next: Instant,
}

impl Progress {
    /// `alone`: nobody else writes to the terminal.
    pub fn new(alone: bool) -> Self {
        // A dumb terminal can't take a line back.
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        Self {
            shown: alone && io::stderr().is_terminal() && !dumb,
            next: Instant::now(),
        }
    }

    /// Says what is done now, until the next word.
    pub fn say(&mut self, text: &str) {
        if self.shown {
            let mut stderr = io::stderr().lock();
            // A terminal that is gone is no reason to end a recording.
            let _ = write!(stderr, "{CLEAR}{text}").and_then(|()| stderr.flush());
        }
    }

    /// Whether it is time to tell how far it is.
    pub fn is_due(&self) -> bool {
        self.shown && self.next <= Instant::now()
    }

    /// Tells how far it is.
    pub fn tell(&mut self, state: &State) {
        self.next = Instant::now() + INTERVAL;
        self.say(&state.line());
    }

    /// Makes room for lines that stay.
    pub fn clear(&mut self) {
        self.say("");
    }
}

/// How far a recording is.
pub struct State {
    pub elapsed: Duration,
    pub of: Option<Duration>,
    pub samples: u64,
    pub paused: bool,
}

impl State {
    fn line(&self) -> String {
        let of = match self.of {
            Some(all) => format!(" of {} s", all.as_secs_f64()),
            None => " s".to_owned(),
        };
        let paused = if self.paused { ", paused" } else { "" };
        format!(
            "Recording: {}{of}, {}{paused}. Ctrl-C ends it.",
            self.elapsed.as_secs(),
            samples(self.samples)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line() {
        let mut state = State {
            elapsed: Duration::from_millis(2900),
            of: None,
            samples: 1234,
            paused: false,
        };
        assert_eq!(
            state.line(),
            "Recording: 2 s, 1,234 samples. Ctrl-C ends it."
        );
        state.of = Some(Duration::from_millis(10_500));
        (state.samples, state.paused) = (1, true);
        assert_eq!(
            state.line(),
            "Recording: 2 of 10.5 s, 1 sample, paused. Ctrl-C ends it."
        );
    }
}
