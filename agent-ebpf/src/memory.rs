//! Reading memory of the kernel and of the target.
//!
//! A read of the target costs 72 ns for 8 bytes and 96 for 4 KiB, so stack and frames are read
//! ahead a page at a time: never across into a page that may be absent, which would fail whole.

use aya_ebpf::helpers::generated::{bpf_probe_read_kernel, bpf_probe_read_user};

use crate::scratch::{WINDOW, Window};

const PAGE: u64 = 4096;

/// The same value, about which the compiler now knows nothing: a bound checked afterwards is
/// checked on the very register that the verifier looks at. (An empty `asm!` is refused.)
#[inline(always)]
pub fn hide(value: u64) -> u64 {
    let mut value = value;
    // SAFETY: assigns a register to itself.
    unsafe { core::arch::asm!("{0} = {0}", inout(reg) value) };
    value
}

/// Reads a plain value of the kernel's memory.
#[inline(always)]
pub fn kernel_u64(address: u64) -> Option<u64> {
    let mut value = 0u64;
    // SAFETY: the helper checks the address and fails where it is bad.
    let failed = unsafe { bpf_probe_read_kernel((&raw mut value).cast(), 8, address as *const _) };
    (failed == 0).then_some(value)
}

#[inline(always)]
pub fn kernel_u32(address: u64) -> Option<u32> {
    let mut value = 0u32;
    // SAFETY: as above.
    let failed = unsafe { bpf_probe_read_kernel((&raw mut value).cast(), 4, address as *const _) };
    (failed == 0).then_some(value)
}

/// Reads `bytes` of the kernel's memory to `into`, which must be at least as long.
#[inline(always)]
pub fn kernel_bytes<T>(address: u64, into: &mut T, bytes: u32) -> bool {
    // SAFETY: the helper checks the source; the verifier checks that `into` holds `bytes`.
    unsafe { bpf_probe_read_kernel((&raw mut *into).cast(), bytes, address as *const _) == 0 }
}

#[inline(always)]
pub fn user_u64(address: u64) -> Option<u64> {
    let mut value = 0u64;
    // SAFETY: as above.
    let failed = unsafe { bpf_probe_read_user((&raw mut value).cast(), 8, address as *const _) };
    (failed == 0).then_some(value)
}

/// Reads `bytes` of the target's memory to `into`, which must be at least as long.
#[inline(always)]
pub fn user_bytes<T>(address: u64, into: &mut T, bytes: u32) -> bool {
    // SAFETY: the helper checks the source; the verifier checks that `into` holds `bytes`.
    unsafe { bpf_probe_read_user((&raw mut *into).cast(), bytes, address as *const _) == 0 }
}

impl Window {
    /// 8 bytes of the stack at `address`, reading ahead to the end of its page.
    #[inline(always)]
    pub fn read(&mut self, address: u64) -> Option<u64> {
        let mut ahead = address.wrapping_sub(self.base);
        if ahead >= self.len || address & 7 != 0 {
            if !refill(self, address) {
                return None;
            }
            ahead = 0;
        }
        // SAFETY: masked to the array's length.
        Some(unsafe {
            *self
                .words
                .get_unchecked((ahead >> 3) as usize & (WINDOW / 8 - 1))
        })
    }
}

/// Reads from `address` to the end of its page. `len` is afterwards the number of bytes at which a
/// whole word begins.
#[inline(never)]
fn refill(window: &mut Window, address: u64) -> bool {
    window.base = address;
    let left = PAGE - (address & (PAGE - 1));
    if left < 8 || address & 7 != 0 {
        window.len = 8;
        return user_bytes(address, &mut window.words, 8);
    }
    window.len = left;
    if left > WINDOW as u64 {
        return false;
    }
    if user_bytes(address, &mut window.words, left as u32) {
        return true;
    }
    window.len = 0;
    false
}
