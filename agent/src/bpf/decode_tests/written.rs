//! A writer of records that knows them by their fields alone.

use agent_common::code::Text;
use agent_common::executable::FileId;
use agent_common::process::ProcessId;
use agent_common::record::{
    Announcement, CgroupName, Code, Deferred, Header, Lines, Sample, Stack, Thread,
};
use agent_common::stack::{NativeFrame, PythonEntry, StackShape};

use crate::bpf::decode::{Frames, Record};

/// Writes a value as the kernel side lays it out: field behind field, nothing between.
trait Write {
    fn write(&self, bytes: &mut Vec<u8>);
}

macro_rules! write_integers {
    ($($Type:ty),*) => {$(
        impl Write for $Type {
            fn write(&self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(&self.to_ne_bytes());
            }
        }
    )*};
}

/// All fields have to be named, in their order.
macro_rules! write_fields {
    ($($Type:ident { $($field:ident),* $(,)? })*) => {$(
        impl Write for $Type {
            fn write(&self, bytes: &mut Vec<u8>) {
                let Self { $($field),* } = self;
                $($field.write(bytes);)*
            }
        }
    )*};
}

write_integers!(u8, u16, u32, i32, u64, i64);

write_fields! {
    Header { kind, version, size }
    ProcessId { pid, exec, start }
    FileId { device, inode, change_seconds, change_nanoseconds, generation, size }
    StackShape { kernel, native, python, chain, native_end, python_end, python_walked, padding }
    NativeFrame { offset, executable, flags }
    PythonEntry { code, signature, instruction, kind }
    Text { length, state, stored, data }
    Sample { header, time, stack, context, process, thread, cpu, value, weight, event, shape }
    Stack { header, stack, process, shape, section, first, count, padding }
    Code { header, process, code, signature, linetable, python, first_line, name, file }
    Lines { header, process, code, signature, size, stored, padding }
    CgroupName { text }
    Thread { header, process, thread, cgroup_levels, name, process_name, cgroups }
    Announcement { header, process, file, start, end, offset, name }
    Deferred { sample, pc, sp, fp, stored, padding, registers }
}

impl<T: Write> Write for [T] {
    fn write(&self, bytes: &mut Vec<u8>) {
        for value in self {
            value.write(bytes);
        }
    }
}

impl<T: Write, const COUNT: usize> Write for [T; COUNT] {
    fn write(&self, bytes: &mut Vec<u8>) {
        self.as_slice().write(bytes);
    }
}

/// The bytes that a record was made of.
pub fn written(record: &Record<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    match record {
        Record::Sample(sample) => sample.write(&mut bytes),
        Record::Stack(stack, frames) => {
            stack.write(&mut bytes);
            match frames {
                Frames::Kernel(frames) => frames.write(&mut bytes),
                Frames::Native(frames) => frames.write(&mut bytes),
                Frames::Python(frames) => frames.write(&mut bytes),
            }
        }
        Record::Code(code) => code.write(&mut bytes),
        Record::Lines(lines, table) => {
            lines.write(&mut bytes);
            table.write(&mut bytes);
        }
        Record::Thread(thread) => thread.write(&mut bytes),
        Record::Executable(announcement) => announcement.write(&mut bytes),
        Record::Deferred(deferred, stack) => {
            deferred.write(&mut bytes);
            stack.write(&mut bytes);
        }
        Record::DeferredKernel(stack, frames) => {
            stack.write(&mut bytes);
            frames.write(&mut bytes);
        }
    }
    bytes
}
