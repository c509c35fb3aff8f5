//! Which kernel to boot.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

const DEFAULT_CACHE: &str = "/var/cache/strata-test";

#[derive(Debug)]
pub struct Kernel {
    pub image: PathBuf,
    /// What `uname -r` has to say; unknown for a kernel that was given as a path.
    pub release: Option<String>,
}

impl Kernel {
    /// `name` is a series such as `5.10` that tests/setup.sh has fetched, or the path of a bootable image.
    pub fn find(name: &str) -> Result<Kernel> {
        if name.contains('/') {
            let image = PathBuf::from(name);
            if !image.is_file() {
                bail!(
                    "there is no kernel image at {name}; give the path of a vmlinuz or a series such as 5.10"
                );
            }
            return Ok(Kernel {
                image,
                release: None,
            });
        }
        let cache = env::var_os("STRATA_TEST_DIR")
            .map_or_else(|| PathBuf::from(DEFAULT_CACHE), PathBuf::from);
        Kernel::in_cache(&cache.join("kernels"), name)
    }

    fn in_cache(kernels: &Path, series: &str) -> Result<Kernel> {
        let image = kernels.join(series).join("vmlinuz");
        if !image.is_file() {
            bail!(
                "there is no kernel {series} at {}; run tests/setup.sh as root, which fetches it (or says why it can't)",
                image.display()
            );
        }
        let release = fs::read_to_string(image.with_file_name("version")).ok();
        Ok(Kernel {
            image,
            release: release.map(|text| text.trim().to_owned()),
        })
    }

    /// Names this run's folder and its messages.
    pub fn label(&self) -> String {
        match &self.release {
            Some(release) => release.clone(),
            None => self
                .image
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_series_names_the_remedy() {
        let error = Kernel::in_cache(Path::new("/nonexistent"), "4.19")
            .unwrap_err()
            .to_string();
        assert!(error.contains("/nonexistent/4.19/vmlinuz"), "{error}");
        assert!(error.contains("tests/setup.sh"), "{error}");
    }
}
