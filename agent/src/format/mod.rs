//! One file an output format: profile in, bytes out.
//!
//! All formats show a stack from the process at its root to the innermost frame, the same text for
//! the same frame ([`label`]), in an order that depends on nothing but the profile. Reads profiles
//! and nothing else.

mod caption;
mod changes;
mod difference;
mod firefox;
mod flamegraph;
mod folded;
mod functions;
mod label;
mod numbered;
pub mod otlp;
mod palette;
mod places;
mod pprof;
pub mod read;
mod speedscope;
mod stacks;
mod top;

pub use caption::{Caption, grouped};
pub use changes::{changes, changes_json};
pub use difference::{flamegraph_difference, folded_difference};
pub use firefox::firefox;
pub use flamegraph::flamegraph;
pub use folded::folded;
pub use label::plain;
pub use otlp::otlp;
pub use pprof::pprof;
pub use speedscope::speedscope;
pub use top::{Layout, top, top_json};

/// What a stack shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// File and line behind each name: boxes are lines of functions rather than functions.
    pub lines: bool,
    /// The thread below its process.
    pub threads: bool,
    /// Functions that the compiler put into others.
    pub inlines: bool,
    /// File and svma behind the names of native functions.
    pub addresses: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            lines: false,
            threads: false,
            inlines: true,
            addresses: false,
        }
    }
}

/// Why there is no output.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    #[error(
        "The profile has no samples, so there is nothing to show: the target did not use the CPU. \
         Record for longer, or while it works."
    )]
    Empty,
    #[error(
        "The profile is too large for speedscope: its stacks have more than {0} frames. Choose \
         another format, e.g. pprof, or record for a shorter time."
    )]
    TooLarge(usize),
    #[error("Drawing the flame graph failed: {0}.")]
    Draw(std::io::Error),
    #[error("Compressing the profile failed: {0}.")]
    Compress(std::io::Error),
    #[error("The profile can't be put into JSON: {0}.")]
    Json(serde_json::Error),
}

#[cfg(test)]
mod sample_profile;
