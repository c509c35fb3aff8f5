//! Test programs: assembled by gcc, or written byte by byte where no assembler makes the like.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder that is removed with the value.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("strata-unwind-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("the temporary folder can be written");
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs a program that the tests need; its output, or `None` with a note if it can't be had.
pub fn run(program: &str, arguments: &[&str]) -> Option<String> {
    let output = match Command::new(program).args(arguments).output() {
        Ok(output) => output,
        Err(error) => {
            eprintln!("skipped: {program} cannot be run: {error}");
            return None;
        }
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {errors}");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Links assembler source (x86_64) to a library and gives its bytes.
pub fn assemble(source: &str, options: &[&str]) -> Option<Vec<u8>> {
    let folder = Folder::new();
    let (input, output) = (folder.path("code.s"), folder.path("code.so"));
    std::fs::write(&input, source).expect("the temporary folder can be written");
    let mut arguments = vec!["-nostdlib", "-shared", text(&input), "-o", text(&output)];
    arguments.extend(options);
    run("gcc", &arguments)?;
    Some(read(&output))
}

/// A library whose only unwind information is a `.debug_frame` that is worth compressing: function
/// `f0` to `f199`, of two bytes.
pub fn compressed_debug_frame() -> Option<Vec<u8>> {
    let function = |number| {
        format!(
            ".globl f{number}\nf{number}:\n.cfi_startproc\nnop\n.cfi_def_cfa_offset 24\nnop\n\
             .cfi_endproc\n"
        )
    };
    let functions: String = (0..200).map(function).collect();
    let source = format!(".cfi_sections .debug_frame\n{functions}");
    assemble(&source, &["-Wl,--compress-debug-sections=zlib"])
}

/// Links a C program and gives its bytes.
pub fn compile(compiler: &str, source: &str, options: &[&str]) -> Option<Vec<u8>> {
    let folder = Folder::new();
    let (input, output) = (folder.path("code.c"), folder.path("code"));
    std::fs::write(&input, source).expect("the temporary folder can be written");
    let mut arguments = vec![text(&input), "-o", text(&output)];
    arguments.extend(options);
    run(compiler, &arguments)?;
    Some(read(&output))
}

pub fn text(path: &Path) -> &str {
    path.to_str().expect("the path is plain text")
}

pub fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// File offset of a symbol of an ELF file.
pub fn symbol(file: &[u8], name: &str) -> u64 {
    use object::{Object, ObjectSymbol};
    let parsed = object::File::parse(file).expect("the test program is ELF");
    let found = parsed
        .symbols()
        .chain(parsed.dynamic_symbols())
        .find(|s| s.name() == Ok(name));
    let svma = found
        .unwrap_or_else(|| panic!("no symbol {name}"))
        .address();
    super::super::Segments::of(file)
        .unwrap()
        .offset_of(svma)
        .expect("the symbol is in the file")
}

/// An ELF file without section headers and with one segment, which is executable, at file offset
/// and svma 0. `.eh_frame` is found by `.eh_frame_hdr`; without a table there, its terminator ends
/// it.
pub struct Image {
    pub machine: u16,
    /// Where code begins; everything else lies before it.
    pub entries: Vec<u8>,
    /// File type: 2 program, 3 library.
    pub kind: u16,
    pub entry: u64,
    pub size: u64,
    /// Places of entries for the table of `.eh_frame_hdr`; empty: it has none.
    pub listed: Vec<u32>,
}

/// Where [`Image`] puts `.eh_frame_hdr`. `.eh_frame` is behind it.
const HDR: u64 = 64 + 2 * 56;

impl Image {
    pub fn new(machine: u16) -> Self {
        Self {
            machine,
            entries: Vec::new(),
            kind: 3,
            entry: 0,
            size: 0x10000,
            listed: Vec::new(),
        }
    }

    /// Adds a common entry and gives its place. `augmentation` may hold 'R' and 'S'.
    pub fn common(&mut self, augmentation: &str, ra: u8, instructions: &[u8]) -> u32 {
        let at = self.entries.len() as u32;
        let mut body = vec![0, 0, 0, 0, 1];
        body.extend(augmentation.as_bytes());
        // Code alignment 1, data alignment -8, return address column, absolute addresses.
        body.extend([0, 1, 0x78, ra, 1, 0x04]);
        body.extend(instructions);
        self.push(body);
        at
    }

    /// Adds a function with a common entry.
    pub fn function(&mut self, common: u32, start: u64, size: u64, instructions: &[u8]) {
        let back = self.entries.len() as u32 + 4 - common;
        let mut body = back.to_le_bytes().to_vec();
        body.extend(start.to_le_bytes());
        body.extend(size.to_le_bytes());
        body.push(0);
        body.extend(instructions);
        self.push(body);
    }

    fn push(&mut self, mut body: Vec<u8>) {
        body.resize(body.len().next_multiple_of(4), 0);
        self.entries.extend((body.len() as u32).to_le_bytes());
        self.entries.extend(body);
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut file = b"\x7fELF\x02\x01\x01".to_vec();
        file.resize(16, 0);
        file.extend(self.kind.to_le_bytes());
        file.extend(self.machine.to_le_bytes());
        file.extend(1u32.to_le_bytes());
        file.extend(self.entry.to_le_bytes());
        file.extend(64u64.to_le_bytes());
        file.extend([0; 12]);
        for half in [64u16, 56, 2, 64, 0, 0] {
            file.extend(half.to_le_bytes());
        }
        let size = self.size;
        let table = if self.listed.is_empty() {
            0
        } else {
            4 + 8 * self.listed.len() as u64
        };
        let hdr = 8 + table;
        for (kind, flags, offset, size) in [(1u32, 5u32, 0, size), (0x6474_e550, 4, HDR, hdr)] {
            file.extend(kind.to_le_bytes());
            file.extend(flags.to_le_bytes());
            for word in [offset, offset, offset, size, size, 1] {
                file.extend(word.to_le_bytes());
            }
        }
        // Version 1, then the encodings: absolute words of 4 bytes, or none.
        let encoding = if table == 0 { 0xff } else { 0x03 };
        file.extend([1, 0x03, encoding, encoding]);
        let eh_frame = (HDR + hdr) as u32;
        file.extend(eh_frame.to_le_bytes());
        if table != 0 {
            file.extend((self.listed.len() as u32).to_le_bytes());
            for at in &self.listed {
                file.extend([0; 4]);
                file.extend((eh_frame + at).to_le_bytes());
            }
        }
        file.extend(&self.entries);
        assert!(
            (file.len() as u64) < size,
            "the code begins behind the entries"
        );
        file.resize(size as usize, 0);
        file
    }
}
