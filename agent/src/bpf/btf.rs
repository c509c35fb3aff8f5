//! Reader of BTF, the kernel's own description of its types. Bytes in, offsets out.
//!
//! The format is that of Linux `Documentation/bpf/btf.rst`. Kinds up to `ENUM64` (6.0) are known;
//! the bits that 5.10 leaves unused in the length and kind of a type count as theirs, as the format
//! says. The reader copies no type: it keeps the file and where each type begins in it.

use thiserror::Error;

/// Most types that are read. Debian's 6.12 has 60,000, a kernel with everything built in 300,000.
const TYPES: usize = 4_000_000;
/// Most qualifiers and typedefs, or anonymous types in each other, that are followed.
const DEPTH: usize = 16;
/// Most members that one search looks at.
const SEARCHED: usize = 10_000;

const KIND_INT: u32 = 1;
const KIND_POINTER: u32 = 2;
const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
const KIND_FORWARD: u32 = 7;
const KIND_TYPEDEF: u32 = 8;
const KIND_VOLATILE: u32 = 9;
const KIND_CONST: u32 = 10;
const KIND_RESTRICT: u32 = 11;
const KIND_FUNCTION: u32 = 12;
const KIND_PROTOTYPE: u32 = 13;
const KIND_VARIABLE: u32 = 14;
const KIND_SECTION: u32 = 15;
const KIND_FLOAT: u32 = 16;
const KIND_DECLARATION_TAG: u32 = 17;
const KIND_TYPE_TAG: u32 = 18;
const KIND_ENUM64: u32 = 19;

/// Why bytes are not BTF that this reader understands.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum BtfError {
    #[error("it does not begin with a BTF header of this machine's byte order")]
    Header,
    #[error("its sections reach beyond its end")]
    Sections,
    #[error("type {0} is cut off by the end of the section")]
    Cut(usize),
    #[error("type {id} is of kind {kind}, which this version of strata does not know")]
    Kind { id: usize, kind: u32 },
    #[error("it has more than {TYPES} types")]
    Types,
}

/// Why a member has no usable place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberError {
    /// No such type, or no such member in it.
    Absent,
    /// Two types of this name have it in different places.
    Ambiguous,
    /// It does not begin at a byte, or is a bit field.
    BitField,
}

/// Where a member is and how large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    pub offset: u32,
    /// 0: unknown.
    pub size: u32,
}

/// A BTF file.
pub struct Btf {
    data: Vec<u8>,
    /// Where each type begins in `data`; type 0 is `void` and has no place.
    types: Vec<u32>,
    strings: std::ops::Range<usize>,
}

/// The fixed part of a type.
#[derive(Clone, Copy)]
struct Type {
    /// Place of what follows the fixed part.
    body: usize,
    name: u32,
    kind: u32,
    length: usize,
    /// Struct members carry a bit field size in the upper byte of their offset.
    flag: bool,
    /// Size, or the type that is meant, as the kind has it.
    size_or_type: u32,
}

/// A struct or union: all those that have its name, none if there is none.
pub struct Struct<'a> {
    btf: &'a Btf,
    types: Vec<Type>,
}

impl Struct<'_> {
    /// Place of a member: `path` names members in each other, divided by dots. Anonymous structs
    /// and unions on the way need not be named.
    pub fn member(&self, path: &str) -> Result<Member, MemberError> {
        let mut found: Option<Member> = None;
        for &ty in &self.types {
            match (found, self.btf.member_of(ty, path)) {
                (_, Err(MemberError::Absent)) => {}
                (_, Err(other)) => return Err(other),
                (None, Ok(member)) => found = Some(member),
                (Some(before), Ok(member)) if before.offset == member.offset => {}
                (Some(_), Ok(_)) => return Err(MemberError::Ambiguous),
            }
        }
        found.ok_or(MemberError::Absent)
    }

    /// Its size in bytes.
    pub fn size(&self) -> Option<u32> {
        self.types.first().map(|ty| ty.size_or_type)
    }
}

impl Btf {
    /// Finds where each type begins.
    pub fn parse(data: Vec<u8>) -> Result<Self, BtfError> {
        if read_u32(&data, 0).map(|word| word & 0xFFFF) != Some(0xEB9F) {
            return Err(BtfError::Header);
        }
        let field = |at| read_u32(&data, at).map(|value| value as usize);
        let section = |start: usize| -> Option<std::ops::Range<usize>> {
            let from = field(4)?.checked_add(field(start)?)?;
            let to = from.checked_add(field(start + 4)?)?;
            (to <= data.len()).then_some(from..to)
        };
        let types_at = section(8).ok_or(BtfError::Sections)?;
        let strings = section(16).ok_or(BtfError::Sections)?;

        let mut types = vec![0];
        let mut at = types_at.start;
        while at < types_at.end {
            let id = types.len();
            if id > TYPES {
                return Err(BtfError::Types);
            }
            let ty = type_at(&data, at).ok_or(BtfError::Cut(id))?;
            let body = body_size(&ty).ok_or(BtfError::Kind { id, kind: ty.kind })?;
            types.push(u32::try_from(at).map_err(|_| BtfError::Sections)?);
            at = ty.body + body;
            if at > types_at.end {
                return Err(BtfError::Cut(id));
            }
        }
        types.shrink_to_fit();
        Ok(Self {
            data,
            types,
            strings,
        })
    }

    /// The struct or union of this name, whose members can then be asked for. One search through
    /// all types.
    pub fn structure(&self, name: &str) -> Struct<'_> {
        Struct {
            btf: self,
            types: self.named(name, &[KIND_STRUCT, KIND_UNION]).collect(),
        }
    }

    /// Names and values of an enum, as far as a value fits 32 bits. Names that are no UTF-8 are
    /// left out.
    pub fn enumerators(&self, enumeration: &str) -> impl Iterator<Item = (&str, u32)> {
        let ty = self.named(enumeration, &[KIND_ENUM, KIND_ENUM64]).next();
        let entry = if ty.is_some_and(|ty| ty.kind == KIND_ENUM) {
            8
        } else {
            12
        };
        let (body, length) = ty.map_or((0, 0), |ty| (ty.body, ty.length));
        (0..length).filter_map(move |index| {
            let at = body + index * entry;
            let name = std::str::from_utf8(self.string(read_u32(&self.data, at)?)).ok()?;
            Some((name, read_u32(&self.data, at + 4)?))
        })
    }

    fn member_of(&self, structure: Type, path: &str) -> Result<Member, MemberError> {
        let mut ty = structure;
        let mut bits = 0u64;
        let mut left = SEARCHED;
        let mut parts = path.split('.').peekable();
        while let Some(part) = parts.next() {
            let (inner_bits, id, bit_field) = self
                .search(ty, part.as_bytes(), DEPTH, &mut left)
                .ok_or(MemberError::Absent)?;
            bits += inner_bits;
            if bit_field || !bits.is_multiple_of(8) {
                return Err(MemberError::BitField);
            }
            if parts.peek().is_none() {
                let offset = u32::try_from(bits / 8).map_err(|_| MemberError::Absent)?;
                let size = self.size(id, DEPTH).unwrap_or(0);
                return Ok(Member { offset, size });
            }
            ty = self.unqualified(id).ok_or(MemberError::Absent)?;
        }
        Err(MemberError::Absent)
    }

    /// Bit offset, type and whether it is a bit field, of the member `name` of `ty` or of an
    /// anonymous type in it.
    fn search(
        &self,
        ty: Type,
        name: &[u8],
        depth: usize,
        left: &mut usize,
    ) -> Option<(u64, u32, bool)> {
        if !matches!(ty.kind, KIND_STRUCT | KIND_UNION) {
            return None;
        }
        for index in 0..ty.length {
            *left = left.checked_sub(1)?;
            let at = ty.body + index * 12;
            let member_name = read_u32(&self.data, at)?;
            let id = read_u32(&self.data, at + 4)?;
            let place = read_u32(&self.data, at + 8)?;
            let (bits, width) = if ty.flag {
                (place & 0xFF_FFFF, place >> 24)
            } else {
                (place, 0)
            };
            if self.is_named(member_name, name) {
                return Some((bits.into(), id, width != 0));
            }
            if depth > 0 && self.is_named(member_name, b"") {
                let inner = self.unqualified(id);
                let found = inner.and_then(|inner| self.search(inner, name, depth - 1, left));
                if let Some((inner_bits, id, bit_field)) = found {
                    return Some((u64::from(bits) + inner_bits, id, bit_field));
                }
            }
        }
        None
    }

    /// Bytes that a value of the type takes.
    fn size(&self, id: u32, depth: usize) -> Option<u32> {
        let ty = self.unqualified(id)?;
        match ty.kind {
            KIND_INT | KIND_STRUCT | KIND_UNION | KIND_ENUM | KIND_ENUM64 | KIND_FLOAT => {
                Some(ty.size_or_type)
            }
            KIND_POINTER => Some(8),
            KIND_ARRAY => {
                let element = self.size(read_u32(&self.data, ty.body)?, depth.checked_sub(1)?)?;
                element.checked_mul(read_u32(&self.data, ty.body + 8)?)
            }
            _ => None,
        }
    }

    /// The type behind typedefs, `const`, `volatile`, `restrict` and tags.
    fn unqualified(&self, mut id: u32) -> Option<Type> {
        for _ in 0..DEPTH {
            let ty = self.get(id)?;
            match ty.kind {
                KIND_TYPEDEF | KIND_VOLATILE | KIND_CONST | KIND_RESTRICT | KIND_TYPE_TAG => {
                    id = ty.size_or_type;
                }
                _ => return Some(ty),
            }
        }
        None
    }

    fn get(&self, id: u32) -> Option<Type> {
        if id == 0 {
            return None;
        }
        type_at(&self.data, *self.types.get(id as usize)? as usize)
    }

    fn named<'a>(&'a self, name: &'a str, kinds: &'a [u32]) -> impl Iterator<Item = Type> + 'a {
        let all = self
            .types
            .iter()
            .skip(1)
            .filter_map(|&at| type_at(&self.data, at as usize));
        all.filter(move |ty| kinds.contains(&ty.kind) && self.is_named(ty.name, name.as_bytes()))
    }

    /// The string at an offset; empty where there is none.
    fn string(&self, offset: u32) -> &[u8] {
        let strings = self.data.get(self.strings.clone()).unwrap_or_default();
        let rest = strings.get(offset as usize..).unwrap_or_default();
        rest.split(|&byte| byte == 0).next().unwrap_or_default()
    }

    /// Whether the string at an offset is `name`.
    fn is_named(&self, offset: u32, name: &[u8]) -> bool {
        let strings = self.data.get(self.strings.clone()).unwrap_or_default();
        let rest = strings.get(offset as usize..).unwrap_or_default();
        rest.starts_with(name) && rest.get(name.len()) == Some(&0)
    }
}

fn type_at(data: &[u8], at: usize) -> Option<Type> {
    let info = read_u32(data, at + 4)?;
    Some(Type {
        body: at + 12,
        name: read_u32(data, at)?,
        kind: info >> 24 & 0x7F,
        length: (info & 0xFF_FFFF) as usize,
        flag: info >> 31 != 0,
        size_or_type: read_u32(data, at + 8)?,
    })
}

/// Bytes that follow the fixed part of a type.
fn body_size(ty: &Type) -> Option<usize> {
    Some(match ty.kind {
        KIND_POINTER | KIND_FORWARD | KIND_TYPEDEF | KIND_VOLATILE | KIND_CONST | KIND_RESTRICT
        | KIND_FUNCTION | KIND_FLOAT | KIND_TYPE_TAG => 0,
        KIND_INT | KIND_VARIABLE | KIND_DECLARATION_TAG => 4,
        KIND_ARRAY => 12,
        KIND_STRUCT | KIND_UNION | KIND_SECTION | KIND_ENUM64 => ty.length * 12,
        KIND_ENUM | KIND_PROTOTYPE => ty.length * 8,
        _ => return None,
    })
}

fn read_u32(data: &[u8], at: usize) -> Option<u32> {
    let bytes = data.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
#[path = "btf_kernels.rs"]
mod kernels;

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const STRINGS: &[u8] = b"\0outer\0int\0first\0second\0flag\0deep\0e\0two\0";

    fn name(text: &str) -> u32 {
        let mut at = 0;
        for string in STRINGS.split(|&byte| byte == 0) {
            if string == text.as_bytes() {
                return at;
            }
            at += string.len() as u32 + 1;
        }
        panic!("no string {text}");
    }

    fn info(kind: u32, length: u32) -> u32 {
        kind << 24 | length
    }

    /// `struct outer { int first; const union { struct { int :0; int second; } deep; }; int flag:3; }`
    /// and an enum of 64 bits.
    pub fn small() -> Vec<u8> {
        let types = [
            vec![name("int"), info(KIND_INT, 0), 4, 32],
            vec![
                name("outer"),
                info(KIND_STRUCT, 3) | 1 << 31,
                16,
                name("first"),
                1,
                0,
                name(""),
                3,
                32,
                name("flag"),
                1,
                3 << 24 | 96,
            ],
            vec![name(""), info(KIND_CONST, 0), 4],
            vec![name(""), info(KIND_UNION, 1), 8, name("deep"), 5, 0],
            vec![name(""), info(KIND_STRUCT, 1), 8, name("second"), 1, 32],
            vec![name("e"), info(KIND_ENUM64, 1), 8, name("two"), 2, 0],
            // An anonymous struct in itself, which no compiler writes.
            vec![
                name("deep"),
                info(KIND_STRUCT, 2),
                8,
                name(""),
                7,
                0,
                name(""),
                7,
                0,
            ],
        ]
        .concat();
        let types: Vec<u8> = types.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let size = types.len() as u32;
        let header = [0x1_EB9F, 24, 0, size, size, STRINGS.len() as u32];
        let header = header.iter().flat_map(|word: &u32| word.to_ne_bytes());
        header.chain(types).chain(STRINGS.iter().copied()).collect()
    }

    #[test]
    fn members() {
        let btf = Btf::parse(small()).expect("the small BTF");
        let outer = btf.structure("outer");
        assert_eq!(outer.size(), Some(16));
        assert_eq!(outer.member("first"), Ok(Member { offset: 0, size: 4 }));
        assert_eq!(outer.member("deep"), Ok(Member { offset: 4, size: 8 }));
        assert_eq!(
            outer.member("deep.second"),
            Ok(Member { offset: 8, size: 4 })
        );
        assert_eq!(outer.member("flag"), Err(MemberError::BitField));
        assert_eq!(outer.member("second"), Err(MemberError::Absent));
        assert_eq!(outer.member("first.second"), Err(MemberError::Absent));
        assert_eq!(
            btf.structure("oute").member("first"),
            Err(MemberError::Absent)
        );
        assert_eq!(
            btf.structure("deep").member("first"),
            Err(MemberError::Absent)
        );
        assert_eq!(btf.enumerators("e").collect::<Vec<_>>(), [("two", 2)]);
        assert_eq!(btf.enumerators("outer").count(), 0);
    }

    #[test]
    fn spoilt_bytes_never_panic() {
        let good = small();
        for length in 0..good.len() {
            probe(good[..length].to_vec());
        }
        for at in 0..good.len() {
            for value in [0, 1, 5, 0x7F, 0xFF] {
                let mut spoilt = good.clone();
                spoilt[at] = value;
                probe(spoilt);
            }
        }
    }

    fn probe(data: Vec<u8>) {
        if let Ok(btf) = Btf::parse(data) {
            for path in ["first", "deep.second", "flag", "nothing"] {
                let _ = btf.structure("outer").member(path);
            }
            let _ = btf.enumerators("e").count();
        }
    }
}
