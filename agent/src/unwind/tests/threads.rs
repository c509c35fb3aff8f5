//! Stacks of this process against glibc's `backtrace`, which is an unwinder of its own.

use std::collections::HashMap;
use std::sync::Mutex;

use agent_common::cut::NativeEnd;
use agent_common::stack::FRAME_INTERRUPTED;
use agent_common::step::Frame;

use super::super::{Machine, Place, Space, StackSlice, Table, Walk, build, build_vdso, walk};
use super::fixture::read;

/// A line of `/proc/self/maps`.
struct Mapping {
    start: u64,
    end: u64,
    offset: u64,
    executable: bool,
    path: String,
}

fn mappings() -> Vec<Mapping> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mapping = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |text| u64::from_str_radix(text, 16).unwrap();
        let (start, end) = words[0].split_once('-').unwrap();
        Mapping {
            start: number(start),
            end: number(end),
            offset: number(words[2]),
            executable: words[1].contains('x'),
            path: words.get(5).unwrap_or(&"").to_string(),
        }
    };
    maps.lines().map(mapping).collect()
}

/// Memory of this process, as far as it is mapped.
fn memory(start: u64, size: u64) -> Vec<u8> {
    let mut bytes = vec![0; size as usize];
    let to = libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: bytes.len(),
    };
    let from = libc::iovec {
        iov_base: start as *mut _,
        iov_len: bytes.len(),
    };
    // SAFETY: the kernel checks the source and writes at most `bytes.len()` bytes to `bytes`.
    let copied = unsafe { libc::process_vm_readv(libc::getpid(), &to, 1, &from, 1, 0) };
    bytes.truncate(usize::try_from(copied).expect("the memory is mapped"));
    bytes
}

/// This process.
struct This {
    mappings: Vec<Mapping>,
    tables: HashMap<String, Option<Table>>,
}

impl Space for This {
    fn place(&mut self, avma: u64) -> Place {
        let at = self
            .mappings
            .iter()
            .position(|m| m.executable && m.start <= avma && avma < m.end);
        let Some(at) = at else {
            return Place::NotExecutable;
        };
        let mapping = &self.mappings[at];
        let offset = avma - mapping.start + mapping.offset;
        let table = self.tables.entry(mapping.path.clone()).or_insert_with(|| {
            if mapping.path == "[vdso]" {
                return build_vdso(&memory(mapping.start, mapping.end - mapping.start)).ok();
            }
            build(&std::fs::read(&mapping.path).ok()?).ok()
        });
        let rule = table.as_ref().and_then(|table| table.rule(offset)).copied();
        Place::Code {
            executable: at as u32,
            offset,
            rule,
        }
    }

    fn code_before(&mut self, avma: u64) -> Option<[u8; 8]> {
        memory(avma.checked_sub(8)?, 8).try_into().ok()
    }
}

/// What glibc says, innermost first: an address in [`capture`], then its callers.
type Addresses = Vec<u64>;

/// A stack by two unwinders.
#[inline(never)]
fn capture() -> (Walk, Vec<u64>, Addresses) {
    let (pc, sp, fp): (u64, u64, u64);
    // SAFETY: reads three registers.
    unsafe {
        std::arch::asm!(
            "lea {pc}, [rip]", "mov {sp}, rsp", "mov {fp}, rbp",
            pc = out(reg) pc, sp = out(reg) sp, fp = out(reg) fp,
            options(nomem, nostack, preserves_flags),
        );
    }
    let mut addresses = [std::ptr::null_mut(); 256];
    // SAFETY: writes at most 256 addresses.
    let count = unsafe { libc::backtrace(addresses.as_mut_ptr(), 256) };
    let theirs = addresses[..count as usize]
        .iter()
        .map(|address| *address as u64)
        .collect();

    let mappings = mappings();
    let stack = mappings
        .iter()
        .find(|m| m.start <= sp && sp < m.end)
        .unwrap();
    let bytes = memory(sp, (stack.end - sp).min(256 << 10));
    let stack = StackSlice {
        base: sp,
        bytes: &bytes,
    };
    let frame = Frame {
        pc,
        sp,
        fp,
        called: 0,
        fp_known: 1,
    };
    let mut space = This {
        mappings,
        tables: HashMap::new(),
    };
    let walk = walk(Machine::X86_64, frame, |_| None, stack, &mut space, 256);
    // Back to addresses as glibc gives them: behind the call, or interrupted.
    let address = |frame: &agent_common::stack::NativeFrame| {
        let mapping = &space.mappings[frame.executable as usize];
        let called = (frame.flags & FRAME_INTERRUPTED == 0) as u64;
        frame.offset - mapping.offset + mapping.start + called
    };
    let ours = walk.frames.iter().map(address).collect();
    (walk, ours, theirs)
}

fn compare((walk, ours, theirs): &(Walk, Vec<u64>, Addresses)) {
    assert_eq!(walk.end, NativeEnd::Root, "{walk:x?}");
    assert!(ours.len() > 5);
    assert!(
        ours[0].abs_diff(theirs[0]) < 4096,
        "both begin in the same function"
    );
    assert_eq!(ours[1..], theirs[1..]);
    let known: Vec<u64> = walk.cfas.iter().flatten().copied().collect();
    assert_eq!(known.len(), ours.len() - 1);
}

#[test]
fn the_stack_of_a_thread() {
    fn deep(depth: u32, captured: &mut Option<(Walk, Vec<u64>, Addresses)>) -> u32 {
        let room = [depth; 33];
        if depth == 0 {
            *captured = Some(capture());
        } else {
            deep(depth - 1, captured);
        }
        std::hint::black_box(room)[depth as usize % 33]
    }
    let mut captured = None;
    deep(40, &mut captured);
    let captured = captured.unwrap();
    compare(&captured);
    assert!(captured.1.len() > 40);
}

#[test]
fn through_a_library_that_calls_back() {
    static CAPTURED: Mutex<Option<(Walk, Vec<u64>, Addresses)>> = Mutex::new(None);
    extern "C" fn order(_: *const libc::c_void, _: *const libc::c_void) -> libc::c_int {
        CAPTURED.lock().unwrap().get_or_insert_with(capture);
        0
    }
    let mut numbers = [3u32, 2, 1];
    // SAFETY: the array has three elements of 4 bytes.
    unsafe { libc::qsort(numbers.as_mut_ptr().cast(), 3, 4, Some(order)) };
    compare(CAPTURED.lock().unwrap().as_ref().unwrap());
}

#[test]
fn out_of_a_signal_handler() {
    static CAPTURED: Mutex<Option<(Walk, Vec<u64>, Addresses)>> = Mutex::new(None);
    extern "C" fn handler(_: libc::c_int) {
        *CAPTURED.lock().unwrap() = Some(capture());
    }
    // The first call of `backtrace` loads a library, which a handler must not.
    capture();
    // SAFETY: the signal is raised by this thread, between two calls that hold no lock.
    unsafe {
        libc::signal(libc::SIGUSR2, handler as *const () as libc::sighandler_t);
        libc::raise(libc::SIGUSR2);
    }
    let captured = CAPTURED.lock().unwrap();
    let captured = captured.as_ref().unwrap();
    compare(captured);
    let interrupted = captured
        .0
        .frames
        .iter()
        .filter(|frame| frame.flags & FRAME_INTERRUPTED != 0)
        .count();
    assert_eq!(
        interrupted, 2,
        "the innermost frame, and the one that the signal interrupted"
    );
}

#[test]
fn the_vdso_of_this_kernel() {
    let vdso = mappings()
        .into_iter()
        .find(|mapping| mapping.path == "[vdso]");
    let Some(vdso) = vdso else {
        eprintln!("skipped: no vDSO");
        return;
    };
    let image = memory(vdso.start, vdso.end - vdso.start);
    let table = build_vdso(&image).unwrap();
    let time = super::fixture::symbol(&image, "__vdso_clock_gettime");
    assert_eq!(table.rule(time).unwrap().cfa_offset, 8);
    let whole = read(&std::env::current_exe().unwrap());
    assert!(
        build(&whole) == build_vdso(&whole),
        "on x86_64 a vDSO has nothing special"
    );
}
