//! A folder that is gone when its value is.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{fs, process};

use anyhow::{Context, Result};

pub struct Scratch(PathBuf);

impl Scratch {
    #[cfg(test)]
    pub fn new() -> Result<Self> {
        Self::inside(&std::env::temp_dir())
    }

    pub fn inside(parent: &Path) -> Result<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "xtask-{}-{}",
            process::id(),
            MADE.fetch_add(1, Ordering::Relaxed)
        );
        let path = parent.join(name);
        fs::create_dir_all(parent)
            .with_context(|| format!("{} can't be made", parent.display()))?;
        // Not `create_dir_all`: a folder that somebody else prepared under this name is refused.
        fs::create_dir(&path).with_context(|| format!("{} can't be made", path.display()))?;
        Ok(Self(path))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    #[cfg(test)]
    pub fn write(&self, name: &str, content: &str) -> Result<PathBuf> {
        let path = self.0.join(name);
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir).with_context(|| format!("{} can't be made", dir.display()))?;
        }
        fs::write(&path, content)
            .with_context(|| format!("{} can't be written", path.display()))?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing depends on it; what stays behind lies in a folder for temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}
