//! A recording under way: until the time is over, until what is recorded has ended, or until
//! somebody wants it to end.

use std::process::Child;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::io::unix::AsyncFd;

use super::progress::{Progress, State};
use super::signals::{Wish, Wishes};
use super::targets::Targets;
use crate::session::{Session, SessionError};

/// How often the ring buffer is read when nothing asks for it.
const PUMP: Duration = Duration::from_millis(100);
/// How often CPUs are looked for that came or went.
const CPUS: Duration = Duration::from_secs(1);
/// How often is looked whether what is recorded is still there.
const TARGETS: Duration = Duration::from_millis(200);

/// Why a recording ended.
#[derive(Debug)]
pub enum End {
    /// The time is over, the command has ended, or somebody wanted it.
    Meant,
    /// All that was recorded has ended.
    Targets,
    /// It could not go on. What there is by then is worth writing.
    Failed(SessionError),
}

/// Somebody who looks after a recording.
pub struct Watch<'a> {
    session: Session,
    pub wishes: &'a mut Wishes,
    targets: &'a mut Targets,
    progress: &'a mut Progress,
    paused: bool,
}

impl<'a> Watch<'a> {
    /// Begins to sample.
    pub fn begin(
        session: Session,
        wishes: &'a mut Wishes,
        targets: &'a mut Targets,
        progress: &'a mut Progress,
    ) -> Result<Self> {
        let mut watch = Self {
            session,
            wishes,
            targets,
            progress,
            paused: false,
        };
        // What was wanted before the first sample.
        while let Ok(wish) = watch.wishes.wishes.try_recv() {
            if let Some(paused) = pause(wish) {
                watch.session.pause(paused)?;
                watch.paused = paused;
            }
        }
        watch.session.start()?;
        Ok(watch)
    }

    /// Records to the end.
    pub fn run(
        self,
        duration: Option<Duration>,
        child: Option<&mut Child>,
    ) -> Result<(Session, End)> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("the event loop could not be made")?;
        runtime.block_on(self.record(duration, child))
    }

    async fn record(
        self,
        duration: Option<Duration>,
        mut child: Option<&mut Child>,
    ) -> Result<(Session, End)> {
        let Self {
            session,
            wishes,
            targets,
            progress,
            mut paused,
        } = self;
        // SAFETY: the session's descriptor is its ring buffer's, the same one as long as it lives.
        let registered = unsafe { AsyncFd::register(session) };
        let mut session = registered.map_err(|error| {
            anyhow::anyhow!(
                "the ring buffer can't be waited for: {}",
                error.into_parts().1
            )
        })?;
        let start = Instant::now();
        let deadline = duration.map(|duration| start + duration);
        let (mut cpus, mut looked) = (start + CPUS, start);
        let end = loop {
            let now = Instant::now();
            let mut wake = now + PUMP;
            for moment in [deadline, session.get_ref().due()].into_iter().flatten() {
                wake = wake.min(moment.max(now + Duration::from_millis(1)));
            }
            tokio::select! {
                () = tokio::time::sleep_until(wake.into()) => {}
                ready = session.readable_mut() => ready?.clear_ready(),
                Some(wish) = wishes.wishes.recv() => match pause(wish) {
                    None => break End::Meant,
                    Some(wanted) => match session.get_mut().pause(wanted) {
                        Ok(()) => paused = wanted,
                        Err(error) => break End::Failed(error),
                    },
                },
            }
            let mut worked = session.get_mut().pump();
            let now = Instant::now();
            if cpus <= now {
                worked = worked.and_then(|()| session.get_mut().follow_cpus());
                cpus = now + CPUS;
            }
            if let Err(error) = worked {
                break End::Failed(error);
            }
            if progress.is_due() {
                progress.tell(&State {
                    elapsed: now - start,
                    of: duration,
                    samples: session.get_ref().samples(),
                    paused,
                });
            }
            if let Some(running) = &mut child
                && running.try_wait()?.is_some()
            {
                break End::Meant;
            }
            if looked + TARGETS <= now {
                looked = now;
                for word in targets.ended() {
                    progress.clear();
                    eprintln!("{word}");
                }
                if targets.are_gone() {
                    break End::Targets;
                }
            }
            if deadline.is_some_and(|deadline| deadline <= now) {
                break End::Meant;
            }
        };
        Ok((session.into_inner(), end))
    }
}

/// Whether to pause from now on; None: the recording is to end.
fn pause(wish: Wish) -> Option<bool> {
    match wish {
        Wish::Stop => None,
        Wish::Pause => Some(true),
        Wish::Resume => Some(false),
    }
}
