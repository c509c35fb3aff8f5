//! What signals ask of the agent.

use std::io;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Ship what there is and end.
    Stop,
    Reload,
    Pause,
    Resume,
}

/// Takes the signals over. The second that wants an end brings it about at once.
pub fn install() -> io::Result<UnboundedReceiver<Order>> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2])?;
    let (sender, orders) = unbounded_channel();
    thread::Builder::new()
        .name("strata-signals".to_owned())
        .spawn(move || {
            let mut stopping = false;
            for signal in signals.forever() {
                let order = match signal {
                    SIGHUP => Order::Reload,
                    SIGUSR1 => Order::Pause,
                    SIGUSR2 => Order::Resume,
                    _ => Order::Stop,
                };
                if order == Order::Stop && std::mem::replace(&mut stopping, true) {
                    let _ = emulate_default_handler(signal);
                }
                // The agent may have ended.
                let _ = sender.send(order);
            }
        })?;
    Ok(orders)
}
