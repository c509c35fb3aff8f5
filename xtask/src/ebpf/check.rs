//! Is the committed object the one that its sources make?

use std::fs;

use anyhow::{Context, Result, bail};

use super::build::{self, Lock};
use super::object::{self, Note};
use super::{sources, toolchain};
use crate::repository::Repository;
use crate::scratch::Scratch;

const REMEDY: &str = "run `cargo xtask ebpf` and commit the object together with its sources";

pub fn run(repository: &Repository) -> Result<()> {
    let path = repository.object();
    let committed =
        fs::read(&path).with_context(|| format!("{} can't be read; {REMEDY}", path.display()))?;
    let note = object::read_note(&committed)
        .with_context(|| format!("{} can't be trusted; {REMEDY}", path.display()))?;
    compare_note(&note, &sources::hash(repository.root())?)?;

    let toolchain = match toolchain::locate()? {
        Err(missing) => {
            println!(
                "The object carries the hash of its sources. Only this was compared, not its bytes: this machine lacks {}.",
                missing.join(" and ")
            );
            return Ok(());
        }
        Ok(toolchain) if !toolchain.library_is_own => {
            println!(
                "The object carries the hash of its sources. Only this was compared, not its bytes: {} are not the \
                 sources of the pinned compiler's own commit.",
                toolchain::library_folder(&toolchain.sysroot).display()
            );
            return Ok(());
        }
        Ok(toolchain) => toolchain,
    };

    // In another folder and from copies: this shows too that the bytes depend neither on the place nor on any file that
    // the hash leaves out.
    let scratch = Scratch::inside(&repository.target())?;
    sources::copy(repository.root(), scratch.path())?;
    let rebuilt = build::build(
        scratch.path(),
        &toolchain,
        &scratch.path().join("target"),
        Lock::Closed,
    )?;
    if rebuilt == committed {
        println!(
            "The object is what its sources make: {} bytes, compared one by one.",
            committed.len()
        );
        return Ok(());
    }
    let kept = repository.target().join("strata.bpf.rebuilt.o");
    fs::write(&kept, &rebuilt).with_context(|| format!("{} can't be written", kept.display()))?;
    bail!(
        "the committed object is not what its sources make. They differ in the sections {}; the rebuilt one is kept at {}. {REMEDY}",
        object::differing_sections(&committed, &rebuilt)?.join(", "),
        kept.display()
    )
}

fn compare_note(note: &Note, sources: &str) -> Result<()> {
    if note.sources != sources {
        bail!(
            "the object was built from other sources than these (hash {} in it, {sources} here); {REMEDY}",
            note.sources
        );
    }
    if note.rustc != toolchain::RUSTC_VERSION || note.bpf_linker != toolchain::BPF_LINKER_VERSION {
        bail!(
            "the object was built by {} and bpf-linker {}, but {} and bpf-linker {} are pinned; {REMEDY}",
            note.rustc,
            note.bpf_linker,
            toolchain::RUSTC_VERSION,
            toolchain::BPF_LINKER_VERSION
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note() -> Note {
        Note {
            sources: "hash".into(),
            rustc: toolchain::RUSTC_VERSION.into(),
            bpf_linker: toolchain::BPF_LINKER_VERSION.into(),
        }
    }

    #[test]
    fn an_object_of_these_sources_and_this_toolchain_passes() {
        compare_note(&note(), "hash").unwrap();
    }

    #[test]
    fn an_object_of_other_sources_fails() {
        assert!(
            compare_note(&note(), "other")
                .unwrap_err()
                .to_string()
                .contains("other sources")
        );
    }

    #[test]
    fn an_object_of_another_compiler_or_linker_fails() {
        let other_rustc = Note {
            rustc: "rustc 1.99.0".into(),
            ..note()
        };
        assert!(
            compare_note(&other_rustc, "hash")
                .unwrap_err()
                .to_string()
                .contains("rustc 1.99.0")
        );
        let other_linker = Note {
            bpf_linker: "0.9.0".into(),
            ..note()
        };
        assert!(
            compare_note(&other_linker, "hash")
                .unwrap_err()
                .to_string()
                .contains("0.9.0")
        );
    }
}
