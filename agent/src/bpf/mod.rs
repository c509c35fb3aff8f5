//! bpf
pub mod btf;
pub mod kernel;
