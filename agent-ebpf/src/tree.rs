//! Search of the kernel's own tree of mappings: a maple tree from 6.1 on, a red-black tree below.
//!
//! Read without its lock, so what is found is checked afterwards by its range and owner
//! (`space.rs`): a writer at work can hide a mapping for a moment, never show a wrong one.

use crate::kernel;
use crate::memory::{kernel_bytes, kernel_u64};
use crate::scratch::{Node, Scratch};

/// Words behind the node: the last slot in use, and the slot that was found.
const LAST: usize = 32;
const SLOT: usize = 33;

/// Deepest trees: a maple node has at least 4 children when not the root.
const MAPLE_LEVELS: u32 = 8;
const RB_LEVELS: u32 = 40;

/// Shape of maple nodes (`include/linux/maple_tree.h`, the same from 6.1 to 6.18), in words:
/// word 0 is the parent; then pivots, slots, gaps. The node's type is in bits 3..=6 of the
/// pointer to it; the root's pointer also has bit 1 set.
mod maple {
    pub const NODE_MASK: u64 = !0xff;
    pub const TYPE_SHIFT: u64 = 3;
    pub const TYPE_MASK: u64 = 0xf;
    /// The root is a node.
    pub const NODE: u64 = 2;
    /// Slots of this type hold mappings.
    pub const LEAF_64: u64 = 1;
    pub const ARANGE_64: u64 = 3;
    pub const RANGE_PIVOTS: u64 = 15;
    pub const RANGE_SLOTS: usize = 16;
    pub const ARANGE_SLOTS: usize = 10;
    /// Word whose low byte is the index of the last slot in use.
    pub const ARANGE_META: usize = 30;
    pub const RANGE_META: usize = 31;
}

/// Address of the `vm_area_struct` that may hold `address`; 0: none.
#[inline(always)]
pub fn find_vma(scratch: &mut Scratch, address: u64) -> u64 {
    let Some(root) = kernel_u64(scratch.mm + kernel!(mm_tree) as u64) else {
        return 0;
    };
    if kernel!(has_maple_tree) != 0 {
        find_maple(&mut scratch.node, root, address)
    } else {
        find_red_black(&mut scratch.node, root, address)
    }
}

#[inline(always)]
fn find_maple(node: &mut Node, root: u64, address: u64) -> u64 {
    if root & 3 != maple::NODE {
        // A tree with one entry has no node.
        return root;
    }
    let mut entry = root;
    for _ in 0..MAPLE_LEVELS {
        let kind = (entry >> maple::TYPE_SHIFT) & maple::TYPE_MASK;
        if !kernel_bytes(entry & maple::NODE_MASK, node, 256) {
            return 0;
        }
        let wide = kind == maple::ARANGE_64;
        let last = if wide {
            node[maple::ARANGE_META] & 0xff
        } else if node[maple::RANGE_PIVOTS as usize] == 0 {
            node[maple::RANGE_META] & 0xff
        } else {
            maple::RANGE_PIVOTS
        };
        forget(&mut node[LAST], last);
        search(node, address);
        let slots = if wide {
            maple::ARANGE_SLOTS
        } else {
            maple::RANGE_SLOTS
        };
        entry = node[(slots + forgotten(&node[SLOT]) as usize) & 31];
        if entry == 0 || kind <= maple::LEAF_64 {
            return entry;
        }
    }
    0
}

/// The slot whose range holds `address`: the first whose pivot is not below it.
#[inline(never)]
fn search(node: &mut Node, address: u64) {
    let last = forgotten(&node[LAST]);
    let mut slot = 0;
    for pivot in 0..maple::RANGE_PIVOTS {
        slot = pivot;
        if pivot >= last || node[1 + pivot as usize] >= address {
            break;
        }
        slot = pivot + 1;
    }
    forget(&mut node[SLOT], slot);
}

/// Stores a value where the verifier does not follow it. It would go on from every possible slot
/// of every level by itself; loaded again, the value is one unknown to it.
#[inline(always)]
fn forget(place: &mut u64, value: u64) {
    // SAFETY: a valid reference.
    unsafe { core::ptr::write_volatile(place, value) };
}

#[inline(always)]
fn forgotten(place: &u64) -> u64 {
    // SAFETY: a valid reference.
    unsafe { core::ptr::read_volatile(place) }
}

#[inline(always)]
fn find_red_black(node: &mut Node, root: u64, address: u64) -> u64 {
    let rb = kernel!(vma_rb) as u64;
    let start = kernel!(vma_start) as usize / 8;
    let end = kernel!(vma_end) as usize / 8;
    let links = rb as usize / 8;
    let mut next = root;
    for _ in 0..RB_LEVELS {
        if next == 0 {
            return 0;
        }
        let vma = next - rb;
        if !kernel_bytes(vma, node, 128) {
            return 0;
        }
        if address < node[start & 15] {
            // struct rb_node: parent and colour, right, left
            next = node[(links + 2) & 15];
        } else if address >= node[end & 15] {
            next = node[(links + 1) & 15];
        } else {
            return vma;
        }
    }
    0
}
