//! Compressing a message. The same message always gives the same bytes.

use std::io::{self, Write as _};

use flate2::write::GzEncoder;

use super::Compression;

/// zstd's own default.
const ZSTD_LEVEL: i32 = 3;

pub fn compress(bytes: &[u8], how: Compression) -> io::Result<Vec<u8>> {
    match how {
        Compression::None => Ok(bytes.to_vec()),
        Compression::Gzip => {
            let mut writer = GzEncoder::new(Vec::new(), flate2::Compression::default());
            writer.write_all(bytes)?;
            writer.finish()
        }
        Compression::Zstd => zstd::encode_all(bytes, ZSTD_LEVEL),
    }
}
