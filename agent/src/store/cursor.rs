//! The file that says how far a destination has got.

use std::io;

use super::error::StoreError;
use super::folder::Folder;
use super::record::SEQUENCES;

const SUFFIX: &str = ".cursor";
/// Longest name of a destination.
pub const NAME_BYTES: usize = 1024;

const MAGIC: [u8; 8] = *b"StCursr1";
/// Magic and sequence in front of the name, a checksum behind it.
const HEADER_BYTES: usize = 16;
const CHECKSUM_BYTES: usize = 4;
const FILE_BYTES: u64 = (HEADER_BYTES + NAME_BYTES + CHECKSUM_BYTES) as u64 + 1;

/// Names may hold anything, so the file is named by a hash.
pub fn file_name(destination: &str) -> String {
    use sha2::Digest as _;
    let hash = sha2::Sha256::digest(destination.as_bytes());
    let digits: String = hash[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{digits}{SUFFIX}")
}

pub fn is_cursor(name: &str) -> bool {
    name.ends_with(SUFFIX)
}

pub fn write(folder: &Folder, destination: &str, sequence: u64) -> io::Result<()> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(sequence.to_le_bytes());
    bytes.extend(destination.as_bytes());
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    folder.replace(&file_name(destination), &bytes)
}

/// Destination and sequence, if the file is as it was written.
pub fn read(folder: &Folder, name: &str) -> Result<Option<(String, u64)>, StoreError> {
    folder.own_file(name, false)?;
    let bytes = folder.content(name, FILE_BYTES);
    let bytes =
        bytes.map_err(|error| StoreError::system(&folder.file_path(name), "read", error))?;
    Ok(parse(&bytes).filter(|(destination, _)| file_name(destination) == name))
}

fn parse(bytes: &[u8]) -> Option<(String, u64)> {
    let (content, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>()?;
    let (magic, rest) = content.split_first_chunk::<8>()?;
    let (sequence, name) = rest.split_first_chunk::<8>()?;
    let known = *magic == MAGIC && crc32fast::hash(content) == u32::from_le_bytes(*checksum);
    let sequence = u64::from_le_bytes(*sequence);
    if !known || sequence >= SEQUENCES || name.len() > NAME_BYTES {
        return None;
    }
    Some((str::from_utf8(name).ok()?.to_owned(), sequence))
}
