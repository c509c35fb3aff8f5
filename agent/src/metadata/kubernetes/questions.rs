//! The owners that are to be asked for: those that wait for their turn, and those under way.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::backoff::spread;
use super::watch::Times;
use crate::metadata::pods::Owner;

/// Most that wait.
const WAITING: usize = 4096;

#[derive(Clone, Debug)]
pub struct Question {
    pub owner: Owner,
    pub namespace: String,
    next: Instant,
    /// The pause after the next failure.
    pause: Duration,
    has_failed: bool,
}

pub struct Questions {
    times: Times,
    waiting: Vec<Question>,
    /// By the owner's uid.
    asked: HashMap<String, Question>,
}

impl Questions {
    pub fn new(times: Times) -> Self {
        Self {
            times,
            waiting: Vec::new(),
            asked: HashMap::new(),
        }
    }

    /// Sees to it that an owner is asked for. Whether the answer is worth waiting for: one that could
    /// not be had so far is not.
    pub fn want(&mut self, owner: Owner, namespace: &str) -> bool {
        let mut waiting = self.waiting.iter();
        let waiting = waiting.find(|question| question.owner == owner);
        if let Some(question) = waiting.or_else(|| self.asked.get(&owner.uid)) {
            return !question.has_failed;
        }
        if self.waiting.len() >= WAITING {
            return false;
        }
        self.waiting.push(Question {
            owner,
            namespace: namespace.to_owned(),
            next: Instant::now(),
            pause: self.times.soon,
            has_failed: false,
        });
        true
    }

    /// When the next one's time comes.
    pub fn next(&self) -> Option<Instant> {
        self.waiting.iter().map(|question| question.next).min()
    }

    /// One whose time has come: it is under way from now on.
    pub fn take(&mut self) -> Option<Question> {
        let now = Instant::now();
        let mut waiting = self.waiting.iter();
        let due = waiting.position(|question| question.next <= now)?;
        let question = self.waiting.swap_remove(due);
        let uid = question.owner.uid.clone();
        self.asked.insert(uid, question.clone());
        Some(question)
    }

    /// It needs not be asked again.
    pub fn done(&mut self, question: &Question) {
        self.asked.remove(&question.owner.uid);
    }

    /// It is asked again: soon, or much later where only somebody's hand can mend it.
    pub fn failed(&mut self, question: Question, is_refused: bool) {
        self.done(&question);
        let pause = if is_refused {
            self.times.refused
        } else {
            question.pause
        };
        self.waiting.push(Question {
            next: Instant::now() + spread(pause),
            pause: self.times.seldom.min(question.pause * 2),
            has_failed: true,
            ..question
        });
    }

    /// One of a kind was answered: those that failed before have their turn now. Whether there are
    /// none.
    pub fn go_well(&mut self, answered: &Question) -> bool {
        let of_kind =
            |other: &Question| other.has_failed && other.owner.kind == answered.owner.kind;
        let mut all_well = !self.asked.values().any(of_kind);
        for question in self.waiting.iter_mut().filter(|other| of_kind(other)) {
            all_well = false;
            if answered.has_failed {
                question.next = Instant::now();
            }
        }
        all_well
    }

    /// Those under way went with their client.
    pub fn begin_anew(&mut self) {
        self.waiting.extend(self.asked.drain().map(|(_, it)| it));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(uid: &str) -> Owner {
        Owner {
            kind: "Job".to_owned(),
            name: format!("job {uid}"),
            uid: uid.to_owned(),
        }
    }

    #[test]
    fn nobody_waits_for_what_could_not_be_answered() {
        let mut questions = Questions::new(Times::default());
        assert!(questions.want(owner("a"), "shop"));
        let question = questions.take().expect("it is new");
        assert!(questions.take().is_none());
        // Under way, and not asked for twice.
        assert!(questions.want(owner("a"), "shop"));
        assert!(questions.next().is_none());
        questions.failed(question, true);
        assert!(!questions.want(owner("a"), "shop"));
        let left = questions.next().expect("it waits") - Instant::now();
        assert!(left > Times::default().refused / 2, "{left:?}");
        assert!(questions.take().is_none());
    }

    #[test]
    fn who_was_refused_has_a_turn_as_soon_as_another_is_answered() {
        let mut questions = Questions::new(Times::default());
        for uid in ["a", "b"] {
            questions.want(owner(uid), "shop");
            let question = questions.take().expect("it is new");
            questions.failed(question, true);
        }
        // Which never failed says nothing of those that did.
        questions.want(owner("c"), "shop");
        let answered = questions.take().expect("it is new");
        questions.done(&answered);
        assert!(!questions.go_well(&answered));
        assert!(questions.take().is_none());
        questions.waiting[0].next = Instant::now();
        let answered = questions.take().expect("its time came");
        questions.done(&answered);
        assert!(!questions.go_well(&answered));
        let last = questions.take().expect("the other one");
        // Under way, it may not be asked for by a client that is no more.
        questions.begin_anew();
        let again = questions.take().expect("the same");
        assert_eq!(again.owner, last.owner);
        assert!(!questions.want(last.owner, "shop"));
        questions.done(&again);
        assert!(questions.go_well(&again));
    }

    #[test]
    fn there_is_a_bound_and_nobody_waits_beyond_it() {
        let mut questions = Questions::new(Times::default());
        for number in 0..WAITING {
            assert!(questions.want(owner(&number.to_string()), "shop"));
        }
        assert!(!questions.want(owner("one more"), "shop"));
        assert_eq!(questions.waiting.len(), WAITING);
    }
}
