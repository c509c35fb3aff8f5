//! The linked object → the object that is committed: without DWARF, and with a note of what it was made from.

use std::path::Path;

use anyhow::{Context, Result, bail};
use object::build::elf::{Builder, SectionData};
use object::elf;

/// Neither loaders nor the kernel look at a section of an unknown name.
const NOTE_SECTION: &[u8] = b".strata.build";

/// What an object was made from. Written into it as lines of text, so that `readelf -p .strata.build` tells it too.
#[derive(Debug, PartialEq, Eq)]
pub struct Note {
    pub sources: String,
    pub rustc: String,
    pub bpf_linker: String,
}

impl Note {
    fn to_text(&self) -> String {
        let Self {
            sources,
            rustc,
            bpf_linker,
        } = self;
        format!("sources {sources}\nrustc {rustc}\nbpf-linker {bpf_linker}\n")
    }

    fn from_text(text: &str) -> Option<Self> {
        let field = |name: &str| {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
            Some(line.to_owned())
        };
        Some(Self {
            sources: field("sources")?,
            rustc: field("rustc")?,
            bpf_linker: field("bpf-linker")?,
        })
    }
}

/// Drops what only a debugger reads (nine tenths of the file) and adds the note.
pub fn finish(linked: &[u8], note: &Note) -> Result<Vec<u8>> {
    let mut builder =
        Builder::read(linked).context("bpf-linker wrote an object that can't be parsed")?;
    for section in &mut builder.sections {
        section.delete = is_useless(&section.name);
    }
    // Those that named a place in a section that is gone.
    builder.delete_orphan_symbols();
    let section = builder.sections.add();
    section.name = NOTE_SECTION.into();
    section.sh_type = elf::SHT_PROGBITS;
    section.sh_addralign = 1;
    section.data = SectionData::Data(note.to_text().into_bytes().into());
    // LLVM keeps the names of sections and symbols in one table, which the writer can't do.
    if !builder
        .sections
        .iter()
        .any(|section| matches!(section.data, SectionData::SectionString))
    {
        let section = builder.sections.add();
        section.name = b".shstrtab"[..].into();
        section.sh_type = elf::SHT_STRTAB;
        section.sh_addralign = 1;
        section.data = SectionData::SectionString;
    }
    builder.set_section_sizes();

    let mut finished = Vec::new();
    builder
        .write(&mut finished)
        .context("the object without DWARF can't be written")?;
    Ok(finished)
}

/// DWARF, and the relocations of BTF: those serve linkers, and its values are in place already.
fn is_useless(name: &[u8]) -> bool {
    [&b".debug_"[..], b".rel.debug_", b".rel.BTF"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

pub fn read_note(object: &[u8]) -> Result<Note> {
    let builder = Builder::read(object).context("it is not an ELF object")?;
    for section in &builder.sections {
        if &section.name[..] == NOTE_SECTION {
            let SectionData::Data(data) = &section.data else {
                bail!("its section .strata.build holds no text")
            };
            return std::str::from_utf8(data)
                .ok()
                .and_then(Note::from_text)
                .context("its section .strata.build has another form than this xtask writes");
        }
    }
    bail!("it has no section .strata.build, so it was not made by `cargo xtask ebpf`")
}

/// Does an object name a file below this folder? In BTF each name follows the zero that ends the one before.
pub fn names_file_in(object: &[u8], folder: &Path) -> bool {
    let name = [b"\0", folder.as_os_str().as_encoded_bytes(), b"/"].concat();
    object.windows(name.len()).any(|window| window == name)
}

/// Names of the sections in which two objects differ, for a message.
pub fn differing_sections(one: &[u8], other: &[u8]) -> Result<Vec<String>> {
    let (one, other) = (sections(one)?, sections(other)?);
    let mut names: Vec<String> = one
        .iter()
        .filter(|section| !other.contains(section))
        .chain(other.iter().filter(|section| !one.contains(section)))
        .map(|(name, _)| name.clone())
        .collect();
    names.sort();
    names.dedup();
    Ok(names)
}

fn sections(object: &[u8]) -> Result<Vec<(String, Vec<u8>)>> {
    use object::{Object, ObjectSection};
    let file = object::File::parse(object).context("the object can't be parsed")?;
    file.sections()
        .map(|section| Ok((section.name()?.to_owned(), section.data()?.to_vec())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::Endianness;

    fn note() -> Note {
        Note {
            sources: "abc".into(),
            rustc: "rustc 1.0 (with spaces)".into(),
            bpf_linker: "0.0.1".into(),
        }
    }

    /// An object with a program, its BTF and DWARF, and a symbol in each of two of them.
    fn linked() -> Vec<u8> {
        let mut builder = Builder::new(Endianness::Little, true);
        builder.header.e_type = elf::ET_REL;
        builder.header.e_machine = elf::EM_BPF;
        for name in [".shstrtab", ".strtab", ".symtab"] {
            let section = builder.sections.add();
            section.name = name.as_bytes().into();
            (section.sh_type, section.data) = match name {
                ".shstrtab" => (elf::SHT_STRTAB, SectionData::SectionString),
                ".strtab" => (elf::SHT_STRTAB, SectionData::String),
                _ => (elf::SHT_SYMTAB, SectionData::Symbol),
            };
        }
        for name in ["perf_event", ".BTF", ".debug_info"] {
            let section = builder.sections.add();
            section.name = name.as_bytes().into();
            section.sh_type = elf::SHT_PROGBITS;
            section.sh_addralign = 1;
            section.data = SectionData::Data(name.as_bytes().to_vec().into());
            let id = section.id();
            if name != ".BTF" {
                let symbol = builder.symbols.add();
                symbol.name = format!("symbol_in{name}").into_bytes().into();
                symbol.section = Some(id);
            }
        }
        builder.set_section_sizes();
        let mut object = Vec::new();
        builder.write(&mut object).unwrap();
        object
    }

    #[test]
    fn dwarf_goes_and_everything_else_stays() {
        let finished = finish(&linked(), &note()).unwrap();
        let names: Vec<String> = sections(&finished)
            .unwrap()
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        for kept in ["perf_event", ".BTF", ".strata.build"] {
            assert!(
                names.iter().any(|name| name == kept),
                "{kept} is not in {names:?}"
            );
        }
        assert!(
            !names.iter().any(|name| name.starts_with(".debug_")),
            "{names:?}"
        );

        use object::{Object, ObjectSymbol};
        let file = object::File::parse(&finished[..]).unwrap();
        let symbols: Vec<_> = file
            .symbols()
            .filter_map(|symbol| symbol.name().ok())
            .collect();
        assert!(
            symbols.contains(&"symbol_inperf_event") && !symbols.contains(&"symbol_in.debug_info"),
            "{symbols:?}"
        );
    }

    #[test]
    fn the_note_comes_back() {
        assert_eq!(
            read_note(&finish(&linked(), &note()).unwrap()).unwrap(),
            note()
        );
    }

    #[test]
    fn an_object_without_a_note_is_refused() {
        let error = read_note(&linked()).unwrap_err();
        assert!(error.to_string().contains("cargo xtask ebpf"), "{error}");
        assert!(read_note(b"no object at all").is_err());
    }

    #[test]
    fn a_path_of_this_machine_is_seen() {
        assert!(names_file_in(b"x\0/src/core/lib.rs\0", Path::new("/src")));
        assert!(!names_file_in(
            b"x\0/core-0.0.0/src/lib.rs\0",
            Path::new("/src")
        ));
    }

    #[test]
    fn a_changed_section_is_named() {
        let one = finish(&linked(), &note()).unwrap();
        let other = finish(
            &linked(),
            &Note {
                sources: "changed".into(),
                ..note()
            },
        )
        .unwrap();
        assert_eq!(differing_sections(&one, &other).unwrap(), [".strata.build"]);
        assert!(differing_sections(&one, &one).unwrap().is_empty());
    }
}
