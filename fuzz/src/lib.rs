//! What the fuzz targets share: seeds, made from real files when a target starts, and an ELF file
//! around sections.

pub mod elf;
pub mod go;
pub mod seeds;
