//! Which cgroups are sampled, and how often: written while the program runs.

use agent_common::filter::CgroupPolicy;
use aya::maps::{HashMap, MapData, MapError};

use super::load::{Loaded, absent_is_fine, access};
use super::load_error::LoadError;
use super::plain::Plain;

const MAP: &str = "CGROUP_POLICIES";

/// Writer of the policies, for whoever decides.
pub struct Policies {
    map: HashMap<MapData, u64, Plain<CgroupPolicy>>,
}

/// Why a policy does not hold.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    #[error("there is no room for the policies of more cgroups")]
    Full,
    #[error(transparent)]
    Load(#[from] LoadError),
}

impl Policies {
    pub fn new(loaded: &mut Loaded) -> Result<Self, LoadError> {
        let map = HashMap::try_from(loaded.take(MAP)?).map_err(access(MAP))?;
        Ok(Self { map })
    }

    /// Says what holds for a cgroup, by its kernfs id, and those below it; from the next sample on.
    pub fn set(&mut self, cgroup: u64, policy: &CgroupPolicy) -> Result<(), PolicyError> {
        match self.map.insert(cgroup, Plain(*policy), 0) {
            Err(MapError::SyscallError(error))
                if error.io_error.raw_os_error() == Some(libc::E2BIG) =>
            {
                Err(PolicyError::Full)
            }
            done => Ok(done.map_err(access(MAP))?),
        }
    }

    /// Takes that back.
    pub fn remove(&mut self, cgroup: u64) -> Result<(), PolicyError> {
        Ok(absent_is_fine(self.map.remove(&cgroup), MAP)?)
    }
}
