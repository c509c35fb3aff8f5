//! How a thread finds its `PyThreadState`. `thread_id` of a state is `pthread_self()`, which on
//! x86_64 is the thread pointer itself (fs base), in glibc and musl alike.

use agent_common::python::thread;

use super::detect::Binary;
use super::memory::{Memory, MemoryExt, i32_at, u64_at};
use super::offsets::Layout;
use super::unfit::Unfit;
use super::validate::ThreadState;

/// `specific_1stblock` of glibc's `struct pthread` (read off glibc 2.36 and 2.42): 32 pairs of a
/// sequence number and the value. Keys from 32 on lie in blocks that the kernel side does not read.
const GLIBC_BLOCK: u64 = 0x310;
const GLIBC_KEYS: usize = 32;
/// `tsd` of musl's `struct pthread` (pthread_impl.h): a pointer to 128 values.
const MUSL_TSD: u64 = 0x80;
const MUSL_KEYS: usize = 128;
/// How far below the thread pointer a library's static TLS is looked for.
const STATIC_TLS: u64 = 8192;
/// Threads that are asked. A rule that these agree on holds for the others.
const MAX_OWNERS: usize = 64;
/// `_PyRuntime` is searched in pieces of this size.
const PIECE: usize = 16 << 10;

/// The `thread`, `thread_base` and `key_offset` of `PythonOffsets`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub thread: u8,
    pub base: i32,
    pub key_offset: u32,
    /// How the key was found; none where there is no key.
    pub key: Option<KeySource>,
}

/// How `autoTSSkey` was found in the runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// The code of the exported accessor names it.
    Accessor,
    /// Where it stands in the builds that were looked at.
    Table,
    /// The whole runtime was searched.
    Search,
}

/// A native thread and its states (one an interpreter).
struct Owner {
    pointer: u64,
    states: Vec<u64>,
}

/// The rule that holds for the threads of the runtime at `runtime` (avma).
///
/// The key is preferred: from 3.12 on the current state in TLS is null while the thread is without
/// the GIL, the key's value is not.
pub(super) fn find(
    memory: &dyn Memory,
    binary: &Binary,
    layout: &Layout,
    runtime: u64,
    states: &[ThreadState],
) -> Result<Rule, Unfit> {
    let owners = owners(memory, states);
    if owners.is_empty() {
        return Err(Unfit::ThreadPointer);
    }
    let blocks = [
        (
            thread::GLIBC_KEY,
            GLIBC_BLOCK,
            fitting(&owners, GLIBC_KEYS, |it| glibc(memory, it)),
        ),
        (
            thread::MUSL_KEY,
            MUSL_TSD,
            fitting(&owners, MUSL_KEYS, |it| musl(memory, it)),
        ),
    ];
    for (kind, base, keys) in blocks {
        if keys.is_empty() {
            continue;
        }
        let search = KeySearch {
            memory,
            runtime,
            keys,
        };
        if let Some((key_offset, source)) = search.run(binary, layout, states) {
            return Ok(Rule {
                thread: kind,
                base: base as i32,
                key_offset,
                key: Some(source),
            });
        }
    }
    static_tls(memory, binary, &owners)
}

/// The native threads. A pointer to itself begins every thread's control block; a state that a
/// dead thread left behind has none.
fn owners(memory: &dyn Memory, states: &[ThreadState]) -> Vec<Owner> {
    let mut owners: Vec<Owner> = Vec::new();
    for state in states {
        let pointer = state.thread_id;
        if let Some(owner) = owners.iter_mut().find(|owner| owner.pointer == pointer) {
            owner.states.push(state.avma);
        } else if owners.len() < MAX_OWNERS && pointer != 0 && memory.u64(pointer) == Ok(pointer) {
            owners.push(Owner {
                pointer,
                states: vec![state.avma],
            });
        }
    }
    owners
}

/// The keys whose values are the owners' states, best first. Most owners must agree, not all: a
/// thread may be between the making of its state and the setting of its key.
fn fitting(owners: &[Owner], keys: usize, values: impl Fn(u64) -> Vec<u64>) -> Vec<i32> {
    let mut hits = vec![0usize; keys];
    for owner in owners {
        for (hit, value) in hits.iter_mut().zip(values(owner.pointer)) {
            *hit += usize::from(owner.states.contains(&value));
        }
    }
    let mut fitting: Vec<(usize, i32)> = hits.into_iter().zip(0..).collect();
    fitting.retain(|(hits, _)| hits * 2 > owners.len());
    fitting.sort_by_key(|(hits, _)| std::cmp::Reverse(*hits));
    fitting.into_iter().map(|(_, key)| key).collect()
}

fn glibc(memory: &dyn Memory, pointer: u64) -> Vec<u64> {
    let mut block = [0; GLIBC_KEYS * 16];
    match memory.read(pointer.wrapping_add(GLIBC_BLOCK), &mut block) {
        Ok(()) => (0..GLIBC_KEYS)
            .filter_map(|key| u64_at(&block, key * 16 + 8))
            .collect(),
        Err(_) => Vec::new(),
    }
}

fn musl(memory: &dyn Memory, pointer: u64) -> Vec<u64> {
    let mut block = [0; MUSL_KEYS * 8];
    let read = memory
        .u64(pointer.wrapping_add(MUSL_TSD))
        .and_then(|values| memory.read(values, &mut block));
    match read {
        Ok(()) => (0..MUSL_KEYS)
            .filter_map(|key| u64_at(&block, key * 8))
            .collect(),
        Err(_) => Vec::new(),
    }
}

/// Looks for `autoTSSkey`: { int _is_initialized = 1; int _key; } with one of `keys`.
struct KeySearch<'a> {
    memory: &'a dyn Memory,
    runtime: u64,
    keys: Vec<i32>,
}

impl KeySearch<'_> {
    fn run(
        &self,
        binary: &Binary,
        layout: &Layout,
        states: &[ThreadState],
    ) -> Option<(u32, KeySource)> {
        let named = binary.hints.key_offsets.iter().copied();
        let hints = named
            .map(|hint| (hint, KeySource::Accessor))
            .chain(layout.key_offset.map(|hint| (hint, KeySource::Table)));
        hints
            .filter(|(hint, _)| u64::from(*hint) < binary.runtime_size)
            .find(|(hint, _)| self.is_key(*hint))
            .or_else(|| {
                let found = self.scan(binary.runtime_size, states)?;
                Some((found, KeySource::Search))
            })
    }

    fn is_key(&self, key_offset: u32) -> bool {
        let pair = u64::from(key_offset)
            .checked_sub(4)
            .map(|at| self.runtime.wrapping_add(at));
        let pair = pair.and_then(|avma| self.memory.array::<8>(avma).ok());
        pair.is_some_and(|pair| self.matches(&pair))
    }

    fn matches(&self, pair: &[u8]) -> bool {
        let key = i32_at(pair, 4).unwrap_or(-1);
        i32_at(pair, 0) == Some(1) && self.keys.contains(&key)
    }

    /// The whole runtime. To 3.11 `autoTSSkey` stands right behind `autoInterpreterState`, which
    /// tells it from any other 1; without that the pair must be the only one.
    fn scan(&self, size: u64, states: &[ThreadState]) -> Option<u32> {
        let mut pairs = Vec::new();
        let mut piece = vec![0; PIECE + 16];
        for start in (0..size).step_by(PIECE) {
            let length = usize::try_from(size - start)
                .unwrap_or(PIECE)
                .min(PIECE + 16);
            let bytes = &mut piece[..length];
            if self
                .memory
                .read(self.runtime.wrapping_add(start), bytes)
                .is_err()
            {
                continue;
            }
            for at in (0..length.saturating_sub(15)).step_by(4) {
                if !self.matches(&bytes[at + 8..at + 16]) {
                    continue;
                }
                let key_offset = u32::try_from(start + at as u64 + 12).ok()?;
                let before = u64_at(bytes, at).unwrap_or_default();
                if states.iter().any(|state| state.interpreter == before) {
                    return Some(key_offset);
                }
                if pairs.last() != Some(&key_offset) && pairs.len() < 2 {
                    pairs.push(key_offset);
                }
            }
        }
        match pairs[..] {
            [only] => Some(only),
            _ => None,
        }
    }
}

/// The place below the thread pointer where all threads keep their state.
fn static_tls(memory: &dyn Memory, binary: &Binary, owners: &[Owner]) -> Result<Rule, Unfit> {
    let rule = |distance: u64| Rule {
        thread: thread::STATIC_TLS,
        base: -(distance as i32),
        key_offset: 0,
        key: None,
    };
    let holds = |distance: &u64| {
        owners.iter().all(|owner| {
            let value = memory.u64(owner.pointer.wrapping_sub(*distance));
            value.is_ok_and(|value| owner.states.contains(&value))
        })
    };
    let hint = binary.hints.tls.and_then(i32::checked_neg);
    let hint = hint.and_then(|distance| u64::try_from(distance).ok());
    if let Some(distance) = hint.filter(|it| *it <= STATIC_TLS && holds(it)) {
        return Ok(rule(distance));
    }
    // An executable's own TLS lies right below the pointer. Below a library's there may be
    // anything, in a thread other than the first its stack.
    let reach = binary.own_tls.unwrap_or(STATIC_TLS).min(STATIC_TLS);
    let found: Vec<u64> = (8..=reach).step_by(8).filter(holds).take(2).collect();
    match found[..] {
        [] => Err(Unfit::NoThreadStateRule),
        [distance] => Ok(rule(distance)),
        _ => Err(Unfit::AmbiguousThreadState),
    }
}
