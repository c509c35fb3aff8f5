//! What the agent does all the time: samples, and hands on a batch every so often.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent_common::kernel::CGROUP_DEFAULT;
use anyhow::{Context as _, Result};
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc::UnboundedReceiver;

use super::chooser::{self, Chooser};
use super::config::Loaded;
use super::keeper::Keeper;
use super::labels::Labelling;
use super::names::{self, Names};
use super::orders::{self, Order};
use super::reporter::Reporter;
use super::{logs, service};
use crate::bpf::Event;
use crate::bpf::limits::check_limits;
use crate::cli::command::Limits;
use crate::export::Exporters;
use crate::process::confine::confine;
use crate::process::namespace::check_namespaces;
use crate::process::rights::check_rights;
use crate::session::{Bounds, Config, Session, SessionError};
use crate::store::Store;

/// How often the ring buffer is read when nothing asks for it: it has room for minutes.
const PUMP: Duration = Duration::from_millis(500);
/// How often CPUs are looked for that came or went, and how often the agent says that it is alive.
const TICK: Duration = Duration::from_secs(1);

/// Runs until a signal ends it.
pub fn run(loaded: Loaded) -> Result<ExitCode> {
    Limits::raise();
    check_namespaces()?;
    check_limits(loaded.base())?;
    check_rights()?;
    // Before there are other threads.
    confine()?;
    let orders = orders::install().context("signals can't be taken over")?;
    let store = Store::open(&loaded.config.store, loaded.config.limits())?;
    let store = Arc::new(store);
    let kubernetes = names::watch(&loaded.config)?;
    let reporter = Reporter::start(&loaded, Arc::clone(&store), kubernetes.clone())?;
    let destinations = loaded.config.destinations.clone();
    let exporters = Exporters::start(destinations, Arc::clone(&store))?;
    let names = Names::new(&loaded.config, kubernetes.clone());
    let labelling = Labelling::of(&loaded.config);
    let keeper =
        Keeper::start(Arc::clone(&store), names, &labelling).context("no thread for the store")?;
    let mut config = sampling(loaded.base());
    let wanted = loaded.config.wanted();
    let ground = chooser::prepare(&wanted, kubernetes.is_some(), &mut config)?;
    let mut session = Session::new(config, &[])?;
    session.scan()?;
    let chooser = match ground {
        Some(ground) => {
            let pods = kubernetes.as_ref().map(|it| Arc::clone(it.pods()));
            let policies = session.policies()?;
            let chooser = Chooser::start(ground, policies, loaded.base(), wanted, pods);
            Some(chooser.context("no thread for the choice of what is sampled")?)
        }
        None => None,
    };
    session.start()?;
    let choice = chooser.as_ref().map(Chooser::counts);
    reporter.publish(&loaded, &session, &exporters, &keeper, choice);
    service::ready();
    tracing::info!(
        rate = loaded.config.rate,
        store = %loaded.config.store.display(),
        "sampling {}",
        if chooser.is_some() { "what is chosen" } else { "all processes" }
    );
    let agent = Agent {
        chooser,
        loaded,
        store,
        exporters,
        keeper,
        reporter,
        watchdog: service::watchdog().is_some(),
    };
    agent.run(session, orders)
}

pub(super) fn sampling(rate: u64) -> Config {
    Config {
        event: Event::CpuClock,
        rate,
        filter: 0,
        cgroup_subsystem: CGROUP_DEFAULT,
        native_depth: 512,
        python_depth: 1024,
        ring_bytes: 1 << 22,
        table_mib: 24,
        times: true,
        executables: true,
        bounds: Bounds::always_on(),
    }
}

struct Agent {
    /// None: everything is sampled.
    chooser: Option<Chooser>,
    loaded: Loaded,
    store: Arc<Store>,
    exporters: Exporters,
    keeper: Keeper,
    reporter: Reporter,
    /// Whether systemd wants to hear that the agent is alive.
    watchdog: bool,
}

impl Agent {
    fn run(mut self, session: Session, mut orders: UnboundedReceiver<Order>) -> Result<ExitCode> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("the event loop could not be made")?;
        let (session, ended) = runtime.block_on(self.sample(session, &mut orders))?;
        service::stopping();
        let ended = ended.and_then(|()| self.flush(session));
        match ended {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(error) => Err(error).context("sampling could not go on; what there was is kept"),
        }
    }

    /// Samples until somebody wants it to end, or until it can't go on.
    async fn sample(
        &mut self,
        session: Session,
        orders: &mut UnboundedReceiver<Order>,
    ) -> Result<(Session, Result<(), SessionError>)> {
        // SAFETY: the session's descriptor is its ring buffer's, the same one as long as it lives.
        let registered = unsafe { AsyncFd::register(session) };
        let mut session = registered.map_err(|error| {
            let (_, cause) = error.into_parts();
            anyhow::anyhow!("the ring buffer can't be waited for: {cause}")
        })?;
        let start = Instant::now();
        let (mut batch, mut tick) = (start + self.loaded.config.interval, start + TICK);
        let ended = loop {
            let now = Instant::now();
            let due = session.get_ref().due().unwrap_or(batch);
            let due = due.max(now + Duration::from_millis(1));
            let wake = [now + PUMP, batch, tick, due].into_iter().min();
            tokio::select! {
                () = tokio::time::sleep_until(wake.unwrap_or(now).into()) => {}
                ready = session.readable_mut() => ready?.clear_ready(),
                Some(order) = orders.recv() => {
                    let session = session.get_mut();
                    let done = match order {
                        Order::Stop => break Ok(()),
                        Order::Reload => {
                            self.reload();
                            Ok(())
                        }
                        Order::Pause => session.pause(true),
                        Order::Resume => session.pause(false),
                    };
                    if let Err(error) = done {
                        break Err(error);
                    }
                }
            }
            let now = Instant::now();
            if let Err(error) = self.work(session.get_mut(), now, &mut batch, &mut tick) {
                break Err(error);
            }
        };
        Ok((session.into_inner(), ended))
    }

    /// Takes what came, and does what is due.
    fn work(
        &mut self,
        session: &mut Session,
        now: Instant,
        batch: &mut Instant,
        tick: &mut Instant,
    ) -> Result<(), SessionError> {
        session.pump()?;
        if *tick <= now {
            *tick = now + TICK;
            session.follow_cpus()?;
            if self.watchdog {
                service::alive();
            }
            logs::tick();
        }
        if *batch <= now || session.is_full() {
            // A machine that slept has one batch to make, not one for each interval.
            *batch = (*batch + self.loaded.config.interval).max(now + TICK);
            let began = Instant::now();
            let (profile, statistics) = session.batch(self.loaded.config.view())?;
            self.reporter
                .batch(statistics.total.samples, began.elapsed());
            self.keeper.put(profile, Labelling::of(&self.loaded.config));
            let choice = self.chooser.as_ref().map(Chooser::counts);
            self.reporter
                .publish(&self.loaded, session, &self.exporters, &self.keeper, choice);
        }
        Ok(())
    }

    /// Reads the settings again and does what they say, as far as that can change.
    fn reload(&mut self) {
        service::reloading();
        match self.loaded.reload() {
            Ok(changes) => {
                changes.log();
                let config = &self.loaded.config;
                self.store.limit(config.limits());
                logs::set_level(&config.log_level);
                match &self.chooser {
                    Some(chooser) => chooser.want(config.wanted()),
                    None if config.wanted().is_everything() => {}
                    None => tracing::warn!(
                        "This agent began to sample everything, without a choice: restart it so \
                         that it leaves out what is not to be sampled."
                    ),
                }
                if let Err(error) = self.exporters.reload(config.destinations.clone()) {
                    tracing::error!("The destinations stay as they were: {error}");
                }
            }
            Err(error) => {
                tracing::error!("The settings stay as they were: {error}");
            }
        }
        service::ready();
    }

    /// Keeps and ships what there is, as long as the deadline lets it.
    fn flush(self, session: Session) -> Result<(), SessionError> {
        let deadline = Instant::now() + self.loaded.config.flush_deadline;
        let left = || deadline.saturating_duration_since(Instant::now());
        let (profile, _) = session.finish(self.loaded.config.view())?;
        self.keeper.put(profile, Labelling::of(&self.loaded.config));
        if !self.keeper.finish(left()) {
            tracing::warn!("The disk is too slow: the last batch may be lost.");
        }
        if !self.exporters.finish(left()) {
            tracing::info!("What was not shipped waits in the store for the next start.");
        }
        Ok(())
    }
}
