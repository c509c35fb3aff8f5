//! The tarball, and the files that it has in common with the Debian package.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::Release;
use crate::process;
use crate::repository::Repository;

/// Shell and where its completions belong, below `share`.
pub const COMPLETIONS: &[(&str, &str)] = &[
    ("bash", "bash-completion/completions/strata"),
    ("zsh", "zsh/vendor-completions/_strata"),
    ("fish", "fish/vendor_completions.d/strata.fish"),
];

/// A folder that becomes a package.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(path: PathBuf) -> Result<Self> {
        fs::create_dir(&path).with_context(|| format!("{} can't be made", path.display()))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        Ok(Self(path))
    }

    pub fn write(&self, name: &str, mode: u32, content: &[u8]) -> Result<()> {
        let path = self.0.join(name);
        let failed = || format!("{} can't be written", path.display());
        // Folders that were made here are everybody's to read, whatever the umask.
        let mut parent = path.parent();
        let mut missing = Vec::new();
        while let Some(folder) = parent.filter(|folder| !folder.is_dir()) {
            missing.push(folder);
            parent = folder.parent();
        }
        for folder in missing.iter().rev() {
            fs::create_dir(folder).with_context(failed)?;
            fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
        }
        fs::write(&path, content).with_context(failed)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).with_context(failed)
    }

    pub fn copy(&self, name: &str, mode: u32, from: &Path) -> Result<()> {
        let content =
            fs::read(from).with_context(|| format!("{} can't be read", from.display()))?;
        self.write(name, mode, &content)
    }

    /// What the program says of itself: completions and pages of the manual.
    pub fn add_documentation(&self, program: &Path, scratch: &Path) -> Result<()> {
        for (shell, place) in COMPLETIONS {
            let script = run(program, &["completions", shell])?;
            self.write(&format!("share/{place}"), 0o644, script.as_bytes())?;
        }
        let pages = scratch.join("man");
        run(program, &["man", &pages.to_string_lossy()])?;
        for entry in fs::read_dir(&pages)? {
            let page = entry?.path();
            let name = page.file_name().unwrap_or_default().to_string_lossy();
            self.write(
                &format!("share/man/man1/{name}.gz"),
                0o644,
                &gzip(&fs::read(&page)?)?,
            )?;
        }
        fs::remove_dir_all(&pages)?;
        Ok(())
    }
}

/// Settings as a file to start from: all defaults, none of them set.
pub fn settings(program: &Path) -> Result<String> {
    let shown = run(
        program,
        &["agent", "--config", "/dev/null", "--print-config"],
    )?;
    let mut text = "\
# Settings of `strata agent`. Each line that begins with one # and a name can be\n\
# uncommented; what is shown is the default, or an example where there is none.\n\
# `strata agent --print-config` shows what holds, strata-agent(1) says more.\n"
        .to_owned();
    let body = shown.split_once("\n\n").map_or("", |(_, body)| body);
    for line in body.lines() {
        let setting = line.split(" # ").next().unwrap_or("").trim_end();
        match line.strip_prefix('#') {
            _ if line.is_empty() => text.push('\n'),
            // A heading, or an example.
            Some(_) if !setting.contains(" = ") => text += &format!("#{line}\n"),
            Some(_) => text += &format!("{setting}\n"),
            None => text += &format!("# {setting}\n"),
        }
    }
    Ok(text)
}

/// Writes `strata-VERSION-MACHINE-linux.tar.gz`.
pub fn tarball(
    repository: &Repository,
    release: &Release,
    program: &Path,
    scratch: &Path,
    to: &Path,
) -> Result<PathBuf> {
    let name = format!("strata-{}-{}-linux", release.version, release.machine);
    let folder = Folder::new(scratch.join(&name))?;
    let root = repository.root();
    folder.copy("bin/strata", 0o755, program)?;
    folder.add_documentation(program, scratch)?;
    folder.write(
        "etc/strata/strata.toml",
        0o600,
        settings(program)?.as_bytes(),
    )?;
    for (name, from) in [
        (
            "lib/systemd/system/strata.service",
            "deploy/systemd/strata.service",
        ),
        (
            "lib/sysusers.d/strata.conf",
            "deploy/systemd/strata.sysusers",
        ),
        ("README.md", "deploy/README.md"),
        ("LICENSE-APACHE", "LICENSE-APACHE"),
        ("LICENSE-MIT", "LICENSE-MIT"),
        ("LICENSE-GPL", "LICENSE-GPL"),
    ] {
        folder.copy(name, 0o644, &root.join(from))?;
    }
    let tarball = to.join(format!("{name}.tar.gz"));
    let tar = process_bytes(Command::new("tar").current_dir(scratch).args([
        "--sort=name",
        &format!("--mtime=@{}", release.time),
        "--owner=0",
        "--group=0",
        "--numeric-owner",
        "--format=gnu",
        "-c",
        &name,
    ]))?;
    fs::write(&tarball, gzip(&tar)?)
        .with_context(|| format!("{} can't be written", tarball.display()))?;
    Ok(tarball)
}

/// Runs the program as anybody could.
fn run(program: &Path, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("STRATA_") || name.starts_with("OTEL_") {
            command.env_remove(name);
        }
    }
    process::output(command.args(arguments))
}

/// Without name and time, so that the same content gives the same bytes.
pub fn gzip(content: &[u8]) -> Result<Vec<u8>> {
    use std::io::{Read as _, Write as _};
    let mut child = Command::new("gzip")
        .args(["-9", "-n"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("`gzip` could not be started")?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let (mut stdin, mut stdout) = stdin.zip(stdout).context("`gzip` has no pipes")?;
    let mut packed = Vec::new();
    std::thread::scope(|scope| {
        let writer = scope.spawn(move || stdin.write_all(content));
        let read = stdout.read_to_end(&mut packed);
        writer.join().map_err(|_| std::io::ErrorKind::Other)??;
        read
    })
    .context("`gzip` does not answer")?;
    anyhow::ensure!(child.wait()?.success(), "`gzip` failed");
    Ok(packed)
}

fn process_bytes(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.context("`tar` could not be started")?;
    anyhow::ensure!(output.status.success(), "`tar` failed ({})", output.status);
    Ok(output.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_content_is_packed_the_same() {
        let content = vec![7; 1 << 20];
        let packed = gzip(&content).unwrap();
        assert_eq!(packed, gzip(&content).unwrap());
        assert!(packed.len() < content.len() / 100);
    }

    /// A program that says what `strata` says.
    #[test]
    fn settings_to_start_from_set_nothing() {
        let scratch = crate::scratch::Scratch::new().unwrap();
        let shown = "# head\n# more\n\n# Kept\nrate = 19   # default\n# otlp = \"x # y\" # default: not set\n";
        let script = format!("#!/bin/sh\ncat <<'END'\n{shown}END\n");
        let program = scratch.write("strata", &script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let text = settings(&program).unwrap();
        assert!(
            text.ends_with("\n## Kept\n# rate = 19\n# otlp = \"x\n"),
            "{text}"
        );
        assert!(
            text.lines()
                .all(|line| line.is_empty() || line.starts_with('#'))
        );
    }
}
