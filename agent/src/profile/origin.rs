//! Where a sample comes from: process, thread, event, and the context that the work belongs to.

use std::sync::Arc;

use agent_common::process::ProcessId;

use super::index::{ExecutableId, ProcessIndex, StringId};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pub id: ProcessId,
    /// Its name at the end of the profile (`comm`).
    pub name: StringId,
    pub executable: Option<ExecutableId>,
    /// Container, pod, service, …
    pub attributes: Vec<Attribute>,
    /// Whether the attributes are all that is to be told of it: its pid, its names and its file are
    /// among them, as far as anybody shall know.
    pub is_spelt_out: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thread {
    pub process: ProcessIndex,
    pub tid: u32,
    pub name: StringId,
}

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ValueType {
    /// E.g. `samples`, `cpu`, `off_cpu`.
    pub name: StringId,
    /// E.g. `count`, `nanoseconds`.
    pub unit: StringId,
}

/// Why samples are taken: each event is a sample type of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Event {
    /// E.g. `cpu-clock`.
    pub name: StringId,
    /// What [`super::Totals::value`] means.
    pub value: ValueType,
    /// One sample is taken every so many of these.
    pub period: Option<Period>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Period {
    pub of: ValueType,
    pub amount: u64,
}

/// What the work is part of: never part of the stack, so that a stack is not new with each request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Context {
    pub link: Option<Link>,
    pub attributes: Arc<[Attribute]>,
}

/// A span of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Link {
    pub trace_id: [u8; 16],
    pub span_id: [u8; 8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Attribute {
    pub key: StringId,
    pub value: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    Text(StringId),
    Integer(i64),
}
