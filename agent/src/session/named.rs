//! Names of code that was seen, so that a file's symbols are not searched again for each batch.

use std::collections::HashSet;
use std::sync::Arc;

use super::bounded::Bounded;
use crate::symbols::{Identity, Symbol};

/// Code that has a name of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// Executable id and file offset.
    File(u32, u64),
    Kernel(u64),
}

/// Most modules of the kernel whose identity is kept.
const MODULES: usize = 64 << 10;

/// Names by place.
pub struct Named {
    of: Bounded<Code, Arc<[Symbol]>>,
    /// Each text once.
    texts: HashSet<Arc<str>>,
    /// Identities of the kernel and its modules.
    modules: Bounded<String, Identity>,
    /// Of the kernel's symbols.
    reading: u64,
}

impl Named {
    pub fn new(budget: usize) -> Self {
        Self {
            // The rest is for texts whose first user left before others, and for the list of them.
            of: Bounded::new(budget / 4 * 3),
            texts: HashSet::new(),
            modules: Bounded::new(MODULES),
            reading: 0,
        }
    }

    pub fn get(&mut self, code: Code) -> Option<Arc<[Symbol]>> {
        self.of.get(&code).map(|symbols| Arc::clone(symbols))
    }

    pub fn insert(&mut self, code: Code, symbols: Vec<Symbol>) -> Arc<[Symbol]> {
        let mut bytes = size_of_val(&*symbols);
        let symbols: Arc<[Symbol]> = symbols
            .into_iter()
            .map(|mut symbol| {
                symbol.name = self.text(symbol.name, &mut bytes);
                symbol.system_name = self.text(symbol.system_name, &mut bytes);
                symbol.file = symbol.file.map(|file| self.text(file, &mut bytes));
                symbol.module = symbol.module.map(|module| self.text(module, &mut bytes));
                symbol
            })
            .collect();
        let gone = self.of.insert(code, Arc::clone(&symbols), bytes);
        if !gone.is_empty() {
            drop(gone);
            self.texts.retain(|text| Arc::strong_count(text) > 1);
        }
        symbols
    }

    /// Names of the kernel's code are forgotten when its symbols were read again.
    pub fn kernel_is_of(&mut self, reading: u64) {
        if std::mem::replace(&mut self.reading, reading) == reading {
            return;
        }
        self.of.retain(|code, _| matches!(code, Code::File(..)));
        self.modules.retain(|_, _| false);
    }

    /// The identity of the kernel (None) or one of its modules.
    pub fn module(&mut self, name: &str, module: Option<&str>) -> Identity {
        if let Some(known) = self.modules.get(&name.to_owned()) {
            return known.clone();
        }
        let identity = Identity::of_kernel(module);
        let bytes = name.len() + identity.build_id.len();
        self.modules
            .insert(name.to_owned(), identity.clone(), bytes);
        identity
    }

    pub fn bytes(&self) -> usize {
        self.of.bytes() + self.texts.capacity() * size_of::<Arc<str>>() + self.modules.bytes()
    }

    /// Names that were given up since this was last asked.
    pub fn take_evicted(&mut self) -> u64 {
        self.of.take_evicted()
    }

    /// A text that is kept already costs nothing.
    fn text(&mut self, text: Arc<str>, bytes: &mut usize) -> Arc<str> {
        if let Some(known) = self.texts.get(&*text) {
            return Arc::clone(known);
        }
        *bytes += text.len() + 4 * size_of::<usize>();
        self.texts.insert(Arc::clone(&text));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbol(name: &str) -> Symbol {
        Symbol {
            name: name.into(),
            system_name: name.into(),
            ..Symbol::default()
        }
    }

    #[test]
    fn texts_leave_with_the_last_name_that_has_them() {
        let mut named = Named::new(64 << 10);
        for number in 0..10_000u64 {
            named.insert(
                Code::File(2, number),
                vec![symbol(&format!("f{}", number / 2))],
            );
            // In use all the time.
            assert!(named.get(Code::File(2, 0)).is_some(), "{number}");
        }
        assert!(named.take_evicted() > 0);
        assert!(named.get(Code::File(2, 9_999)).is_some());
        assert!(named.get(Code::File(2, 1)).is_none());
        assert!(named.texts.len() <= named.of.len());
        let first = named.get(Code::File(2, 0)).expect("used each time");
        assert_eq!(&*first[0].name, "f0");
    }
}
