//! No file names a package registry. Where packages come from is the machine's business: a name in a file would send
//! everybody to a place that they may not reach, or give away one that is not theirs.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

use anyhow::Result;

use super::Violation;
use super::tree::Tree;

/// The public ones, in parts, so that this file does not name them either.
const PUBLIC: &[&[&str]] = &[
    &["index", "crates", "io"],
    &["static", "crates", "io"],
    &["static", "rust-lang", "org"],
    &["deb", "debian", "org"],
    &["security", "debian", "org"],
    &["snapshot", "debian", "org"],
    &["archive", "ubuntu", "com"],
    &["pypi", "org"],
    &["files", "pythonhosted", "org"],
    &["registry", "npmjs", "org"],
    &["proxy", "golang", "org"],
];

/// Files in which this machine says where it gets packages, relative to the home folder or absolute.
const SETTINGS: &[&str] = &[
    ".cargo/config.toml",
    ".config/pip/pip.conf",
    ".pip/pip.conf",
    ".npmrc",
    "/etc/pip.conf",
];

pub fn check(tree: &Tree, machine: &BTreeSet<String>) -> Result<Vec<Violation>> {
    let mut hosts: BTreeSet<String> = PUBLIC.iter().map(|parts| parts.join(".")).collect();
    hosts.extend(machine.iter().cloned());
    let mut violations = Vec::new();
    for file in tree.files() {
        // Objects too: a compiler may have left the path of a registry's folder in one.
        let content = tree.bytes(file)?;
        let text = String::from_utf8_lossy(&content);
        for (line, text) in (1..).zip(text.lines()) {
            if hosts.iter().any(|host| names(text, host)) {
                let message =
                    "this names a package registry's host; let the machine's own settings decide"
                        .to_owned();
                violations.push(Violation {
                    file: file.clone(),
                    line,
                    message,
                });
            }
        }
    }
    Ok(violations)
}

/// The host itself, not a longer name that ends or goes on in the same way.
fn names(text: &str, host: &str) -> bool {
    text.match_indices(host).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + host.len()..].chars().next();
        // cargo names the folder of a registry HOST-HASH, so a hyphen behind it ends the name.
        !before.is_some_and(|c| c.is_ascii_alphanumeric() || c == '-')
            && !after.is_some_and(|c| c.is_ascii_alphanumeric())
    })
}

/// The registries that this machine uses. Whatever can't be read names none.
pub fn of_this_machine() -> BTreeSet<String> {
    let mut texts = Vec::new();
    let apt = Command::new("apt-get")
        .args([
            "indextargets",
            "--format",
            "$(REPO_URI)",
            "Created-By: Packages",
        ])
        .output();
    texts.extend(apt.map(|apt| String::from_utf8_lossy(&apt.stdout).into_owned()));
    let home = env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    // An absolute path replaces the one that it is joined to.
    texts.extend(
        SETTINGS
            .iter()
            .filter_map(|file| fs::read_to_string(home.join(file)).ok()),
    );
    texts.extend(
        env::vars()
            .filter(|(name, _)| is_registry_setting(name))
            .map(|(_, value)| value),
    );
    texts.iter().flat_map(|text| hosts_in(text)).collect()
}

fn is_registry_setting(variable: &str) -> bool {
    let variable = variable.to_uppercase();
    ["INDEX", "REGISTRY", "GOPROXY", "DIST_SERVER"]
        .iter()
        .any(|part| variable.contains(part))
}

/// Hosts of all addresses in a text, but for those of this machine itself.
fn hosts_in(text: &str) -> Vec<String> {
    let after_scheme = text.split("://").skip(1);
    let hosts = after_scheme.map(|rest| {
        let end = rest
            .find(|c: char| "/ \"'\n\t,|>)]".contains(c))
            .unwrap_or(rest.len());
        let authority = &rest[..end];
        let host = authority.rsplit('@').next().unwrap_or(authority);
        host.split(':').next().unwrap_or(host).to_owned()
    });
    hosts
        .filter(|host| host.contains('.') && !host.starts_with("127.") && host != "github.com")
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    fn found(text: &str, machine: &[&str]) -> usize {
        let scratch = Scratch::new().unwrap();
        scratch.write("docs/install.md", text).unwrap();
        let machine = machine.iter().map(|host| (*host).to_owned()).collect();
        check(&Tree::of_scratch(&scratch), &machine).unwrap().len()
    }

    #[test]
    fn a_public_registry_is_found() {
        let host = PUBLIC[0].join(".");
        assert_eq!(found(&format!("see https://{host}/x"), &[]), 1);
        assert_eq!(found(&format!("src/{host}-1949cf8c/aya"), &[]), 1);
        assert_eq!(
            found(&format!("my{host} and my-{host} and {host}n"), &[]),
            0
        );
    }

    #[test]
    fn this_machines_registry_is_found() {
        assert_eq!(
            found("line\nhttp://mirror.invalid/debian\n", &["mirror.invalid"]),
            1
        );
        assert_eq!(
            found("line\nhttp://other.invalid/debian\n", &["mirror.invalid"]),
            0
        );
    }

    #[test]
    fn what_cargo_writes_into_a_lock_file_passes() {
        assert_eq!(
            found(
                "source = \"registry+https://github.com/rust-lang/crates.io-index\"\n",
                &[]
            ),
            0
        );
    }

    #[test]
    fn hosts_are_read_from_settings() {
        let text = "index-url = https://user:word@one.invalid:8080/simple\nhttp://two.invalid http://127.0.0.1/ file:///x";
        assert_eq!(hosts_in(text), ["one.invalid", "two.invalid"]);
        assert!(is_registry_setting("PIP_INDEX_URL") && !is_registry_setting("PATH"));
    }
}
