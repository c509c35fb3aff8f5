//! The parts of a file that are looked at, read to their places in an otherwise empty image: a
//! library's code and debug information are most of it and never wanted here.
//!
//! Read, never mapped: somebody who cuts a mapped file off would end the agent (SIGBUS).

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use memmap2::MmapMut;

use super::machine::until_zero;

/// Files up to this size are read whole.
const SMALL: u64 = 1 << 20;
/// Largest file that is looked at.
const LARGEST: u64 = 4 << 30;
/// Most section headers that are believed.
const SECTIONS: u64 = 65_536;
/// Largest table of names in which an interpreter is looked for.
const NAMES: u64 = 64 << 20;

const HEADER: usize = 64;
const SECTION_HEADER: u64 = 64;
const SHT_NOBITS: u32 = 8;
/// Symbol of every CPython runtime.
const RUNTIME: &[u8] = b"_PyRuntime\0";

/// Sections that unwind rows and the file's identity come from.
const WANTED: [&[u8]; 9] = [
    b".eh_frame",
    b".eh_frame_hdr",
    b".debug_frame",
    b".zdebug_frame",
    b".dynamic",
    b".interp",
    b".dynsym",
    b".dynstr",
    b".note.gnu.build-id",
];

struct Section {
    name: Vec<u8>,
    place: Range<u64>,
}

/// Reads what is wanted of a file. The image is as long as the file; the rest of it is zero.
pub fn read(file: &File) -> io::Result<MmapMut> {
    let size = file.metadata()?.len();
    if size > LARGEST {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "the file is larger than 4 GiB",
        ));
    }
    if size == 0 {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the file is empty",
        ));
    }
    let mut image = MmapMut::map_anon(size as usize)?;
    let sections = if size <= SMALL {
        None
    } else {
        sections(file, &mut image)?
    };
    let Some(sections) = sections else {
        file.read_exact_at(&mut image, 0)?;
        return Ok(image);
    };
    let python = holds_python(file, &mut image, &sections);
    for section in &sections {
        let wanted = if python {
            !section.name.starts_with(b".debug") || section.name == b".debug_frame"
        } else {
            WANTED.contains(&section.name.as_slice()) || section.name.starts_with(b".plt")
        };
        if wanted {
            fill(file, &mut image, &section.place)?;
        }
    }
    Ok(image)
}

/// The file's sections, its headers being read with them; none if it has none to go by.
fn sections(file: &File, image: &mut MmapMut) -> io::Result<Option<Vec<Section>>> {
    let size = image.len() as u64;
    fill(file, image, &(0..4096.min(size)))?;
    if !image.starts_with(b"\x7fELF\x02\x01") {
        return Ok(None);
    }
    let offset = number::<8>(&image[..HEADER], 0x28);
    let count = number::<2>(&image[..HEADER], 0x3c);
    let names = number::<2>(&image[..HEADER], 0x3e);
    let program = number::<8>(&image[..HEADER], 0x20);
    let program_bytes = number::<2>(&image[..HEADER], 0x36) * number::<2>(&image[..HEADER], 0x38);
    if count == 0 || count > SECTIONS || names >= count {
        return Ok(None);
    }
    let table = offset..offset.saturating_add(count * SECTION_HEADER);
    if table.end > size {
        return Ok(None);
    }
    fill(file, image, &table)?;
    fill(
        file,
        image,
        &(program..program.saturating_add(program_bytes).min(size)),
    )?;
    let place = |image: &MmapMut, index: u64| {
        let start = (table.start + index * SECTION_HEADER) as usize;
        let header = &image[start..start + SECTION_HEADER as usize];
        let from = number::<8>(header, 0x18);
        let kind = number::<4>(header, 4) as u32;
        let length = if kind == SHT_NOBITS {
            0
        } else {
            number::<8>(header, 0x20)
        };
        let to = from.saturating_add(length).min(size);
        (number::<4>(header, 0) as usize, from.min(to)..to)
    };
    let text = place(image, names).1;
    fill(file, image, &text)?;
    let sections = (0..count).map(|index| {
        let (name, place) = place(image, index);
        let names = &image[text.start as usize..text.end as usize];
        let name = names.get(name..).unwrap_or_default();
        Section {
            name: until_zero(name).to_vec(),
            place,
        }
    });
    Ok(Some(sections.collect()))
}

/// Whether more of the file must be read, since it holds a CPython runtime.
fn holds_python(file: &File, image: &mut MmapMut, sections: &[Section]) -> bool {
    sections
        .iter()
        .any(|section| match section.name.as_slice() {
            b".PyRuntime" => true,
            b".dynstr" | b".strtab" if section.place.end - section.place.start <= NAMES => {
                if section.name == b".dynstr" {
                    return fill(file, image, &section.place).is_ok()
                        && contains(&image[as_usize(&section.place)]);
                }
                let mut names = vec![0; (section.place.end - section.place.start) as usize];
                file.read_exact_at(&mut names, section.place.start).is_ok() && contains(&names)
            }
            _ => false,
        })
}

fn contains(names: &[u8]) -> bool {
    // Names begin behind another one's zero.
    names
        .split_inclusive(|&byte| byte == 0)
        .any(|name| name == RUNTIME)
}

fn fill(file: &File, image: &mut MmapMut, place: &Range<u64>) -> io::Result<()> {
    if place.start >= place.end || place.end > image.len() as u64 {
        return Ok(());
    }
    file.read_exact_at(&mut image[as_usize(place)], place.start)
}

fn as_usize(place: &Range<u64>) -> Range<usize> {
    place.start as usize..place.end as usize
}

fn number<const N: usize>(bytes: &[u8], offset: usize) -> u64 {
    let mut word = [0; 8];
    if let Some(found) = bytes.get(offset..offset + N) {
        word[..N].copy_from_slice(found);
    }
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{python, unwind};

    #[test]
    fn an_image_gives_the_rows_of_the_whole_file() {
        for path in ["/usr/lib/x86_64-linux-gnu/libc.so.6", "/usr/bin/python3.11"] {
            let Ok(file) = File::open(path) else { continue };
            let whole = std::fs::read(path).expect("a readable file");
            let image = read(&file).expect("a readable file");
            assert_eq!(image.len(), whole.len());
            assert_eq!(
                unwind::build(&image).ok(),
                unwind::build(&whole).ok(),
                "{path}"
            );
            let runtime = |bytes: &[u8]| python::detect(bytes).map(|found| found.runtime);
            assert_eq!(runtime(&image), runtime(&whole), "{path}");
        }
    }

    #[test]
    fn what_is_no_elf_is_read_whole_and_damage_does_no_harm() {
        let path = std::env::temp_dir().join(format!("strata-image-{}", std::process::id()));
        let mut bytes = std::fs::read("/proc/self/exe").expect("own image");
        bytes.truncate(3 << 20);
        for offset in [0x28, 0x3c, 0x3e, 0x20] {
            let mut damaged = bytes.clone();
            damaged[offset..offset + 2].fill(0xff);
            std::fs::write(&path, &damaged).expect("a writable folder");
            let _ = read(&File::open(&path).expect("just written"));
        }
        std::fs::write(&path, vec![7; 2 << 20]).expect("a writable folder");
        let image = read(&File::open(&path).expect("just written")).expect("readable");
        assert!(image.iter().all(|&byte| byte == 7));
        let _ = std::fs::remove_file(&path);
    }
}
