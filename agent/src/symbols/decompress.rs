//! Compressed sections: `SHF_COMPRESSED` (zlib, zstd) and `.gnu_debugdata` (xz). What a file says
//! about the decompressed size is checked against a limit before anything is allocated.

use std::io::Read;

use object::read::{CompressedData, CompressionFormat};

use super::elf::number;
use super::error::SymbolError;

const HEADER_BYTES: usize = 24;
/// Most memory for the dictionary of an xz stream. `xz -9` asks for 64 MiB.
const XZ_MEMORY_KIB: u32 = 80 << 10;

/// Contents of a section with a compression header.
pub fn section(name: &str, data: &[u8], limit: u64) -> Result<Vec<u8>, SymbolError> {
    let size = number::<8>(data, 8);
    if size > limit {
        return Err(SymbolError::TooLarge {
            what: name.into(),
            size,
            limit,
        });
    }
    let format = match number::<4>(data, 0) {
        1 => CompressionFormat::Zlib,
        2 => CompressionFormat::Zstandard,
        _ => CompressionFormat::Unknown,
    };
    let compressed = CompressedData {
        format,
        data: data.get(HEADER_BYTES..).unwrap_or_default(),
        uncompressed_size: size,
    };
    match compressed.decompress() {
        Ok(bytes) => Ok(bytes.into_owned()),
        Err(error) => Err(SymbolError::Compression {
            what: name.into(),
            cause: error.to_string(),
        }),
    }
}

/// Contents of `.gnu_debugdata`: a whole ELF file.
pub fn xz(data: &[u8], limit: u64) -> Result<Vec<u8>, SymbolError> {
    let mut bytes = Vec::new();
    let reader = lzma_rust2::XzReader::new_mem_limit(data, false, XZ_MEMORY_KIB);
    match reader.take(limit + 1).read_to_end(&mut bytes) {
        Ok(size) if size as u64 <= limit => Ok(bytes),
        Ok(size) => Err(SymbolError::TooLarge {
            what: ".gnu_debugdata".into(),
            size: size as u64,
            limit,
        }),
        Err(error) => Err(SymbolError::Compression {
            what: ".gnu_debugdata".into(),
            cause: error.to_string(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claimed_size_is_not_allocated() {
        let mut data = vec![0; HEADER_BYTES];
        data[0] = 1;
        data[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
        let error = section(".debug_info", &data, 1 << 20).unwrap_err();
        assert!(matches!(error, SymbolError::TooLarge { .. }));
    }

    #[test]
    fn rubbish_is_refused() {
        for kind in 0..4u8 {
            let mut data = vec![0xa5; 100];
            data[..16].fill(0);
            data[0] = kind;
            data[8] = 200;
            let error = section(".debug_info", &data, 1 << 20).unwrap_err();
            assert!(matches!(error, SymbolError::Compression { .. }));
            assert!(section(".debug_info", &data[..kind as usize], 1 << 20).is_err());
        }
        assert!(xz(b"\xfd7zXZ\0 and more", 1 << 20).is_err());
        assert!(xz(b"", 1 << 20).is_err());
    }
}
