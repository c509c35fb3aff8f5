//! gimli as the judge: its own table of all registers and its evaluator of expressions, on made-up
//! registers and memory. What one step of ours leads to must be what the row means.

use agent_common::step::{Frame, Step, step};
use gimli::{
    BaseAddresses, CfaRule, EhFrame, EndianSlice, EvaluationResult, FrameDescriptionEntry,
    LittleEndian, Register, RegisterRule, UnwindContext, UnwindExpression, UnwindSection,
    UnwindTableRow, Value,
};
use object::{Object, ObjectSection};

use super::super::{Machine, Table};

type Slice<'a> = EndianSlice<'a, LittleEndian>;
type Fde<'a> = FrameDescriptionEntry<Slice<'a>>;

/// Made-up stack pointer; the frame pointer is above it, and everything in memory points higher.
const SP: u64 = 0x7ffc_0000_0000;
const FP: u64 = SP + 0x800;

/// Made-up memory.
fn memory(address: u64) -> u64 {
    let mixed = address.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    SP + 0x10_0000 + (mixed >> 40 << 3)
}

/// Made-up registers.
fn register(machine: Machine, number: u16, pc: u64) -> u64 {
    match (machine, number) {
        (Machine::X86_64, 16) => pc,
        (Machine::X86_64, 7) | (Machine::Aarch64, 31) => SP,
        (Machine::X86_64, 6) | (Machine::Aarch64, 29) => FP,
        _ => SP + 0x1000 + 0x100 * number as u64,
    }
}

/// What a row says about the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// There is none.
    End,
    Found {
        pc: u64,
        sp: u64,
        fp: Option<u64>,
        called: bool,
    },
    /// The row leaves it open.
    Unknown,
}

/// A step of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ours {
    NoRow,
    Unsupported,
    Caller(Caller),
}

/// What `table` says at an offset whose svma is `pc`.
pub fn ours(table: &Table, machine: Machine, offset: u64, pc: u64) -> Ours {
    let Some(rule) = table.rule(offset) else {
        return Ours::NoRow;
    };
    let mut frame = Frame {
        pc,
        sp: SP,
        fp: FP,
        called: 0,
        fp_known: 1,
    };
    let registers = |number: u8| Some(register(machine, number.into(), pc));
    match step(rule, &mut frame, |address| Some(memory(address)), registers) {
        Step::Caller => Ours::Caller(Caller::Found {
            pc: frame.pc,
            sp: frame.sp,
            fp: (frame.fp_known != 0).then_some(frame.fp),
            called: frame.called != 0,
        }),
        Step::End => Ours::Caller(Caller::End),
        Step::Unsupported | Step::Backwards => Ours::Unsupported,
        other => panic!("{other:?} by {rule:?} at {offset:#x}"),
    }
}

/// The judge of one file.
pub struct Oracle<'a> {
    pub machine: Machine,
    section: EhFrame<Slice<'a>>,
    bases: BaseAddresses,
    /// Every function, in the section's order.
    pub functions: Vec<Fde<'a>>,
    context: UnwindContext<usize>,
}

impl<'a> Oracle<'a> {
    pub fn new(file: &'a [u8]) -> Self {
        let parsed = object::File::parse(file).unwrap();
        let found = parsed.section_by_name(".eh_frame").unwrap();
        let mut section = EhFrame::new(found.data().unwrap(), LittleEndian);
        let machine = match parsed.architecture() {
            object::Architecture::Aarch64 => Machine::Aarch64,
            _ => Machine::X86_64,
        };
        if machine == Machine::Aarch64 {
            section.set_vendor(gimli::Vendor::AArch64);
        }
        let bases = BaseAddresses::default().set_eh_frame(found.address());
        let mut functions = Vec::new();
        let mut entries = section.entries(&bases);
        while let Ok(Some(entry)) = entries.next() {
            if let gimli::CieOrFde::Fde(partial) = entry {
                functions.push(partial.parse(EhFrame::cie_from_offset).unwrap());
            }
        }
        Self {
            machine,
            section,
            bases,
            functions,
            context: UnwindContext::new(),
        }
    }

    /// What the file says about the caller at svma `pc`; `None`: it has no function there.
    pub fn caller(&mut self, pc: u64) -> Option<Caller> {
        let Self {
            machine,
            section,
            bases,
            functions,
            context,
        } = self;
        let function = functions.iter().find(|function| function.contains(pc))?;
        let row = function
            .unwind_info_for_address(section, bases, context, pc)
            .ok()?;
        let judge = Judge {
            machine: *machine,
            section,
            function,
            row,
            pc,
        };
        Some(judge.caller().unwrap_or(Caller::Unknown))
    }
}

struct Judge<'j, 'a> {
    machine: Machine,
    section: &'j EhFrame<Slice<'a>>,
    function: &'j Fde<'a>,
    row: &'j UnwindTableRow<usize>,
    pc: u64,
}

impl Judge<'_, '_> {
    fn caller(&self) -> Option<Caller> {
        let (sp, fp) = match self.machine {
            Machine::X86_64 => (Register(7), Register(6)),
            Machine::Aarch64 => (Register(31), Register(29)),
        };
        let ra = self.function.cie().return_address_register();
        if self.row.register(ra) == Some(RegisterRule::Undefined) {
            return Some(Caller::End);
        }
        let cfa = match self.row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => {
                self.now(*register).wrapping_add(*offset as u64)
            }
            CfaRule::Expression(expression) => self.evaluate(expression, None)?,
        };
        let kept = |register: Register| match self.row.register(register) {
            None => Some(self.now(register)),
            Some(rule) => self.value(&rule, register, cfa),
        };
        let pc = match (self.machine, self.row.register(ra)) {
            (Machine::X86_64, None | Some(RegisterRule::SameValue)) => return None,
            _ => kept(ra)?,
        };
        let sp = match self.row.register(sp) {
            None => cfa,
            Some(rule) => self.value(&rule, sp, cfa)?,
        };
        let called = !self.function.is_signal_trampoline();
        Some(Caller::Found {
            pc,
            sp,
            fp: kept(fp),
            called,
        })
    }

    fn now(&self, register: Register) -> u64 {
        self::register(self.machine, register.0, self.pc)
    }

    fn value(&self, rule: &RegisterRule<usize>, register: Register, cfa: u64) -> Option<u64> {
        match rule {
            RegisterRule::SameValue => Some(self.now(register)),
            RegisterRule::Offset(offset) => Some(memory(cfa.wrapping_add(*offset as u64))),
            RegisterRule::ValOffset(offset) => Some(cfa.wrapping_add(*offset as u64)),
            RegisterRule::Register(other) => Some(self.now(*other)),
            RegisterRule::Expression(expression) => {
                self.evaluate(expression, Some(cfa)).map(memory)
            }
            RegisterRule::ValExpression(expression) => self.evaluate(expression, Some(cfa)),
            _ => None,
        }
    }

    fn evaluate(&self, expression: &UnwindExpression<usize>, start: Option<u64>) -> Option<u64> {
        let code = expression.get(self.section).ok()?;
        let mut evaluation = code.evaluation(self.function.cie().encoding());
        if let Some(start) = start {
            evaluation.set_initial_value(start);
        }
        let mut result = evaluation.evaluate().ok()?;
        loop {
            result = match result {
                EvaluationResult::Complete => break,
                EvaluationResult::RequiresMemory { address, .. } => evaluation
                    .resume_with_memory(Value::Generic(memory(address)))
                    .ok()?,
                EvaluationResult::RequiresRegister { register, .. } => {
                    let value = Value::Generic(self.now(register));
                    evaluation.resume_with_register(value).ok()?
                }
                _ => return None,
            };
        }
        evaluation.value_result()?.to_u64(u64::MAX).ok()
    }
}
