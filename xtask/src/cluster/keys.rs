//! One authority, and what it vouches for. Who a client is, a token says; only the API server shows the kubelet a
//! certificate.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::config::{NODE_IP, SERVICE_IP};
use super::place::{make_folder, write};
use crate::process;

/// openssl's own settings would make an authority of each certificate.
const CONFIG: &str = "[req]\ndistinguished_name = name\n[name]\n";
const DAYS: &str = "3650";

/// Names of who has a token, the user that it stands for, and the group.
pub const USERS: &[(&str, &str, &str)] = &[
    ("admin", "admin", "system:masters"),
    ("controller-manager", "system:kube-controller-manager", ""),
    ("scheduler", "system:kube-scheduler", ""),
    ("kubelet", "system:node:strata-node", "system:nodes"),
];

pub fn make(folder: &Path) -> Result<()> {
    // The last file to be written tells whether all are there.
    let tokens = folder.join("tokens.csv");
    if tokens.is_file() {
        return Ok(());
    }
    make_folder(folder)?;
    write(&folder.join("openssl.cnf"), CONFIG)?;
    let authority = ["basicConstraints=critical,CA:TRUE"];
    certificate(folder, "ca", "/CN=strata-cluster", &authority)?;
    let apiserver = format!(
        "subjectAltName=IP:127.0.0.1,IP:{NODE_IP},IP:{SERVICE_IP},DNS:kubernetes.default.svc"
    );
    let server = "extendedKeyUsage=serverAuth";
    certificate(
        folder,
        "apiserver",
        "/CN=kube-apiserver",
        &[&apiserver, server],
    )?;
    let kubelet = format!("subjectAltName=IP:{NODE_IP}");
    certificate(folder, "kubelet", "/CN=kubelet", &[&kubelet, server])?;
    let client = ["extendedKeyUsage=clientAuth"];
    certificate(
        folder,
        "client",
        "/O=system:masters/CN=kube-apiserver",
        &client,
    )?;
    service_accounts(folder)?;
    let mut text = String::new();
    for (number, (_, user, group)) in USERS.iter().enumerate() {
        text += &format!("{},{user},{number},\"{group}\"\n", random()?);
    }
    write(&tokens, text)
}

pub fn token(folder: &Path, name: &str) -> Result<String> {
    let tokens = fs::read_to_string(folder.join("tokens.csv")).context("there are no tokens")?;
    let line = USERS.iter().zip(tokens.lines());
    let found = line.filter(|((user, _, _), _)| *user == name);
    let token = found.filter_map(|(_, line)| line.split(',').next()).next();
    token
        .map(str::to_owned)
        .with_context(|| format!("{name} has no token"))
}

fn certificate(folder: &Path, name: &str, subject: &str, extensions: &[&str]) -> Result<()> {
    let mut command = Command::new("openssl");
    command
        .current_dir(folder)
        .args(["req", "-x509", "-config", "openssl.cnf", "-nodes"])
        .args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"])
        .args(["-days", DAYS, "-subj", subject])
        .args(["-keyout", &format!("{name}.key")])
        .args(["-out", &format!("{name}.crt")]);
    for extension in extensions {
        command.args(["-addext", extension]);
    }
    if name != "ca" {
        command.args(["-CA", "ca.crt", "-CAkey", "ca.key"]);
    }
    process::output(&mut command).map(drop)
}

/// What the tokens in pods are signed with.
fn service_accounts(folder: &Path) -> Result<()> {
    let openssl = |arguments: &[&str]| {
        process::output(Command::new("openssl").current_dir(folder).args(arguments)).map(drop)
    };
    openssl(&[
        "ecparam",
        "-name",
        "prime256v1",
        "-genkey",
        "-noout",
        "-out",
        "sa.key",
    ])?;
    openssl(&["ec", "-in", "sa.key", "-pubout", "-out", "sa.pub"])
}

fn random() -> Result<String> {
    let said = process::output(Command::new("openssl").args(["rand", "-hex", "16"]))?;
    Ok(said.trim().to_owned())
}
