//! Contract types as aya wants to see them.

use aya::Pod;

/// A `#[repr(C)]` type of `agent-common`: integers and arrays of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Plain<T>(pub T);

// SAFETY: only made for types of `agent-common`, which are `#[repr(C)]` integers without implicit
// padding, so that each byte is initialised.
unsafe impl<T: Copy + 'static> Pod for Plain<T> {}
