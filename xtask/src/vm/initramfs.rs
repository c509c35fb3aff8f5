//! What lies in the guest's root file system.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::cpio::Archive;
use super::libraries;

const INIT: &str = include_str!("guest/init.sh");
const PYTHON_PROGRAM: &str = include_str!("guest/stack.py");
/// Debian 12's interpreter: static, stripped, built with PGO and LTO. A newer one's libraries would need newer kernels.
const PYTHON: &str = "/usr/bin/python3.11";

pub struct Contents {
    pub strata: Option<PathBuf>,
    /// The C program with a known chain.
    pub chain: PathBuf,
    pub without_admin: PathBuf,
    pub seconds: u32,
    pub hz: u32,
}

impl Contents {
    pub fn pack(&self) -> Result<Vec<u8>> {
        let mut archive = Archive::default();
        for folder in ["/proc", "/sys", "/tmp"] {
            archive.directory(Path::new(folder))?;
        }
        // Without it the kernel starts /init with no output at all.
        archive.char_device(Path::new("/dev/console"), 5, 1)?;
        archive.file(Path::new("/init"), 0o755, INIT.as_bytes())?;
        let settings = format!("SECONDS_TO_RECORD={}\nRATE_HZ={}\n", self.seconds, self.hz);
        archive.file(Path::new("/settings"), 0o644, settings.as_bytes())?;

        add_busybox(&mut archive)?;
        add_python(&mut archive)?;
        add_program(&mut archive, &self.chain, "/workload/chain")?;
        add_program(&mut archive, &self.without_admin, "/workload/without_admin")?;
        archive.file(
            Path::new("/workload/stack.py"),
            0o644,
            PYTHON_PROGRAM.as_bytes(),
        )?;
        if let Some(strata) = &self.strata {
            add_program(&mut archive, strata, "/bin/strata")?;
        }
        Ok(archive.finish())
    }
}

fn add_busybox(archive: &mut Archive) -> Result<()> {
    const BUSYBOX: &str = "/bin/busybox";
    let listing = Command::new(BUSYBOX)
        .arg("--list")
        .output()
        .with_context(|| {
            format!("{BUSYBOX} can't be run; tests/setup.sh installs busybox-static")
        })?;
    if !libraries::needed_by(Path::new(BUSYBOX))?.is_empty() {
        bail!("{BUSYBOX} is not static; install busybox-static");
    }
    archive.file(Path::new(BUSYBOX), 0o755, &read(Path::new(BUSYBOX))?)?;
    for applet in String::from_utf8_lossy(&listing.stdout)
        .lines()
        .filter(|name| *name != "busybox")
    {
        archive.symlink(&Path::new("/bin").join(applet), BUSYBOX)?;
    }
    Ok(())
}

/// The interpreter and only those library files that it loads for our program (which imports nothing but `sys`), and
/// `os`, by which it recognises its own library's folder.
fn add_python(archive: &mut Archive) -> Result<()> {
    // A set: `os.path` is a second name of `posixpath`.
    const LOADED: &str = "import os, sys\n\
        print(*{getattr(module, '__file__', None) or '' for module in sys.modules.values()}, sep='\\n')";
    add_program(archive, Path::new(PYTHON), PYTHON)?;
    archive.symlink(Path::new("/bin/python3.11"), PYTHON)?;
    let output = Command::new(PYTHON)
        .args(["-I", "-S", "-c", LOADED])
        .output()
        .with_context(|| format!("{PYTHON} can't be run; tests/setup.sh installs python3"))?;
    for file in String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter(|line| line.ends_with(".py"))
    {
        archive.file(Path::new(file), 0o644, &read(Path::new(file))?)?;
    }
    // It complains when this one is missing.
    archive.directory(Path::new("/usr/lib/python3.11/lib-dynload"))
}

fn add_program(archive: &mut Archive, program: &Path, place: &str) -> Result<()> {
    archive.file(Path::new(place), 0o755, &read(program)?)?;
    for library in libraries::needed_by(program)? {
        if !archive.contains(&library) {
            archive.file(&library, 0o755, &read(&library)?)?;
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("{} can't be read", path.display()))
}
