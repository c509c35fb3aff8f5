//! Bodies of stacks as the kernel side sends them, whole and damaged.

use agent_common::process::ProcessId;
use agent_common::record::{Header, Stack, section};
use agent_common::stack::{NativeFrame, PythonEntry, StackHash, StackShape, entry};

use super::{PROCESS, SEED};
use crate::bpf::decode::Frames;
use crate::session::stacks::{Body, Stacks};

/// A stack with frames in each section.
pub fn body() -> Body {
    let native = |offset, executable| NativeFrame {
        offset,
        executable,
        flags: 0,
    };
    let python = |code, signature, instruction, kind| PythonEntry {
        code,
        signature,
        instruction,
        kind,
    };
    Body {
        shape: StackShape {
            kernel: 2,
            native: 3,
            python: 2,
            chain: 5,
            native_end: 1,
            python_end: 1,
            python_walked: 1,
            padding: [0; 6],
        },
        kernel: vec![0xffff_ffff_8100_1234, 0xffff_ffff_8102_3456],
        native: vec![
            native(0x1_2345, 2),
            native(0x2_3456, 3),
            native(0x3_4567, 2),
        ],
        python: vec![
            python(0x7f00_1234_5670, 0x1111_2222_3333_4445, 18, entry::FRAME),
            python(0, 0, 1, entry::ANCHOR),
        ],
    }
}

/// One whose stack is native alone, so that it belongs to no process.
pub fn shared() -> Body {
    let whole = body();
    Body {
        shape: StackShape {
            native: 3,
            native_end: 1,
            ..StackShape::default()
        },
        native: whole.native,
        ..Body::default()
    }
}

/// What the kernel side sends of a body.
#[derive(Clone)]
pub struct Sent {
    pub id: u64,
    pub process: ProcessId,
    pub body: Body,
}

impl Sent {
    pub fn new(body: Body) -> Self {
        Self {
            id: id(&body, &PROCESS),
            process: PROCESS,
            body,
        }
    }

    /// The section's record.
    pub fn section(&self, number: usize) -> (Stack, Frames) {
        let Body {
            shape: _,
            kernel,
            native,
            python,
        } = self.body.clone();
        let (section, frames, count) = match number {
            0 => (
                section::KERNEL,
                Frames::Kernel(kernel.clone()),
                kernel.len(),
            ),
            1 => (
                section::NATIVE,
                Frames::Native(native.clone()),
                native.len(),
            ),
            _ => (
                section::PYTHON,
                Frames::Python(python.clone()),
                python.len(),
            ),
        };
        let head = Stack {
            header: Header::default(),
            stack: self.id,
            process: self.process,
            shape: self.body.shape,
            section,
            first: 0,
            count: count as u16,
            padding: 0,
        };
        (head, frames)
    }

    /// Sends the sections that are not empty; whether one of them completed the body.
    pub fn to(&self, stacks: &mut Stacks) -> bool {
        let mut complete = false;
        for number in 0..3 {
            let (head, frames) = self.section(number);
            if head.count > 0 {
                complete |= stacks.add(&head, frames).is_some();
            }
        }
        complete
    }
}

/// The id as the kernel side computes it while it walks, native frames before kernel ones.
fn id(body: &Body, process: &ProcessId) -> u64 {
    let mut hash = StackHash::new(SEED);
    for frame in &body.native {
        hash.push_native(frame);
    }
    if body.shape.python_walked != 0 {
        hash.push_process(process);
    }
    for entry in &body.python {
        hash.push_python(entry);
    }
    for &address in &body.kernel {
        hash.push_kernel(address);
    }
    hash.finish(&body.shape)
}

/// Everything sent that has one bit changed and is as long as it says.
pub fn damaged() -> Vec<(String, Sent)> {
    let sent = Sent::new(body());
    // Nothing is left out when the body gets another member.
    let Body {
        shape,
        kernel,
        native,
        python,
    } = sent.body.clone();
    let mut all = Vec::new();
    let mut add = |name: String, change: &dyn Fn(&mut Sent)| {
        let mut damaged = sent.clone();
        change(&mut damaged);
        all.push((name, damaged));
    };
    for bit in 0..u64::BITS {
        add(format!("id with bit {bit} changed"), &|sent| {
            sent.id ^= 1 << bit
        });
        for index in 0..kernel.len() {
            add(
                format!("kernel frame {index} with bit {bit} changed"),
                &|sent| {
                    sent.body.kernel[index] ^= 1 << bit;
                },
            );
        }
    }
    for (index, frame) in native.into_iter().enumerate() {
        let changes = changes!(
            frame,
            NativeFrame {
                offset,
                executable,
                flags
            }
        );
        for (name, frame) in changes {
            add(format!("native frame {index}: {name}"), &|sent| {
                sent.body.native[index] = frame
            });
        }
    }
    for (index, entry) in python.into_iter().enumerate() {
        let changes = changes!(
            entry,
            PythonEntry {
                code,
                signature,
                instruction,
                kind
            }
        );
        for (name, entry) in changes {
            add(format!("Python entry {index}: {name}"), &|sent| {
                sent.body.python[index] = entry
            });
        }
    }
    for (name, process) in changes!(PROCESS, ProcessId { pid, exec, start }) {
        add(name, &|sent| sent.process = process);
    }
    let changes = changes!(
        shape,
        StackShape { chain, native_end, python_end, python_walked }
        besides { kernel, native, python, padding }
    );
    for (name, shape) in changes {
        add(name, &|sent| sent.body.shape = shape);
    }
    for (one, other) in [(0, 1), (0, 2), (1, 2)] {
        add(
            format!("native frames {one} and {other} swapped"),
            &|sent| {
                sent.body.native.swap(one, other);
            },
        );
    }
    all
}
