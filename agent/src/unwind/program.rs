//! Executes call frame instructions, keeping the four columns that the walk needs.
//!
//! gimli decodes the instructions. Its own table keeps all registers, copies them for each
//! function and remembered state, and would be half of the time.

use gimli::{
    CallFrameInstruction, CallFrameInstructionIter, EndianSlice, LittleEndian, Register,
    UnwindExpression,
};

use super::Machine;

/// Most states that may be remembered at once; compilers need one.
const MOST_REMEMBERED: usize = 64;

/// How the canonical frame address is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cfa {
    Register { register: Register, offset: i64 },
    Expression(UnwindExpression<usize>),
}

/// How the caller's value of a register is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    /// Nothing was said: what the ABI says.
    Unspecified,
    Undefined,
    Same,
    /// *(CFA + offset)
    Offset(i64),
    /// CFA + offset
    ValueOffset(i64),
    Register(Register),
    /// *(expression)
    Expression(UnwindExpression<usize>),
    /// The expression's value: nothing that a rule could say.
    ValueExpression,
}

/// The columns in force at one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub cfa: Cfa,
    pub sp: Column,
    pub fp: Column,
    /// Return address.
    pub ra: Column,
}

/// What holds for all functions of a common entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub machine: Machine,
    /// Column of the return address.
    pub return_address: Register,
    /// The functions are signal trampolines: their caller was interrupted anywhere.
    pub signal: bool,
    pub code_alignment: u64,
    pub data_alignment: i64,
}

pub(super) type Instructions<'a> = CallFrameInstructionIter<'a, EndianSlice<'a, LittleEndian>>;

/// How far a row's columns differ from the row before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Change {
    None,
    /// The CFA has another offset from its register.
    Offset,
    Any,
}

/// The next row of a program is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// Svma of the byte behind it.
    pub end: u64,
    pub change: Change,
}

/// A function's program while it runs.
pub(super) struct Program<'a, 'p> {
    terms: &'p Terms,
    instructions: Instructions<'a>,
    pub state: State,
    initial: State,
    remembered: &'p mut Vec<State>,
    /// Svma of the row that is being made.
    svma: u64,
    /// Svma of the function's end.
    end: u64,
}

/// The instructions make no sense, or are unknown.
pub(super) struct Broken;

impl State {
    const EMPTY: Self = Self {
        cfa: Cfa::Register {
            register: Register(0),
            offset: 0,
        },
        sp: Column::Unspecified,
        fp: Column::Unspecified,
        ra: Column::Unspecified,
    };

    /// The state that a common entry's instructions make.
    pub fn initial(terms: &Terms, instructions: Instructions) -> Result<Self, Broken> {
        let mut remembered = Vec::new();
        let initial = Self::EMPTY;
        let mut program = Program::new(terms, initial, instructions, (0, 0), &mut remembered);
        loop {
            match &program.instructions.next() {
                Ok(Some(CallFrameInstruction::Restore { .. })) | Err(_) => return Err(Broken),
                Ok(Some(instruction)) => program.execute(instruction)?,
                Ok(None) => return Ok(program.state),
            };
        }
    }

    fn column(&mut self, terms: &Terms, register: Register) -> Option<&mut Column> {
        if register == terms.return_address {
            Some(&mut self.ra)
        } else if register == terms.machine.fp() {
            Some(&mut self.fp)
        } else if register == terms.machine.sp() {
            Some(&mut self.sp)
        } else {
            None
        }
    }
}

impl<'a, 'p> Program<'a, 'p> {
    /// The program of a function at svmas `start..end`. `remembered` is scratch memory.
    pub fn new(
        terms: &'p Terms,
        initial: State,
        instructions: Instructions<'a>,
        (start, end): (u64, u64),
        remembered: &'p mut Vec<State>,
    ) -> Self {
        remembered.clear();
        Self {
            terms,
            instructions,
            state: initial,
            initial,
            remembered,
            svma: start,
            end,
        }
    }

    /// Runs up to the end of the next row, which `state` then describes. `None`: that was the
    /// function's last one.
    pub fn next_row(&mut self) -> Result<Option<Row>, Broken> {
        let mut change = Change::None;
        loop {
            // By reference: taking the instruction out of the result copies it over its own
            // fields' fresh stores, whose stalls were 35 % of the time.
            let next = match &self.instructions.next() {
                Ok(Some(CallFrameInstruction::AdvanceLoc { delta })) => {
                    let step = (*delta as u64).checked_mul(self.terms.code_alignment);
                    step.and_then(|step| self.svma.checked_add(step))
                        .ok_or(Broken)?
                }
                Ok(Some(CallFrameInstruction::SetLoc { address })) if *address >= self.svma => {
                    *address
                }
                Ok(Some(other)) => {
                    change = change.max(self.execute(other)?);
                    continue;
                }
                Ok(None) => break,
                Err(_) => return Err(Broken),
            };
            if next > self.svma {
                self.svma = next;
                return Ok(Some(Row { end: next, change }));
            }
        }
        let last = self.svma < self.end;
        self.svma = self.end;
        Ok(last.then_some(Row {
            end: self.end,
            change,
        }))
    }

    /// What may have changed.
    #[inline(always)]
    fn execute(&mut self, instruction: &CallFrameInstruction<usize>) -> Result<Change, Broken> {
        use CallFrameInstruction as I;
        let factored = |offset: i64| offset.wrapping_mul(self.terms.data_alignment);
        let (register, column) = match *instruction {
            I::DefCfa { register, offset } => {
                self.state.cfa = Cfa::Register {
                    register,
                    offset: offset as i64,
                };
                return Ok(Change::Any);
            }
            I::DefCfaSf {
                register,
                factored_offset,
            } => {
                self.state.cfa = Cfa::Register {
                    register,
                    offset: factored(factored_offset),
                };
                return Ok(Change::Any);
            }
            I::DefCfaRegister { register: new } => {
                let Cfa::Register { register, .. } = &mut self.state.cfa else {
                    return Err(Broken);
                };
                *register = new;
                return Ok(Change::Any);
            }
            I::DefCfaOffset { offset } => return self.move_cfa(offset as i64),
            I::DefCfaOffsetSf { factored_offset } => {
                return self.move_cfa(factored(factored_offset));
            }
            I::DefCfaExpression { expression } => {
                self.state.cfa = Cfa::Expression(expression);
                return Ok(Change::Any);
            }
            I::RememberState => {
                if self.remembered.len() == MOST_REMEMBERED {
                    return Err(Broken);
                }
                self.remembered.push(self.state);
                return Ok(Change::None);
            }
            I::RestoreState => {
                self.state = self.remembered.pop().ok_or(Broken)?;
                return Ok(Change::Any);
            }
            // Whether a return address in memory is signed: the reader of it takes the signature
            // away in any case.
            I::NegateRaState | I::ArgsSize { .. } | I::Nop => return Ok(Change::None),
            I::SetLoc { .. } | I::AdvanceLoc { .. } => return Err(Broken),
            I::Undefined { register } => (register, Column::Undefined),
            I::SameValue { register } => (register, Column::Same),
            I::Offset {
                register,
                factored_offset,
            } => (register, Column::Offset(factored(factored_offset as i64))),
            I::OffsetExtendedSf {
                register,
                factored_offset,
            } => (register, Column::Offset(factored(factored_offset))),
            I::ValOffset {
                register,
                factored_offset,
            } => (
                register,
                Column::ValueOffset(factored(factored_offset as i64)),
            ),
            I::ValOffsetSf {
                register,
                factored_offset,
            } => (register, Column::ValueOffset(factored(factored_offset))),
            I::Register {
                dest_register,
                src_register,
            } => (dest_register, Column::Register(src_register)),
            I::Expression {
                register,
                expression,
            } => (register, Column::Expression(expression)),
            I::ValExpression { register, .. } => (register, Column::ValueExpression),
            I::Restore { register } => {
                let mut initial = self.initial;
                let Some(column) = initial.column(self.terms, register) else {
                    return Ok(Change::None);
                };
                (register, *column)
            }
        };
        let Some(place) = self.state.column(self.terms, register) else {
            return Ok(Change::None);
        };
        *place = column;
        Ok(Change::Any)
    }

    fn move_cfa(&mut self, to: i64) -> Result<Change, Broken> {
        let Cfa::Register { offset, .. } = &mut self.state.cfa else {
            return Err(Broken);
        };
        *offset = to;
        Ok(Change::Offset)
    }
}
