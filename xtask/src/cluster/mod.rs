//! `cargo xtask cluster`: a real Kubernetes of one node on this machine, without a registry, a virtual machine or anything
//! installed. `up` brings it, `down` leaves nothing behind but the cache.
//!
//! - `place`: where everything lies
//! - `system`, `kubernetes`: programs, taken from Debian's packages and built from Kubernetes' own sources
//! - `archive`, `images`: container images, packed here
//! - `keys`, `config`: what the programs are told
//! - `daemon`: programs that outlive this one
//! - `machine`: what of this machine is changed and put back
//! - `up`, `down`: in which order
//! - `story`: what is shown on it

mod archive;
mod config;
mod daemon;
mod down;
mod images;
mod keys;
mod kubectl;
mod kubernetes;
mod machine;
mod place;
pub mod story;
mod system;
mod up;

use std::path::PathBuf;

use anyhow::{Result, ensure};

use crate::repository::Repository;
use place::Place;

/// What the tests run on unless told otherwise.
const VERSION: &str = "v1.33.13";

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Start it, or what is missing of it. The first time its programs are built: minutes, gigabytes of downloads.
    Up {
        /// Which Kubernetes. `down` before changing it.
        #[arg(long, default_value = VERSION)]
        version: String,
    },
    /// End it and put the machine back as it was.
    Down,
    /// Say what runs; fails unless the node is ready.
    Status,
    /// Bring an image into it: a tar that `docker save` wrote, or one program without libraries.
    Load {
        #[arg(value_name = "IMAGE.TAR", required_unless_present = "program")]
        tar: Option<PathBuf>,
        /// Make an image of this static program and of what Linux needs around it.
        #[arg(long, value_name = "FILE", requires = "tag", conflicts_with = "tar")]
        program: Option<PathBuf>,
        /// The image's name, such as localhost/strata:dev.
        #[arg(long, requires = "program")]
        tag: Option<String>,
        /// What the program is told unless a pod says something else.
        #[arg(long, requires = "program", allow_hyphen_values = true)]
        argument: Vec<String>,
    },
    /// Give an image that is there a second name.
    Tag { image: String, name: String },
}

pub fn run(_: &Repository, args: &Args) -> Result<()> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "a cluster needs root: it makes cgroups, mounts and network devices"
    );
    let place = Place::of_this_machine();
    let _lock = place.lock()?;
    match &args.what {
        What::Up { version } => up::run(&place, version),
        What::Down => down::run(&place),
        What::Status => up::status(&place),
        What::Tag { image, name } => images::tag(&place, image, name),
        What::Load {
            tar,
            program,
            tag,
            argument,
        } => match (tar, program, tag) {
            (Some(tar), _, _) => images::load(&place, tar),
            (None, Some(program), Some(tag)) => {
                images::load_program(&place, program, argument, tag)
            }
            _ => unreachable!("clap demands one of the two"),
        },
    }
}
