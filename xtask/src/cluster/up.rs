//! Starts a cluster, each program once those that it needs answer.

use std::fs;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use super::config::{self, SERVICE_IP};
use super::daemon::Daemon;
use super::machine::{self, Before};
use super::place::Place;
use super::system::System;
use super::{images, kubectl, kubernetes};

const PATIENCE: Duration = Duration::from_secs(120);

pub fn run(place: &Place, version: &str) -> Result<()> {
    if let Ok(running) = fs::read_to_string(place.state().join("version")) {
        ensure!(
            running.trim() == version,
            "a cluster of {} is up; `cargo xtask cluster down` comes before another version",
            running.trim()
        );
    }
    let system = System::prepare(place)?;
    let kubernetes = kubernetes::prepare(place, version)?;
    let images = images::prepare(place, &system)?;
    Before::look(place)?;
    config::write_all(place, &system, version)?;
    machine::add_addresses()?;
    for program in config::programs(place) {
        let path = match program.name {
            "etcd" | "containerd" => system.program(program.name)?,
            name => kubernetes.join(name),
        };
        let daemon = Daemon::new(place, program.name);
        let new = daemon.running().is_none();
        daemon.start(&path, &program.arguments, &system.path())?;
        match program.name {
            "etcd" => daemon.wait("a connection to it", PATIENCE, || {
                TcpStream::connect("127.0.0.1:2379").is_ok()
            })?,
            "kube-apiserver" => daemon.wait("/readyz", PATIENCE, || {
                kubectl::succeeds(place, &["get", "--raw", "/readyz"])
            })?,
            "containerd" => {
                daemon.wait("its socket", PATIENCE, || {
                    UnixStream::connect(place.socket()).is_ok()
                })?;
                if new {
                    for image in &images {
                        images::load(place, image)?;
                    }
                }
            }
            "kubelet" => daemon.wait("a ready node", PATIENCE, || kubectl::node_is_ready(place))?,
            _ => {}
        }
    }
    // Pods can't be made before it is there.
    Daemon::new(place, "kube-controller-manager").wait("an account for pods", PATIENCE, || {
        kubectl::succeeds(place, &["get", "serviceaccount", "default"])
    })?;
    println!("Kubernetes {version} is up at https://{SERVICE_IP}:443");
    println!(
        "{}",
        kubectl::hint(&place.kubeconfig(), &kubernetes.join("kubectl"))
    );
    Ok(())
}

pub fn status(place: &Place) -> Result<()> {
    let mut all_run = true;
    for program in config::programs(place) {
        let daemon = Daemon::new(place, program.name);
        all_run &= daemon.running().is_some();
        println!("{}", daemon.status());
    }
    if !all_run || !kubectl::node_is_ready(place) {
        bail!("there is no cluster whose node is ready; `cargo xtask cluster up` makes one");
    }
    println!(
        "{}",
        kubectl::hint(&place.kubeconfig(), &place.programs()?.join("kubectl"))
    );
    Ok(())
}
