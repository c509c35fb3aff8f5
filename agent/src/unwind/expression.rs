//! The few DWARF expressions in unwind information that a [`Rule`](agent_common::step::Rule) can
//! say. Of 13.9 million rows of a Debian system 249 need others, nearly all of them
//! `*(rsp + N) + 8` in OpenSSL's hand-written loops, for which a rule has no field.

use gimli::{EndianSlice, LittleEndian, Reader, Register};

const DEREF: u8 = 0x06;
const BREG0: u8 = 0x70;
const BREG31: u8 = 0x8f;
const BREGX: u8 = 0x92;
const LIT0: u8 = 0x30;
const LIT31: u8 = 0x4f;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expression {
    /// register + offset
    Value {
        register: Register,
        offset: i64,
    },
    /// *(register + offset)
    Deref {
        register: Register,
        offset: i64,
    },
    /// x86_64 linkage table entry: rsp + 8, and 8 more where (rip & 15) >= `pushed_from`.
    Plt {
        pushed_from: u8,
    },
    Other,
}

impl Expression {
    pub fn parse(bytes: &[u8]) -> Self {
        if let Some(pushed_from) = plt(bytes) {
            return Self::Plt { pushed_from };
        }
        let mut rest = EndianSlice::new(bytes, LittleEndian);
        let Some((register, offset)) = register_and_offset(&mut rest) else {
            return Self::Other;
        };
        match rest.slice() {
            [] => Self::Value { register, offset },
            [DEREF] => Self::Deref { register, offset },
            _ => Self::Other,
        }
    }
}

fn register_and_offset(rest: &mut EndianSlice<LittleEndian>) -> Option<(Register, i64)> {
    let register = match rest.read_u8().ok()? {
        opcode @ BREG0..=BREG31 => Register((opcode - BREG0).into()),
        BREGX => Register(u16::try_from(rest.read_uleb128().ok()?).ok()?),
        _ => return None,
    };
    Some((register, rest.read_sleb128().ok()?))
}

/// What GNU ld writes for `.plt`: breg7 8, breg16 0, lit15, and, lit11, ge, lit3, shl, plus. The
/// entry's push ends 11 bytes in, or elsewhere in other kinds of tables.
fn plt(bytes: &[u8]) -> Option<u8> {
    match *bytes {
        [
            0x77,
            8,
            0x80,
            0,
            0x3f,
            0x1a,
            literal @ LIT0..=LIT31,
            0x2a,
            0x33,
            0x24,
            0x22,
        ] => Some(literal - LIT0),
        _ => None,
    }
}
