//! The stack hash: whatever makes two stacks different makes their ids different.

use agent_common::process::ProcessId;
use agent_common::stack::{
    FRAME_BY_POINTER, FRAME_INTERRUPTED, NativeFrame, PythonEntry, StackHash, StackShape, entry,
};

use super::changes::Ids;

const SEED: u64 = 0x0123_4567_89AB_CDEF;

/// A stack and how its sections are pushed.
#[derive(Clone)]
struct Walk {
    kernel: Vec<u64>,
    native: Vec<NativeFrame>,
    process: Option<ProcessId>,
    python: Vec<PythonEntry>,
    shape: StackShape,
}

impl Walk {
    fn id(&self, seed: u64) -> u64 {
        let mut hash = StackHash::new(seed);
        for &address in &self.kernel {
            hash.push_kernel(address);
        }
        for frame in &self.native {
            hash.push_native(frame);
        }
        if let Some(process) = &self.process {
            hash.push_process(process);
        }
        for entry in &self.python {
            hash.push_python(entry);
        }
        hash.finish(&self.shape)
    }

    /// The same with counts that say what is there.
    fn counted(mut self) -> Self {
        self.shape.kernel = self.kernel.len() as u16;
        self.shape.native = self.native.len() as u16;
        self.shape.python = self.python.len() as u16;
        self
    }
}

fn walk() -> Walk {
    let native = |offset, executable, flags| NativeFrame {
        offset,
        executable,
        flags,
    };
    let python = |code, signature, instruction, kind| PythonEntry {
        code,
        signature,
        instruction,
        kind,
    };
    Walk {
        kernel: vec![
            0xffff_ffff_8100_1234,
            0xffff_ffff_8102_3456,
            0xffff_ffff_8104_5678,
        ],
        native: vec![
            native(0x1_2345, 2, FRAME_INTERRUPTED),
            native(0x2_3456, 3, 0),
            native(0x7fff_1234_5678, 0, FRAME_BY_POINTER),
        ],
        process: Some(ProcessId {
            pid: 4321,
            exec: 3,
            start: 1_234_567_890_123,
        }),
        python: vec![
            python(0x7f00_1234_5670, 0x1111_2222_3333_4445, 18, entry::FRAME),
            python(0x7f00_2345_6780, 0x5555_6666_7777_8889, -1, entry::FRAME),
            python(0, 0, 2, entry::ANCHOR),
        ],
        shape: StackShape {
            kernel: 0,
            native: 0,
            python: 0,
            chain: 5,
            native_end: 1,
            python_end: 1,
            python_walked: 1,
            padding: [0; 6],
        },
    }
    .counted()
}

#[test]
fn every_bit_of_every_field_counts() {
    let walk = walk();
    // Nothing is left out when a section is added.
    let Walk {
        kernel,
        native,
        process,
        python,
        shape,
    } = walk.clone();
    let mut ids = Ids::default();
    ids.add("as walked", walk.id(SEED));
    let mut add = |name: String, change: &dyn Fn(&mut Walk)| {
        let mut changed = walk.clone();
        change(&mut changed);
        ids.add(name, changed.id(SEED));
    };
    for (index, address) in kernel.into_iter().enumerate() {
        for bit in 0..u64::BITS {
            add(
                format!("kernel frame {index} with bit {bit} changed"),
                &|walk| walk.kernel[index] = address ^ 1 << bit,
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
            add(format!("native frame {index}: {name}"), &|walk| {
                walk.native[index] = frame;
            });
        }
    }
    for (index, found) in python.into_iter().enumerate() {
        let changes = changes!(
            found,
            PythonEntry {
                code,
                signature,
                instruction,
                kind
            }
        );
        for (name, found) in changes {
            add(format!("Python entry {index}: {name}"), &|walk| {
                walk.python[index] = found;
            });
        }
    }
    let process = process.expect("a process");
    for (name, process) in changes!(process, ProcessId { pid, exec, start }) {
        add(name, &|walk| walk.process = Some(process));
    }
    add("no process".to_owned(), &|walk| walk.process = None);
    let changes = changes!(
        shape,
        StackShape { kernel, native, python, chain, native_end, python_end, python_walked }
        besides { padding }
    );
    for (name, shape) in changes {
        add(name, &|walk| walk.shape = shape);
    }
}

#[test]
fn padding_is_no_part_of_a_stack() {
    let mut padded = walk();
    padded.shape.padding = [0xff; 6];
    assert_eq!(padded.id(SEED), walk().id(SEED));
}

/// The walk with a frame more, a frame less, two frames in each other's place.
fn rearranged() -> Vec<(String, Walk)> {
    let walk = walk();
    let mut all = Vec::new();
    macro_rules! rearrange {
        ($($section:ident with $news:expr),*) => {$(
            let name = stringify!($section);
            let count = walk.$section.len();
            for index in 0..count {
                let mut less = walk.clone();
                less.$section.remove(index);
                all.push((format!("{name}: without frame {index}"), less));
                for other in index + 1..count {
                    let mut swapped = walk.clone();
                    swapped.$section.swap(index, other);
                    all.push((format!("{name}: frames {index} and {other} swapped"), swapped));
                }
            }
            for index in 0..=count {
                for new in $news {
                    let mut more = walk.clone();
                    more.$section.insert(index, new);
                    all.push((format!("{name}: {new:x?} before frame {index}"), more));
                }
            }
            let mut twice = walk.clone();
            twice.$section.extend_from_slice(&walk.$section);
            all.push((format!("{name} twice"), twice));
            let mut none = walk.clone();
            none.$section.clear();
            all.push((format!("no {name}"), none));
        )*};
    }
    // A frame of zeros is a frame too.
    rearrange!(
        kernel with [0, 0xffff_ffff_8106_789a],
        native with [NativeFrame::default(), NativeFrame { offset: 0x3_4567, executable: 4, flags: 0 }],
        python with [
            PythonEntry::default(),
            PythonEntry { code: 0x7f00_3456_7890, signature: 7, instruction: 4, kind: entry::FRAME },
        ]
    );
    all
}

/// The walk with a frame moved to another section, as the frame whose words are the same.
fn moved() -> Vec<(String, Walk)> {
    let kernel_to_native = |address| NativeFrame {
        offset: address,
        ..NativeFrame::default()
    };
    let native_to_kernel = |frame: NativeFrame| frame.offset;
    let native_to_python = |frame: NativeFrame| PythonEntry {
        code: frame.offset,
        signature: 0,
        instruction: frame.executable as i32,
        kind: frame.flags,
    };
    let python_to_native = |entry: PythonEntry| NativeFrame {
        offset: entry.code,
        executable: entry.instruction as u32,
        flags: entry.kind,
    };
    let kernel_to_python = |address| native_to_python(kernel_to_native(address));
    let python_to_kernel = |entry: PythonEntry| entry.code;
    let mut all = Vec::new();
    macro_rules! moves {
        ($($from:ident to $into:ident by $convert:ident),* $(,)?) => {$(
            for index in 0..walk().$from.len() {
                for at in 0..=walk().$into.len() {
                    let mut moved = walk();
                    let frame = moved.$from.remove(index);
                    moved.$into.insert(at, $convert(frame));
                    let (from, into) = (stringify!($from), stringify!($into));
                    all.push((format!("{from} {index} as {into} {at}"), moved));
                }
            }
        )*};
    }
    moves!(
        kernel to native by kernel_to_native,
        kernel to python by kernel_to_python,
        native to kernel by native_to_kernel,
        native to python by native_to_python,
        python to native by python_to_native,
        python to kernel by python_to_kernel,
    );
    all
}

#[test]
fn order_number_and_section_of_frames_count() {
    let mut ids = Ids::default();
    ids.add("as walked", walk().id(SEED));
    for (name, walk) in rearranged().into_iter().chain(moved()) {
        ids.add(name, walk.counted().id(SEED));
    }
}

/// The counts are not what tells these apart: a shape may lie about what was pushed.
#[test]
fn order_number_and_section_of_frames_count_by_themselves() {
    let mut ids = Ids::default();
    ids.add("as walked", walk().id(SEED));
    for (name, walk) in rearranged().into_iter().chain(moved()) {
        ids.add(name, walk.id(SEED));
    }
}

#[test]
fn every_bit_of_the_seed_counts() {
    let mut ids = Ids::default();
    ids.add("seed", walk().id(SEED));
    for bit in 0..u64::BITS {
        ids.add(
            format!("seed with bit {bit} changed"),
            walk().id(SEED ^ 1 << bit),
        );
    }
}

#[test]
fn the_same_stack_has_the_same_id() {
    assert_eq!(walk().id(SEED), walk().id(SEED));
}

/// The stages of the program fill the sections in turns.
#[test]
fn sections_may_be_filled_in_any_order() {
    let walk = walk();
    let mut hash = StackHash::new(SEED);
    hash.push_process(&walk.process.expect("a process"));
    for index in (0..3).rev() {
        // Each section keeps its own order.
        hash.push_python(&walk.python[2 - index]);
        hash.push_native(&walk.native[2 - index]);
        hash.push_kernel(walk.kernel[2 - index]);
    }
    assert_eq!(hash.finish(&walk.shape), walk.id(SEED));
}

/// No other judge of the eBPF program's arithmetic is at hand than the compiler's interpreter.
#[test]
fn the_compiler_computes_the_same() {
    const FRAME: NativeFrame = NativeFrame {
        offset: 0x1234,
        executable: 2,
        flags: FRAME_INTERRUPTED,
    };
    const SHAPE: StackShape = StackShape {
        kernel: 1,
        native: 1,
        python: 0,
        chain: 0,
        native_end: 1,
        python_end: 0,
        python_walked: 0,
        padding: [0; 6],
    };
    const ID: u64 = {
        let mut hash = StackHash::new(SEED);
        hash.push_kernel(0xffff_ffff_8100_1234);
        hash.push_native(&FRAME);
        hash.finish(&SHAPE)
    };
    let walk = Walk {
        kernel: vec![0xffff_ffff_8100_1234],
        native: vec![FRAME],
        process: None,
        python: Vec::new(),
        shape: SHAPE,
    };
    assert_eq!(std::hint::black_box(walk).id(SEED), ID);
}

/// Real stacks differ in a few low bits of a few frames.
#[test]
fn near_stacks_have_different_ids() {
    const OFFSETS: u64 = 40;
    let mut seen = std::collections::HashSet::new();
    for number in 0..OFFSETS.pow(3) {
        let frame = |place: u32| NativeFrame {
            offset: 0x1000 + number / OFFSETS.pow(place) % OFFSETS,
            executable: 2,
            flags: 0,
        };
        let walk = Walk {
            kernel: Vec::new(),
            native: (0..3).map(frame).collect(),
            process: None,
            python: Vec::new(),
            shape: StackShape::default(),
        };
        let id = walk.counted().id(SEED);
        assert_ne!(id, 0, "0 stands for no stack");
        assert!(seen.insert(id), "stack {number} has another one's id");
    }
}
