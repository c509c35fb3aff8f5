//! What the agent and systemd say to each other, if it is a service of it.

use std::time::Duration;

use sd_notify::NotifyState;

/// All is loaded and samples are taken.
pub fn ready() {
    notify(&[NotifyState::Ready]);
}

/// The settings are read again; [`ready`] follows.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(_) => notify(&[NotifyState::Reloading]),
    }
}

/// What is left is shipped.
pub fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// A line for `systemctl status`.
pub fn status(text: &str) {
    // A line break would begin another message.
    let text = text.replace(|c: char| c.is_control(), " ");
    notify(&[NotifyState::Status(&text)]);
}

/// How often [`alive`] has to be said at least, if systemd wants to hear it. Half of the time after
/// which it would end the agent.
pub fn watchdog() -> Option<Duration> {
    Some(sd_notify::watchdog_enabled()? / 2)
}

pub fn alive() {
    notify(&[NotifyState::Watchdog]);
}

fn notify(state: &[NotifyState<'_>]) {
    // Without a service manager this does nothing; one that does not listen is no reason to end.
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!("systemd can't be told: {error}");
    }
}
