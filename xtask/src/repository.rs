//! Where things lie in this repository.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

pub struct Repository {
    root: PathBuf,
}

impl Repository {
    /// Asked at run time: a target folder shared by two checkouts may hold the xtask that the other one compiled.
    pub fn find() -> Result<Self> {
        let start = match env::var_os("CARGO_MANIFEST_DIR") {
            Some(manifest_dir) => PathBuf::from(manifest_dir),
            None => env::current_dir().context("the current folder can't be read")?,
        };
        match start
            .ancestors()
            .find(|dir| dir.join("agent-ebpf/Cargo.toml").is_file())
        {
            Some(root) => Ok(Self {
                root: root.to_owned(),
            }),
            None => bail!(
                "{} is not inside this project's repository; run `cargo xtask` from a folder of it",
                start.display()
            ),
        }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The object that `agent` includes, so that whoever builds the agent needs stable Rust alone.
    pub fn object(&self) -> PathBuf {
        self.root.join("agent/src/bpf/strata.bpf.o")
    }

    /// Where cargo puts what it builds; chores make their own folders in it.
    pub fn target(&self) -> PathBuf {
        match env::var_os("CARGO_TARGET_DIR") {
            Some(target) => self.root.join(target),
            None => self.root.join("target"),
        }
    }
}
