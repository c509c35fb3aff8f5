//! Compressing a message: the same message always gives the same bytes. And, within a bound, the
//! other way for what a server compressed.

use std::io::{self, Read, Write as _};

use flate2::read::MultiGzDecoder;
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

/// None if it is damaged, larger than the bound or compressed in another way.
pub fn expand(bytes: &[u8], encoding: &str, most: usize) -> Option<Vec<u8>> {
    match encoding {
        "gzip" => read(MultiGzDecoder::new(bytes), most),
        "zstd" => read(zstd::Decoder::new(bytes).ok()?, most),
        _ => None,
    }
}

fn read(reader: impl Read, most: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let most = u64::try_from(most).ok()?;
    let read = reader.take(most + 1).read_to_end(&mut bytes).ok()?;
    (read as u64 <= most).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_compressed_comes_back_within_the_bound() {
        let bytes = vec![7; 1000];
        for (how, name) in [(Compression::Gzip, "gzip"), (Compression::Zstd, "zstd")] {
            let compressed = compress(&bytes, how).unwrap();
            assert_eq!(compressed, compress(&bytes, how).unwrap());
            assert_eq!(expand(&compressed, name, 1000).as_ref(), Some(&bytes));
            assert_eq!(expand(&compressed, name, 999), None);
            assert_eq!(
                expand(&compressed[..compressed.len() - 1], name, 1000),
                None
            );
            assert_eq!(expand(&compressed, "br", 1000), None);
        }
    }
}
