//! Why a file gives no unwind table.

/// A file that cannot be unwound by rows. What is broken inside of one function's entry is no
/// error: that function has no rule, and a stack that reaches it says so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnwindError {
    #[error("This is no ELF file: it does not begin with an ELF header.")]
    NotElf,
    #[error("This ELF file is for a 32-bit machine, and only 64-bit code can be unwound.")]
    ThirtyTwoBit,
    #[error("This ELF file is big endian, and only little endian code can be unwound.")]
    BigEndian,
    #[error(
        "This ELF file is for machine {0}, and only x86_64 (62) and aarch64 (183) can be unwound."
    )]
    Machine(u16),
    #[error(
        "This ELF file is neither a program nor a library (its type is {0}), so nothing executes it."
    )]
    NotLoadable(u16),
    #[error("This ELF file is damaged or cut short: its {0} lie outside of it.")]
    Truncated(&'static str),
    #[error("This ELF file has no executable segment, so it holds no code to unwind.")]
    NoCode,
    #[error(
        "This ELF file has neither .eh_frame nor .debug_frame; build it with \
         -fasynchronous-unwind-tables, or with frame pointers."
    )]
    NoFrames,
    #[error("The code of this ELF file spans {0} bytes; at most 4 GiB can be unwound.")]
    TooLarge(u64),
    #[error("This ELF file has more than {0} unwind rows, which no compiler makes; it is refused.")]
    TooManyRows(usize),
    #[error(
        "The unwind information of this ELF file takes far more work than its size explains, \
         which no compiler makes; it is refused."
    )]
    TooComplex,
}

impl UnwindError {
    /// Its name in statistics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::NotElf => "not_elf",
            Self::ThirtyTwoBit => "thirty_two_bit",
            Self::BigEndian => "big_endian",
            Self::Machine(_) => "other_machine",
            Self::NotLoadable(_) => "not_loadable",
            Self::Truncated(_) => "truncated",
            Self::NoCode => "no_code",
            Self::NoFrames => "no_unwind_information",
            Self::TooLarge(_) => "too_large",
            Self::TooManyRows(_) => "too_many_rows",
            Self::TooComplex => "too_complex",
        }
    }
}
