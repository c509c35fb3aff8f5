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

/// Most common entries that are kept; .debug_frame has one a source file.
const MOST_COMMON: usize = 1 << 14;
/// Bytes of entries that may be read for one byte of section. 1 is enough unless entries overlap.
const MOST_WORK: usize = 4;

/// What functions have in common, read and executed once.
pub(super) struct Common<'a> {
    cie: CommonInformationEntry<Slice<'a>>,
    pub terms: Terms,
    pub initial: State,
}

/// A function's entry that was read, and what it has in common with others.
pub(super) type Function<'a> = (Rc<Common<'a>>, FrameDescriptionEntry<Slice<'a>>);

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
        Self {
            section,
            data,
            bases,
            machine,
            common: HashMap::new(),
            last: None,
            work,
        }
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
        Ok(fde.ok().map(|fde| (common, fde)))
    }

    /// Takes `bytes` from what may still be read.
    pub fn spend(&mut self, bytes: usize) -> Result<(), UnwindError> {
        self.work = self
            .work
            .checked_sub(bytes)
            .ok_or(UnwindError::TooComplex)?;
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
            Some(Rc::new(Common {
                cie,
                terms,
                initial,
            }))
        });
        self.common.insert(place, common.clone());
        Ok(common)
    }
}

/// Places of a section's entries, one behind the other. `terminated`: up to an entry without length.
/// Where the section's end is known, such entries in the middle mean nothing: an object file
/// brought one along, and readers that use `.eh_frame_hdr` never notice it.
pub(super) fn places(data: &[u8], terminated: bool) -> impl Iterator<Item = usize> {
    let mut next = 0;
    std::iter::from_fn(move || {
        let at = next;
        let (size, body) = entry_size(data, at)?;
        next += size;
        (body != 0 || !terminated).then_some(at)
    })
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
