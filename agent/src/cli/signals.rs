//! What signals ask of a recording.
//!
//! A thread of its own takes them, since the one that records may be busy naming functions when
//! somebody wants it to end.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Two of them so near to each other are one: `timeout` sends each signal to the process and to its
/// group.
const SAME: Duration = Duration::from_millis(50);

/// What somebody wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    Stop,
    Pause,
    Resume,
}

/// How far the recording is, on which it depends what a signal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Nothing is recorded yet: the default action is right.
    Preparing,
    /// Ctrl-C ends the recording.
    Recording,
    /// Ctrl-C ends Strata.
    Writing,
    /// All is written and the command goes on: the terminal's signals reach it without our help.
    Waiting,
}

/// Wishes, in the order of their signals.
pub struct Wishes {
    /// Comes to an end never, as long as the thread lives.
    pub wishes: UnboundedReceiver<Wish>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    phase: AtomicU8,
    /// The command, which gets what is meant to end us both.
    command: Mutex<Option<OwnedFd>>,
}

impl Wishes {
    /// Takes the signals over.
    pub fn install() -> io::Result<Self> {
        let mut wanted = vec![SIGINT, SIGTERM, SIGUSR1, SIGUSR2];
        // `nohup` has it ignored.
        if !is_ignored(SIGHUP) {
            wanted.push(SIGHUP);
        }
        let mut signals = Signals::new(wanted)?;
        let (sender, wishes) = unbounded_channel();
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        thread::Builder::new()
            .name("strata-signals".to_owned())
            .spawn(move || {
                let mut stopped = None;
                for signal in signals.forever() {
                    own.take(signal, &mut stopped, &sender);
                }
            })?;
        Ok(Self { wishes, shared })
    }

    pub fn enter(&self, phase: Phase) {
        self.shared.phase.store(phase as u8, Ordering::SeqCst);
    }

    /// SIGTERM and SIGHUP are handed on to this process.
    pub fn hand_on_to(&self, pid: u32) -> io::Result<()> {
        // SAFETY: no pointers; the descriptor that comes back is new and ours alone.
        let command = unsafe {
            match libc::syscall(libc::SYS_pidfd_open, pid, 0) {
                -1 => return Err(io::Error::last_os_error()),
                fd => OwnedFd::from_raw_fd(fd as i32),
            }
        };
        if let Ok(mut own) = self.shared.command.lock() {
            *own = Some(command);
        }
        Ok(())
    }
}

impl Shared {
    /// `stopped`: when the recording was told to stop.
    fn take(&self, signal: i32, stopped: &mut Option<Instant>, sender: &UnboundedSender<Wish>) {
        let phase = self.phase.load(Ordering::SeqCst);
        let switch = match signal {
            SIGUSR1 => Some(Wish::Pause),
            SIGUSR2 => Some(Wish::Resume),
            _ => None,
        };
        if let Some(wish) = switch {
            // Afterwards nobody takes them, and they would pile up.
            if phase <= Phase::Recording as u8 {
                let _ = sender.send(wish);
            }
            return;
        }
        if signal != SIGINT {
            self.hand_on(signal);
        }
        if phase == Phase::Waiting as u8 {
            return;
        }
        if phase == Phase::Preparing as u8 {
            abort(signal);
        }
        match *stopped {
            None => {
                *stopped = Some(Instant::now());
                let _ = sender.send(Wish::Stop);
            }
            Some(first) if signal == SIGINT && first.elapsed() > SAME => abort(signal),
            Some(_) => {}
        }
    }

    fn hand_on(&self, signal: i32) {
        let Ok(command) = self.command.lock() else {
            return;
        };
        if let Some(command) = &*command {
            let none = std::ptr::null::<libc::siginfo_t>();
            // SAFETY: the kernel takes no information for what it makes up itself. That the command
            // is gone is no matter.
            unsafe {
                libc::syscall(
                    libc::SYS_pidfd_send_signal,
                    command.as_raw_fd(),
                    signal,
                    none,
                    0,
                )
            };
        }
    }
}

fn abort(signal: i32) {
    let _ = emulate_default_handler(signal);
}

fn is_ignored(signal: i32) -> bool {
    // SAFETY: an all-zero `sigaction` is a valid one.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: `action` has room for the answer; nothing is changed.
    let known = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut action) } == 0;
    known && action.sa_sigaction == libc::SIG_IGN
}
