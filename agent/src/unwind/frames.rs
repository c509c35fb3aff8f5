//! One section of call frame information: which functions it describes, and their programs.
//!
//! Entries are found by their length fields alone, so that one that gimli cannot read (an unknown
//! augmentation, say) costs its own functions their rules and no others.

use std::collections::HashMap;
use std::rc::Rc;

use gimli::{
    BaseAddresses, CommonInformationEntry, EndianSlice, FrameDescriptionEntry, LittleEndian,
    UnwindSection,
};

use super::program::{State, Terms};
use super::{Machine, UnwindError};

pub(super) type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// Most functions in one section: 130,000 were seen, and each takes 56 bytes for a while.
const MOST_FUNCTIONS: usize = 4 << 20;
/// Most common entries that are kept; .debug_frame has one a source file.
const MOST_COMMON: usize = 1 << 14;
/// Bytes of entries that may be read for one byte of section; a section as compilers write it
/// needs 2.
const MOST_WORK: usize = 32;

/// A function's entry, as found in the section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Svma of its first byte.
    pub svma: u64,
    /// Bytes.
    pub size: u64,
    /// Where its entry begins in the section.
    pub at: usize,
}

/// What functions have in common, read and executed once.
pub(super) struct Common<'a> {
    cie: CommonInformationEntry<Slice<'a>>,
    pub terms: Terms,
    pub initial: State,
}

/// A function's entry that was read.
pub(super) struct Function<'a> {
    pub common: Rc<Common<'a>>,
    pub fde: FrameDescriptionEntry<Slice<'a>>,
}

/// `.eh_frame` or `.debug_frame`, with the addresses that its pointers count from.
pub(super) struct Frames<'a, S> {
    pub section: S,
    pub data: &'a [u8],
    pub bases: &'a BaseAddresses,
    machine: Machine,
    /// Common entries by place; `None`: not readable.
    common: HashMap<usize, Option<Rc<Common<'a>>>>,
    /// The one that was needed last.
    last: Option<(usize, Rc<Common<'a>>)>,
    /// Bytes of entries that may still be read.
    work: usize,
}

impl<'a, S: UnwindSection<Slice<'a>>> Frames<'a, S> {
    pub fn new(machine: Machine, section: S, data: &'a [u8], bases: &'a BaseAddresses) -> Self {
        let work = data.len().saturating_mul(MOST_WORK);
        Self { section, data, bases, machine, common: HashMap::new(), last: None, work }
    }

    /// The section's functions, by walking over its entries. `terminated`: up to an entry without
    /// length. Where the section's end is known, such entries in the middle mean nothing: an object
    /// file brought one along, and readers that use `.eh_frame_hdr` never notice it.
    pub fn scan(&mut self, terminated: bool) -> Result<Vec<Entry>, UnwindError> {
        let mut found = Vec::new();
        let mut at = 0;
        while let Some((size, body)) = entry_size(self.data, at) {
            if body == 0 && terminated {
                break;
            }
            if body != 0 {
                self.collect(at, &mut found)?;
            }
            at += size;
        }
        Ok(found)
    }

    /// The functions whose entries begin at `places`.
    pub fn read(&mut self, places: &[usize]) -> Result<Vec<Entry>, UnwindError> {
        let mut found = Vec::new();
        for &at in places {
            self.collect(at, &mut found)?;
        }
        Ok(found)
    }

    fn collect(&mut self, at: usize, found: &mut Vec<Entry>) -> Result<(), UnwindError> {
        let Some(Function { fde, .. }) = self.function(at)? else {
            return Ok(());
        };
        if found.len() == MOST_FUNCTIONS {
            return Err(UnwindError::TooComplex);
        }
        // Svma 0 is never code: functions that the linker threw away keep entries like that.
        if fde.initial_address() != 0 && fde.len() != 0 {
            found.push(Entry { svma: fde.initial_address(), size: fde.len(), at });
        }
        Ok(())
    }

    /// The function whose entry begins at `at`; none if there is something else, or nothing that
    /// can be read.
    pub fn function(&mut self, at: usize) -> Result<Option<Function<'a>>, UnwindError> {
        let Ok(partial) = self.section.partial_fde_from_offset(self.bases, at.into()) else {
            return Ok(None);
        };
        let place = gimli::UnwindOffset::into(partial.cie_offset());
        let common = match &self.last {
            Some((last, common)) if *last == place => common.clone(),
            _ => {
                let Some(common) = self.common(place)? else {
                    return Ok(None);
                };
                self.last = Some((place, common.clone()));
                common
            }
        };
        let fde = partial.parse(|_, _, _| Ok(common.cie.clone()));
        Ok(fde.ok().map(|fde| Function { common, fde }))
    }

    /// Takes `bytes` from what may still be read.
    pub fn spend(&mut self, bytes: usize) -> Result<(), UnwindError> {
        self.work = self.work.checked_sub(bytes).ok_or(UnwindError::TooComplex)?;
        Ok(())
    }

    fn common(&mut self, place: usize) -> Result<Option<Rc<Common<'a>>>, UnwindError> {
        if let Some(common) = self.common.get(&place) {
            return Ok(common.clone());
        }
        if self.common.len() >= MOST_COMMON {
            self.common.clear();
        }
        let cie = self.section.cie_from_offset(self.bases, place.into()).ok();
        self.spend(cie.as_ref().map_or(0, |cie| cie.entry_len()))?;
        let common = cie.and_then(|cie| {
            let terms = Terms {
                machine: self.machine,
                return_address: cie.return_address_register(),
                signal: cie.is_signal_trampoline(),
                code_alignment: cie.code_alignment_factor(),
                data_alignment: cie.data_alignment_factor(),
            };
            let instructions = cie.instructions(&self.section, self.bases);
            let initial = State::initial(&terms, instructions).ok()?;
            Some(Rc::new(Common { cie, terms, initial }))
        });
        self.common.insert(place, common.clone());
        Ok(common)
    }
}

/// Bytes of the entry at `at` with its length field, and without it (0: a terminator). None at the
/// end of the section, or where an entry claims to go beyond it.
fn entry_size(data: &[u8], at: usize) -> Option<(usize, usize)> {
    let rest = data.get(at..)?;
    let (short, rest) = rest.split_first_chunk::<4>()?;
    let (field, body) = match u32::from_le_bytes(*short) {
        u32::MAX => (12, u64::from_le_bytes(*rest.first_chunk::<8>()?)),
        short => (4, short as u64),
    };
    let body = usize::try_from(body).ok()?;
    let size = body.checked_add(field)?;
    (size <= data.len() - at).then_some((size, body))
}
