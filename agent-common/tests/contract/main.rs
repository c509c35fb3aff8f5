//! What the kernel side and the agent must agree on, held against the very functions and layouts
//! that the eBPF program is built from.

#[macro_use]
mod changes;

mod code_hash;
mod cuts;
mod identity;
mod map_layout;
mod policies;
mod record_layout;
mod stack_hash;
