//! From the columns of call frame information to a [`Rule`]. What a rule cannot say becomes
//! [`UNSUPPORTED`], never something near it.

use agent_common::step::{REGISTERS, Rule, cfa, fp, ra};
use gimli::{Register, UnwindExpression};

use super::Machine;
use super::expression::Expression;
use super::program::{Cfa, Column, State, Terms};

/// There is a rule, and it is beyond the walker. Differs from [`Rule::default`], which stands
/// where there is none.
pub(super) const UNSUPPORTED: Rule = Rule {
    cfa: cfa::UNKNOWN,
    fp: fp::UNDEFINED,
    ra: ra::CFA,
    register: 0,
    cfa_offset: 0,
    fp_offset: 0,
    ra_offset: 0,
};

/// Turns the columns of functions with the same terms into rules.
pub(super) struct Translator<'a> {
    pub terms: &'a Terms,
    /// The section, which holds the expressions.
    pub data: &'a [u8],
}

impl Translator<'_> {
    pub fn rule(&self, state: &State) -> Rule {
        if state.ra == Column::Undefined {
            return Rule::END;
        }
        self.try_rule(state).unwrap_or(UNSUPPORTED)
    }

    /// Makes `rule`, which was `state`'s, the rule of a state with another offset of the CFA from
    /// its register: four changes in five are of that kind. False: it takes a new rule.
    #[inline]
    pub fn move_cfa(&self, rule: &mut Rule, state: &State) -> bool {
        // Nothing else is counted from the register here.
        let plain = matches!(rule.cfa, cfa::SP | cfa::FP) && matches!(state.ra, Column::Offset(_));
        match state.cfa {
            Cfa::Register { offset, .. } if plain && !self.terms.signal => {
                let fits = i32::try_from(offset);
                rule.cfa_offset = fits.unwrap_or_default();
                fits.is_ok()
            }
            _ => false,
        }
    }

    /// `None`: not a rule that the walker can follow.
    fn try_rule(&self, state: &State) -> Option<Rule> {
        let mut rule = Rule::default();
        self.put_cfa(&mut rule, &state.cfa)?;
        self.put_fp(&mut rule, &state.fp);
        if self.terms.signal {
            self.put_signal(&mut rule, state)?;
        } else {
            self.put_ra(&mut rule, &state.ra)?;
            // The caller's stack pointer is the CFA, by the ABI.
            if !matches!(state.sp, Column::Unspecified | Column::ValueOffset(0)) {
                return None;
            }
        }
        Some(rule)
    }

    fn put_cfa(&self, rule: &mut Rule, cfa: &Cfa) -> Option<()> {
        let machine = self.terms.machine;
        let (kind, register, offset) = match cfa {
            Cfa::Register { register, offset } => (None, *register, *offset),
            Cfa::Expression(expression) => match self.expression(expression) {
                Expression::Value { register, offset } => (None, register, offset),
                Expression::Deref { register, offset } if register == machine.fp() => {
                    (Some(cfa::FP_DEREF), register, offset)
                }
                Expression::Deref { register, offset } if register == machine.sp() => {
                    (Some(cfa::SP_DEREF), register, offset)
                }
                Expression::Plt { pushed_from } if machine == Machine::X86_64 => {
                    (Some(cfa::PLT), machine.sp(), pushed_from.into())
                }
                _ => return None,
            },
        };
        rule.cfa_offset = i32::try_from(offset).ok()?;
        rule.cfa = match kind {
            Some(kind) => kind,
            None if register == machine.sp() => cfa::SP,
            None if register == machine.fp() => cfa::FP,
            None => {
                rule.register = walkable(register)?;
                cfa::REGISTER
            }
        };
        Some(())
    }

    fn put_fp(&self, rule: &mut Rule, column: &Column) {
        let machine = self.terms.machine;
        let found = match column {
            // The ABI has it preserved.
            Column::Unspecified | Column::Same => Some((fp::SAME, 0)),
            Column::Offset(offset) => Some((fp::CFA, *offset)),
            Column::Register(register) if *register == machine.fp() => Some((fp::SAME, 0)),
            Column::Expression(expression) => match self.expression(expression) {
                Expression::Value { register, offset } if register == machine.fp() => {
                    Some((fp::FP, offset))
                }
                Expression::Value { register, offset } if register == machine.sp() => {
                    Some((fp::SP, offset))
                }
                _ => None,
            },
            _ => None,
        };
        let found = found.and_then(|(kind, offset)| Some((kind, i32::try_from(offset).ok()?)));
        (rule.fp, rule.fp_offset) = found.unwrap_or((fp::UNDEFINED, 0));
    }

    fn put_ra(&self, rule: &mut Rule, column: &Column) -> Option<()> {
        match column {
            Column::Offset(offset) => {
                rule.ra = ra::CFA;
                rule.ra_offset = i32::try_from(*offset).ok()?;
            }
            // The link register still holds it. x86_64 has none, so there it would be no rule.
            Column::Unspecified | Column::Same if self.terms.machine == Machine::Aarch64 => {
                self.put_ra_register(rule, self.terms.return_address)?;
            }
            Column::Register(register) => self.put_ra_register(rule, *register)?,
            Column::Expression(expression) if rule.cfa == cfa::SP => {
                rule.ra = ra::CFA;
                let slot = i32::try_from(self.slot(expression)?).ok()?;
                rule.ra_offset = slot.checked_sub(rule.cfa_offset)?;
            }
            _ => return None,
        }
        Some(())
    }

    fn put_ra_register(&self, rule: &mut Rule, register: Register) -> Option<()> {
        let register = walkable(register)?;
        if rule.cfa == cfa::REGISTER && rule.register != register {
            return None;
        }
        rule.ra = ra::REGISTER;
        rule.register = register;
        Some(())
    }

    /// A trampoline: everything lies in the kernel's frame, which begins at the stack pointer.
    fn put_signal(&self, rule: &mut Rule, state: &State) -> Option<()> {
        let base = (rule.cfa == cfa::SP).then_some(rule.cfa_offset as i64);
        let slot = |column: &Column| {
            let slot = match column {
                Column::Offset(offset) => base?.checked_add(*offset),
                Column::Expression(expression) => self.slot(expression),
                _ => None,
            };
            i32::try_from(slot?).ok()
        };
        rule.ra = ra::SIGNAL;
        rule.ra_offset = slot(&state.ra)?;
        if rule.fp == fp::CFA && base.is_some() {
            rule.fp = fp::SP;
            rule.fp_offset = slot(&state.fp)?;
        }
        if !matches!(state.sp, Column::Unspecified | Column::ValueOffset(0)) {
            let saved = slot(&state.sp)?;
            let same = rule.cfa == cfa::SP_DEREF && rule.cfa_offset == saved;
            // The CFA is no longer the interrupted stack pointer, and nothing may hang on it.
            if !same && rule.fp == fp::CFA {
                return None;
            }
            rule.cfa = cfa::SP_DEREF;
            rule.cfa_offset = saved;
        }
        Some(())
    }

    /// Offset from the stack pointer of what an expression says the place of.
    fn slot(&self, expression: &UnwindExpression<usize>) -> Option<i64> {
        match self.expression(expression) {
            Expression::Value { register, offset } if register == self.terms.machine.sp() => {
                Some(offset)
            }
            _ => None,
        }
    }

    fn expression(&self, expression: &UnwindExpression<usize>) -> Expression {
        let end = expression.offset.checked_add(expression.length);
        let bytes = end.and_then(|end| self.data.get(expression.offset..end));
        bytes.map_or(Expression::Other, Expression::parse)
    }
}

/// Number of a register that the walker can be asked for.
fn walkable(register: Register) -> Option<u8> {
    u8::try_from(register.0)
        .ok()
        .filter(|&number| (number as usize) < REGISTERS)
}
