//! Bounds the work on debug information, whose size says little about what it costs.

use std::time::{Duration, Instant};

use super::super::error::SymbolError;

/// Steps between two looks at the clock.
const STEPS: u32 = 8192;

pub struct Watch {
    end: Instant,
    allowed: Duration,
    steps: u32,
}

/// Why work on debug information stops.
#[derive(Debug)]
pub enum Halt {
    /// This unit is damaged; others may be whole.
    Damaged(gimli::Error),
    TooCostly(Duration),
}

/// Most address ranges of a file's units.
pub const RANGES_LIMIT: usize = 4 << 20;

impl Watch {
    pub fn new(allowed: Duration) -> Self {
        Self {
            end: Instant::now() + allowed,
            allowed,
            steps: 0,
        }
    }

    /// Counts a step.
    pub fn step(&mut self) -> Result<(), Halt> {
        self.steps += 1;
        if self.steps < STEPS {
            return Ok(());
        }
        self.look()
    }

    /// Looks at the clock.
    pub fn look(&mut self) -> Result<(), Halt> {
        self.steps = 0;
        if Instant::now() > self.end {
            return Err(self.too_costly());
        }
        Ok(())
    }

    pub fn too_costly(&self) -> Halt {
        Halt::TooCostly(self.allowed)
    }
}

impl From<gimli::Error> for Halt {
    fn from(error: gimli::Error) -> Self {
        Self::Damaged(error)
    }
}

impl From<Halt> for SymbolError {
    fn from(halt: Halt) -> Self {
        match halt {
            Halt::Damaged(error) => Self::Dwarf(error),
            Halt::TooCostly(allowed) => Self::DwarfTooCostly(allowed.as_secs(), RANGES_LIMIT),
        }
    }
}
