//! The ring buffer's reader.

use std::os::fd::{AsRawFd, RawFd};

use aya::maps::{MapData, RingBuf};

use super::load::{Loaded, access};
use super::load_error::LoadError;

/// Records from the kernel side.
pub struct Ring(RingBuf<MapData>);

impl Ring {
    pub fn new(loaded: &mut Loaded) -> Result<Self, LoadError> {
        let ring = RingBuf::try_from(loaded.take("EVENTS")?).map_err(access("EVENTS"))?;
        Ok(Self(ring))
    }

    /// Hands each waiting record to `take`, at most `most`; how many there were.
    pub fn drain(&mut self, most: usize, mut take: impl FnMut(&[u8])) -> usize {
        let mut count = 0;
        while count < most {
            let Some(record) = self.0.next() else { break };
            take(&record);
            count += 1;
        }
        count
    }
}

impl AsRawFd for Ring {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
