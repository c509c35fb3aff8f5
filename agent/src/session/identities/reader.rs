//! The thread that reads.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use agent_common::process::ProcessId;

use crate::metadata::{Identity, identify};
use crate::process::ProcessHandle;

/// Most processes that wait to be looked at.
const WAITING: usize = 1024;
/// Who has not been read in this time does not want to be read.
const PATIENCE: Duration = Duration::from_secs(5);
/// Most threads that are left waiting for such a process. After that nobody is looked at any more.
const STUCK: usize = 4;

/// What became of a look.
pub struct Answer {
    pub process: ProcessId,
    /// None: it is gone, or lets nobody read it.
    pub identity: Option<Identity>,
    /// Whether it may be asked for again.
    pub alive: bool,
    pub spent: Duration,
}

type Look = fn(&ProcessId, Option<Identity>) -> (Option<Identity>, bool);

/// Looks at processes, one after the other.
pub struct Reader {
    look: Look,
    thread: Option<Worker>,
    /// Those that are asked for and not answered, the one that is being looked at first.
    asked: VecDeque<(ProcessId, Option<Identity>)>,
    /// Since when the first of them is.
    since: Instant,
    stuck: usize,
}

struct Worker {
    questions: Sender<(ProcessId, Option<Identity>)>,
    answers: Receiver<Answer>,
}

impl Default for Reader {
    fn default() -> Self {
        Self::by(look)
    }
}

impl Reader {
    pub fn by(look: Look) -> Self {
        Self {
            look,
            thread: None,
            asked: VecDeque::new(),
            since: Instant::now(),
            stuck: 0,
        }
    }

    /// Asks for a process. Returns whether it is being looked at.
    pub fn ask(&mut self, process: ProcessId, known: Option<Identity>) -> bool {
        if self.asked.len() >= WAITING || self.stuck >= STUCK {
            return false;
        }
        if self.asked.is_empty() {
            self.since = Instant::now();
        }
        self.asked.push_back((process, known.clone()));
        self.send(process, known)
    }

    fn send(&mut self, process: ProcessId, known: Option<Identity>) -> bool {
        if self.thread.is_none() {
            self.thread = Worker::start(self.look);
        }
        let sent = self.thread.as_ref();
        let sent = sent.is_some_and(|thread| thread.questions.send((process, known)).is_ok());
        if !sent {
            self.asked.pop_back();
        }
        sent
    }

    /// An answer that has come.
    pub fn poll(&mut self) -> Option<Answer> {
        self.wait(Instant::now())
    }

    /// An answer that comes until then. None: there is none, or nobody is asked for.
    pub fn wait(&mut self, until: Instant) -> Option<Answer> {
        let thread = self.thread.as_ref().filter(|_| !self.asked.is_empty())?;
        let left = until.saturating_duration_since(Instant::now());
        match thread.answers.recv_timeout(left) {
            Ok(answer) => {
                self.asked.pop_front();
                self.since = Instant::now();
                Some(answer)
            }
            Err(RecvTimeoutError::Timeout) if self.since.elapsed() < PATIENCE => None,
            Err(_) => self.give_up(),
        }
    }

    /// Leaves the thread to whom it waits for, and goes on with another one.
    fn give_up(&mut self) -> Option<Answer> {
        self.thread = None;
        self.stuck += 1;
        let (process, _) = self.asked.pop_front()?;
        if self.stuck == STUCK {
            tracing::warn!(
                "{STUCK} processes keep their memory from being read, the last one is {}: services \
                 and containers of further processes stay unknown.",
                process.pid
            );
        }
        self.since = Instant::now();
        let others = std::mem::take(&mut self.asked);
        for (process, known) in others {
            self.ask(process, known);
        }
        Some(Answer {
            process,
            identity: None,
            alive: false,
            spent: Duration::ZERO,
        })
    }
}

impl Worker {
    fn start(look: Look) -> Option<Self> {
        let (questions, asked) = channel::<(ProcessId, Option<Identity>)>();
        let (answer, answers) = channel();
        let work = move || {
            for (process, known) in asked {
                let begin = Instant::now();
                let (identity, alive) = look(&process, known);
                let spent = begin.elapsed();
                let answered = answer.send(Answer {
                    process,
                    identity,
                    alive,
                    spent,
                });
                if answered.is_err() {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("strata-identity".to_owned());
        match thread.spawn(work) {
            Ok(_) => Some(Self { questions, answers }),
            Err(error) => {
                tracing::debug!(%error, "no thread to look at processes");
                None
            }
        }
    }
}

/// Reads what a process belongs to, or what of it has changed; and whether it is still there.
fn look(process: &ProcessId, known: Option<Identity>) -> (Option<Identity>, bool) {
    let Ok(handle) = ProcessHandle::open_same(process) else {
        return (None, false);
    };
    let identity = match known {
        Some(mut identity) => {
            identity.look_again(&handle);
            identity
        }
        None => identify(&handle),
    };
    (Some(identity), handle.alive())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(pid: u32) -> ProcessId {
        ProcessId {
            pid,
            exec: 0,
            start: 0,
        }
    }

    #[test]
    fn answers_in_order() {
        let mut reader = Reader::by(|process, _| (Some(Identity::default()), process.pid > 1));
        assert!(reader.poll().is_none());
        for pid in 0..3 {
            assert!(reader.ask(id(pid), None));
        }
        let until = Instant::now() + Duration::from_secs(60);
        for pid in 0..3 {
            let answer = reader.wait(until).expect("an answer");
            assert_eq!((answer.process, answer.alive), (id(pid), pid > 1));
        }
        assert!(reader.wait(until).is_none(), "nobody is asked for");
    }

    #[test]
    fn one_that_keeps_the_reader_waiting() {
        let mut reader = Reader::by(|process, _| {
            if process.pid == 0 {
                loop {
                    thread::park();
                }
            }
            (Some(Identity::default()), true)
        });
        for round in 1..=STUCK {
            reader.ask(id(0), None);
            reader.ask(id(1), None);
            reader.since -= PATIENCE;
            let answer = reader.poll().expect("it is given up");
            assert_eq!((answer.process, answer.alive), (id(0), false));
            if round < STUCK {
                let until = Instant::now() + Duration::from_secs(60);
                let answer = reader.wait(until).expect("the next one");
                assert_eq!((answer.process, answer.alive), (id(1), true));
            }
        }
        assert!(!reader.ask(id(1), None));
        assert!(reader.poll().is_none());
    }

    #[test]
    fn not_too_many() {
        let mut reader = Reader::by(|_, _| {
            thread::sleep(Duration::from_millis(1));
            (None, false)
        });
        let taken = (0..2 * WAITING as u32).filter(|pid| reader.ask(id(*pid), None));
        assert_eq!(taken.count(), WAITING);
    }
}
