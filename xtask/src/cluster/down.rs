//! Ends a cluster, in the order that keeps anything from being started again, and puts the machine back.

use anyhow::Result;

use super::config;
use super::daemon::Daemon;
use super::machine::{self, Before};
use super::place::Place;

pub fn run(place: &Place) -> Result<()> {
    if !place.state().exists() {
        println!("there is no cluster");
        return Ok(());
    }
    // Nothing is written down before the first thing is changed, so without it nothing was.
    let before = place.state().join("before.json").exists();
    let before = before.then(|| Before::look(place)).transpose()?;
    for program in config::programs(place).into_iter().rev() {
        Daemon::new(place, program.name).stop()?;
    }
    if let Some(before) = before {
        machine::end_containers(place)?;
        machine::remove_cgroups()?;
        for folder in [place.state(), place.run()] {
            machine::unmount_below(folder)?;
        }
        machine::remove_network()?;
        before.restore()?;
    }
    for folder in [place.run(), place.state()] {
        machine::remove(folder)?;
    }
    println!("the cluster is gone");
    Ok(())
}
