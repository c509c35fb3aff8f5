//! A systemd of our own, for a unit that is to be tried with all that it asks for, on a machine that may not have been
//! started by one. It is a user's manager whose user is root: it can give a service a user, capabilities and a sandbox,
//! and its processes stay in the machine's pid namespace.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{Problem, on_path, run};

const MANAGER: &str = "/lib/systemd/systemd";
const PATIENCE: Duration = Duration::from_secs(20);

/// It believes that systemd started the machine; nobody else does, since that is in a mount namespace of its own.
const SCRIPT: &str = "\
mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system && exec /lib/systemd/systemd --user --unit=empty.target";

pub struct Manager {
    folder: PathBuf,
    child: Child,
}

impl Manager {
    /// Where the unit is to write, below the manager's folder; there is no journal.
    pub const SERVICE_LOG: &str = "service.log";

    /// `folder`: a new one that everybody may pass.
    pub fn start(folder: &Path, name: &str, unit: &str) -> Result<Self, Problem> {
        if !Path::new(MANAGER).is_file() || !on_path("systemctl") || !on_path("unshare") {
            return Err(Problem::Skipped("systemd is not installed".to_owned()));
        }
        let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
        let units = folder.join("settings/systemd/user");
        let runtime = folder.join("run");
        fs::create_dir_all(&units).map_err(failed)?;
        fs::create_dir_all(&runtime).map_err(failed)?;
        fs::write(units.join(name), unit).map_err(failed)?;
        let target = "[Unit]\nDefaultDependencies=no\n";
        fs::write(units.join("empty.target"), target).map_err(failed)?;
        let log = fs::File::create(folder.join("systemd.log")).map_err(failed)?;
        let child = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", SCRIPT])
            // Its services have its variables.
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("XDG_RUNTIME_DIR", &runtime)
            .env("XDG_CONFIG_HOME", folder.join("settings"))
            .env("SYSTEMD_LOG_TARGET", "console")
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(failed)?)
            .stderr(log)
            .spawn()
            .map_err(|error| format!("unshare can't be started: {error}"))?;
        let manager = Self {
            folder: folder.to_owned(),
            child,
        };
        // A user's manager does not reckon with services of other users, which are to tell it that they are ready.
        let sockets = runtime.join("systemd");
        let until = Instant::now() + PATIENCE;
        while !(sockets.join("notify").exists() && sockets.join("private").exists()) {
            if Instant::now() > until {
                return Err(format!("systemd does not start: {}", manager.log()).into());
            }
            sleep(Duration::from_millis(50));
        }
        for (path, mode) in [
            (runtime.clone(), 0o711),
            (sockets.clone(), 0o711),
            (sockets.join("notify"), 0o777),
        ] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(failed)?;
        }
        Ok(manager)
    }

    /// What `systemctl` says.
    pub fn control(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new("systemctl");
        command.args(["--user", "--no-pager"]).args(arguments);
        let said = run(command.env("XDG_RUNTIME_DIR", self.folder.join("run")));
        said.map_err(|why| format!("{why}\n{}", self.log()))
    }

    /// Of systemd and its service.
    pub fn log(&self) -> String {
        let read = |name: &str| fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        read("systemd.log") + &read(Self::SERVICE_LOG)
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        let _ = self.control(&["exit"]);
        let until = Instant::now() + PATIENCE;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < until {
            sleep(Duration::from_millis(50));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
