//! The stack hash: 64 bits over the whole identity of a stack, seeded when the program is loaded.
//!
//! Two multiply-xorshift lanes over 64-bit words, each fed with a product of the other's half; the
//! lanes do not wait for each other. 128-bit arithmetic is out of the question
//! there: the BPF back end loses the upper half. The seed keeps a target from forging a stack
//! whose hash equals another one's.

const K1: u64 = 0x9E37_79B9_7F4A_7C15;
const K2: u64 = 0xC2B2_AE3D_27D4_EB4F;

/// Running state of a hash. Order matters: the same words in another order give another hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Hasher {
    a: u64,
    b: u64,
}

impl Hasher {
    #[inline(always)]
    pub const fn new(seed: u64) -> Self {
        Self {
            a: seed ^ K2,
            b: seed.wrapping_mul(K1) ^ K1,
        }
    }

    /// Takes in two words.
    ///
    /// The products of halves make what a changed bit changes depend on the state, hence on the
    /// seed. With constant factors alone, flipping the top bit of one word and two bits of the
    /// next would cancel out under every seed.
    #[inline(always)]
    pub const fn push(&mut self, first: u64, second: u64) {
        let a = self.a ^ first;
        let b = self.b ^ second;
        let crossed = (a >> 32).wrapping_mul(b & 0xffff_ffff);
        let back = (b >> 32).wrapping_mul(a & 0xffff_ffff);
        let a = a.wrapping_mul(K1).wrapping_add(crossed);
        let b = b.wrapping_mul(K2).wrapping_add(back);
        self.a = a ^ (a >> 32);
        self.b = b ^ (b >> 29);
    }

    /// The hash of what was pushed. Never 0: that value stands for "no stack".
    #[inline(always)]
    pub const fn finish(&self) -> u64 {
        let mut x = self.a ^ self.b.rotate_left(32);
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (x ^ (x >> 31)) | 1
    }
}
