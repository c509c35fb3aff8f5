//! What the agent does all the time.

use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::config::Loaded;
use super::{logs, service};

pub fn run(mut loaded: Loaded) -> Result<ExitCode> {
    let signals = Signals::new([SIGHUP, SIGINT, SIGTERM]);
    let mut signals = signals.context("signals can't be taken over")?;
    let pause = service::watchdog().unwrap_or(Duration::from_secs(1));
    let _ = (loaded.config.view(), loaded.config.limits());
    service::ready();
    service::status("nothing is recorded yet");
    loop {
        for signal in signals.pending() {
            if signal != SIGHUP {
                service::stopping();
                return Ok(ExitCode::SUCCESS);
            }
            service::reloading();
            reload(&mut loaded);
            service::ready();
        }
        service::alive();
        logs::tick();
        thread::sleep(pause.min(Duration::from_millis(200)));
    }
}

fn reload(loaded: &mut Loaded) {
    match loaded.reload() {
        Ok(changes) => {
            logs::set_level(&loaded.config.log_level);
            changes.log();
        }
        Err(error) => tracing::error!("the settings stay what they were: {error}"),
    }
}
