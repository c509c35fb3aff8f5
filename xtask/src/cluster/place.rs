//! Where everything lies: what is costly to make outlives a cluster, all else is in two folders that `down` removes.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

pub struct Place {
    cache: PathBuf,
    state: PathBuf,
    run: PathBuf,
}

impl Place {
    pub fn of_this_machine() -> Self {
        let tests = env::var_os("STRATA_TEST_DIR").unwrap_or("/var/cache/strata-test".into());
        Self {
            cache: PathBuf::from(tests).join("kubernetes"),
            state: "/var/lib/strata-cluster".into(),
            run: "/run/strata-cluster".into(),
        }
    }

    /// Programs and images. Deleting it costs the time to make them anew.
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// Keys, settings, etcd's data, containerd's images, logs, and who runs.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// containerd's socket and what it needs to be gone after a restart of the machine.
    pub fn run(&self) -> &Path {
        &self.run
    }

    pub fn socket(&self) -> PathBuf {
        self.run.join("containerd.sock")
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.state.join("admin.kubeconfig")
    }

    pub fn kubelet(&self) -> PathBuf {
        self.state.join("kubelet")
    }

    /// The programs of the version that was brought up.
    pub fn programs(&self) -> Result<PathBuf> {
        let file = self.state.join("version");
        let version = fs::read_to_string(&file).with_context(|| {
            format!(
                "there is no cluster ({} can't be read); `cargo xtask cluster up` makes one",
                file.display()
            )
        })?;
        Ok(self.cache.join(version.trim()))
    }

    /// Two of us would start everything twice. Whoever comes second waits.
    pub fn lock(&self) -> Result<File> {
        make_folder(&self.cache)?;
        let path = self.cache.join("lock");
        let file =
            File::create(&path).with_context(|| format!("{} can't be made", path.display()))?;
        file.lock()
            .with_context(|| format!("{} can't be locked", path.display()))?;
        Ok(file)
    }
}

pub fn make_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("{} can't be made", path.display()))
}

pub fn write(path: &Path, text: impl AsRef<[u8]>) -> Result<()> {
    fs::write(path, text).with_context(|| format!("{} can't be written", path.display()))
}
