//! Container images in the form that `docker save` writes, made of a folder, without an engine or a registry.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use sha2::{Digest as _, Sha256};

use super::place::write;
use crate::process;
use crate::scratch::Scratch;

/// Packs everything below `root` as the image's only layer. An entrypoint without words is none.
pub fn pack(
    root: &Path,
    tag: &str,
    entrypoint: &[&str],
    arguments: &[&str],
    to: &Path,
) -> Result<()> {
    let parent = to.parent().context("an image needs a folder")?;
    let work = Scratch::inside(parent)?;
    let layer = work.path().join("layer.tar");
    tar(root, &layer, &["."])?;
    let mut config = serde_json::json!({
        "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
    });
    if !entrypoint.is_empty() {
        config["Entrypoint"] = serde_json::json!(entrypoint);
    }
    if !arguments.is_empty() {
        config["Cmd"] = serde_json::json!(arguments);
    }
    let description = serde_json::json!({
        "architecture": architecture(),
        "os": "linux",
        "config": config,
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", digest(&layer)?)] },
    });
    let manifest = serde_json::json!([{
        "Config": "config.json",
        "RepoTags": [tag],
        "Layers": ["layer.tar"],
    }]);
    write(
        &work.path().join("config.json"),
        serde_json::to_vec(&description)?,
    )?;
    write(
        &work.path().join("manifest.json"),
        serde_json::to_vec(&manifest)?,
    )?;
    let image = work.path().join("image.tar");
    tar(
        work.path(),
        &image,
        &["manifest.json", "config.json", "layer.tar"],
    )?;
    fs::rename(&image, to).with_context(|| format!("{} can't be made", to.display()))
}

fn tar(folder: &Path, to: &Path, what: &[&str]) -> Result<()> {
    let mut command = Command::new("tar");
    command
        .args(["--sort=name", "--numeric-owner", "--one-file-system", "-C"])
        .arg(folder)
        .arg("-cf")
        .arg(to)
        .args(what);
    process::run(&mut command)
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn digest(path: &Path) -> Result<String> {
    let mut file = File::open(path).with_context(|| format!("{} can't be read", path.display()))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let length = file.read(&mut buffer)?;
        if length == 0 {
            break;
        }
        hash.update(&buffer[..length]);
    }
    let bytes = hash.finalize();
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// tar and sha256sum are the oracle.
    #[test]
    fn an_image_has_its_layer_under_its_digest() {
        let scratch = Scratch::new().unwrap();
        let program = scratch.write("root/pause", "a program").unwrap();
        let image = scratch.path().join("image.tar");
        pack(
            program.parent().unwrap(),
            "localhost/pause:1",
            &["/pause"],
            &[],
            &image,
        )
        .unwrap();
        let inside = |name: &str| {
            process::output(Command::new("tar").arg("-xOf").arg(&image).arg(name)).unwrap()
        };
        let manifest = inside("manifest.json");
        assert!(manifest.contains("localhost/pause:1"), "{manifest}");
        let config: serde_json::Value = serde_json::from_str(&inside("config.json")).unwrap();
        assert_eq!(config["config"]["Entrypoint"][0], "/pause");
        let script = format!("tar -xOf {} layer.tar | sha256sum", image.display());
        let sum = process::output(Command::new("sh").args(["-c", &script])).unwrap();
        let sum = sum.split(' ').next().unwrap();
        assert_eq!(
            config["rootfs"]["diff_ids"][0],
            format!("sha256:{sum}").as_str()
        );
    }
}
