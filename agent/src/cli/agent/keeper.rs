//! Puts batches into the store, on a thread of its own: a disk that is slow must not keep samples
//! waiting.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, SyncSender, TrySendError, channel, sync_channel,
};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::labels::{Labeller, Labelling};
use super::names::Names;
use crate::format::{Options, otlp};
use crate::profile::Profile;
use crate::store::{Message, Store};
use crate::telemetry::Labels;

/// Most batches that wait for the disk.
const WAITING: usize = 3;

/// Samples that did not get into the store, by cause.
#[derive(Debug, Default)]
pub struct Lost {
    /// The disk was too slow.
    pub behind: AtomicU64,
    /// The store refused them.
    pub refused: AtomicU64,
    /// Their names would have made a message that nobody takes.
    pub too_large: AtomicU64,
    /// Why the last batch could not be kept.
    error: Mutex<Option<String>>,
}

impl Lost {
    pub fn last_error(&self) -> Option<String> {
        let error = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        error.clone()
    }

    fn set_error(&self, text: Option<String>) {
        *self.error.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }
}

pub struct Keeper {
    /// None once there are no more batches.
    batches: Option<SyncSender<(Profile, Labelling)>>,
    done: Receiver<()>,
    lost: Arc<Lost>,
    labels: Arc<Mutex<Labels>>,
}

impl Keeper {
    pub fn start(store: Arc<Store>, mut names: Names, labelling: &Labelling) -> io::Result<Self> {
        let (batches, work) = sync_channel::<(Profile, Labelling)>(WAITING);
        let (tell, done) = channel();
        let lost = Arc::new(Lost::default());
        let mut labeller = Labeller::new();
        let labels = Arc::new(Mutex::new(labeller.status(labelling.limits)));
        let (own, told) = (Arc::clone(&lost), Arc::clone(&labels));
        thread::Builder::new()
            .name("strata-store".to_owned())
            .spawn(move || {
                let mut unchosen = 0;
                for (mut profile, labelling) in work {
                    let Labelling {
                        chosen, selection, ..
                    } = &labelling;
                    unchosen += names.tell(&mut profile, chosen, selection);
                    labeller.label(&mut profile, &labelling, Instant::now());
                    let mut status = labeller.status(labelling.limits);
                    status.unchosen = unchosen;
                    *told.lock().unwrap_or_else(PoisonError::into_inner) = status;
                    keep(&store, &profile, &own);
                }
                // Who waited may be gone.
                let _ = tell.send(());
            })?;
        Ok(Self {
            batches: Some(batches),
            done,
            lost,
            labels,
        })
    }

    /// Takes a batch, without waiting.
    pub fn put(&self, profile: Profile, labelling: Labelling) {
        let Some(batches) = &self.batches else { return };
        match batches.try_send((profile, labelling)) {
            Ok(()) => {}
            Err(TrySendError::Full((profile, _)) | TrySendError::Disconnected((profile, _))) => {
                let samples = samples(&profile);
                self.lost.behind.fetch_add(samples, Ordering::Relaxed);
                tracing::warn!(
                    samples,
                    "A batch was dropped: the store's disk does not keep up. Put the store on a \
                     faster disk, or lower the rate."
                );
            }
        }
    }

    pub fn lost(&self) -> &Lost {
        &self.lost
    }

    /// What became of the labels of the batches that were kept.
    pub fn labels(&self) -> Labels {
        let labels = self.labels.lock().unwrap_or_else(PoisonError::into_inner);
        labels.clone()
    }

    /// Waits until all is in the store, for so long at most. Whether it is.
    pub fn finish(mut self, longest: Duration) -> bool {
        self.batches = None;
        !matches!(
            self.done.recv_timeout(longest),
            Err(RecvTimeoutError::Timeout)
        )
    }
}

fn samples(profile: &Profile) -> u64 {
    let weights = profile.samples().map(|(_, totals)| totals.weight);
    weights.fold(0, u64::saturating_add)
}

fn keep(store: &Store, profile: &Profile, lost: &Lost) {
    let made = otlp::messages(profile, &Options::default(), profile_id);
    lost.too_large.fetch_add(made.too_large, Ordering::Relaxed);
    let messages: Vec<Message> = made.messages.into_iter().map(stored).collect();
    let kept = store.append(&messages);
    if let Err(error) = &kept {
        let samples = messages.iter().map(|message| message.samples).sum();
        lost.refused.fetch_add(samples, Ordering::Relaxed);
        tracing::warn!(samples, "A batch was dropped: {error}");
    }
    lost.set_error(kept.err().map(|error| error.to_string()));
}

fn stored(message: otlp::Message) -> Message {
    Message {
        start: message.start,
        end: message.end,
        samples: message.samples,
        bytes: message.bytes,
    }
}

/// Random, so that no two agents give the same.
fn profile_id() -> [u8; 16] {
    fastrand::u128(1..).to_be_bytes()
}
