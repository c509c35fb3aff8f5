//! Stacks of addresses to stacks of names: the profile. Done when a batch is over, never while
//! samples come.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use agent_common::cut::{NativeEnd, PythonEnd};
use agent_common::executable::{EXECUTABLE_ANONYMOUS, FileId};
use agent_common::process::ProcessId;
use agent_common::stack::{NativeFrame, PythonEntry};

use super::codes::{CodeKey, Codes};
use super::executables::Executables;
use super::named::{Code, Named};
use super::names::Names;
use super::stacks::{Body, Stacks};
use crate::profile::{
    Executable, ExecutableId, Frame, FrameId, FrameKind, Function, Profile, StringId,
};
use crate::python::{Placed, Role, is_internal, is_loop_callee, place};
use crate::symbols::{Symbol, Symbolizer};

/// Module of the kernel's own functions.
const KERNEL: &str = "[kernel]";

/// What is shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct View {
    /// Show the interpreter's own functions.
    pub native_python: bool,
    /// Show functions that the compiler put into others.
    pub inlines: bool,
}

/// Everything that names come from.
pub struct Resolver<'a> {
    pub executables: &'a Executables,
    pub codes: &'a mut Codes,
    pub names: &'a Names,
    pub symbolizer: &'a mut Symbolizer,
    pub named: &'a mut Named,
    pub view: View,
    native: HashMap<(u32, u64), Vec<FrameId>>,
    /// Native frames that are the interpreter's own.
    internal: HashMap<FrameId, bool>,
    kernel: HashMap<u64, FrameId>,
    files: HashMap<u32, ExecutableId>,
    modules: HashMap<String, ExecutableId>,
}

impl<'a> Resolver<'a> {
    pub fn new(
        executables: &'a Executables,
        codes: &'a mut Codes,
        names: &'a Names,
        symbolizer: &'a mut Symbolizer,
        named: &'a mut Named,
        view: View,
    ) -> Self {
        Self {
            executables,
            codes,
            names,
            symbolizer,
            named,
            view,
            native: HashMap::new(),
            internal: HashMap::new(),
            kernel: HashMap::new(),
            files: HashMap::new(),
            modules: HashMap::new(),
        }
    }

    /// Names all native frames of the stacks, file by file; the ids of the files.
    pub fn prepare(
        &mut self,
        profile: &mut Profile,
        stacks: &Stacks,
        wanted: &HashSet<u64>,
    ) -> Vec<u32> {
        let mut places: HashMap<u32, BTreeSet<u64>> = HashMap::new();
        for id in wanted {
            let Some(body) = stacks.get(*id) else {
                continue;
            };
            for frame in &body.native {
                if frame.executable != EXECUTABLE_ANONYMOUS {
                    places
                        .entry(frame.executable)
                        .or_default()
                        .insert(frame.offset);
                }
            }
        }
        let ids = places.keys().copied().collect();
        for (id, offsets) in places {
            self.name_file(profile, id, offsets);
        }
        ids
    }

    fn name_file(&mut self, profile: &mut Profile, id: u32, offsets: BTreeSet<u64>) {
        let Some(known) = self.executables.get(id) else {
            return;
        };
        let executable = self.file(profile, id);
        let segments = known.segments.as_ref();
        let svma_of = |offset| segments.and_then(|segments| segments.svma_of(offset));
        // What has a name already, and the rest, which the symbolizer is asked for at once.
        let mut places = Vec::with_capacity(offsets.len());
        let mut svmas = Vec::new();
        for offset in offsets {
            let svma = svma_of(offset);
            let found = self.named.get(Code::File(id, offset));
            if found.is_none() {
                svmas.extend(svma);
            }
            places.push((offset, svma, found));
        }
        let mut symbols = if svmas.is_empty() {
            Vec::new().into_iter()
        } else {
            self.symbolizer
                .native_batch(&known.file, &svmas)
                .into_iter()
        };
        let holds_python = known.python.is_some();
        for (offset, svma, found) in places {
            let found = match (found, svma) {
                (Some(found), _) => found,
                (None, Some(_)) => {
                    let symbols = symbols.next().unwrap_or_default();
                    self.named.insert(Code::File(id, offset), symbols)
                }
                (None, None) => Arc::default(),
            };
            let svma = svma.unwrap_or(offset);
            let frames = self.native_frames(profile, executable, svma, &found, holds_python);
            self.native.insert((id, offset), frames);
        }
    }

    fn native_frames(
        &mut self,
        profile: &mut Profile,
        executable: Option<ExecutableId>,
        svma: u64,
        found: &[Symbol],
        holds_python: bool,
    ) -> Vec<FrameId> {
        let frame = Frame {
            kind: FrameKind::Native,
            function: None,
            line: None,
            executable,
            svma,
            inlined: false,
        };
        if found.is_empty() {
            return vec![profile.frame(frame)];
        }
        let mut frames = Vec::with_capacity(found.len());
        for symbol in found {
            if symbol.inlined && !self.view.inlines {
                continue;
            }
            let function = Some(function_of(profile, symbol));
            let id = profile.frame(Frame {
                function,
                line: symbol.line,
                inlined: symbol.inlined,
                ..frame
            });
            if holds_python {
                self.internal.insert(id, is_internal(&symbol.system_name));
            }
            frames.push(id);
        }
        frames
    }

    fn file(&mut self, profile: &mut Profile, id: u32) -> Option<ExecutableId> {
        if let Some(&found) = self.files.get(&id) {
            return Some(found);
        }
        let known = self.executables.get(id)?;
        let identity = known.identity();
        let found = Executable {
            path: profile.string(&known.file.path),
            build_id: profile.string(&identity.build_id),
            htlhash: profile.string(&identity.htlhash),
            file: known.key,
        };
        let found = profile.executable(found);
        self.files.insert(id, found);
        Some(found)
    }

    /// The frames of a stack of a process, innermost first.
    pub fn stack(
        &mut self,
        profile: &mut Profile,
        body: &Body,
        process: &ProcessId,
    ) -> Vec<FrameId> {
        let mut frames = Vec::new();
        for &address in &body.kernel {
            frames.push(self.kernel_frame(profile, address));
        }
        let merged = place(&body.native, &body.python, body.shape, |frame| {
            self.role(profile, frame)
        });
        for placed in &merged.frames {
            match *placed {
                Placed::Native(index) => {
                    if let Some(frame) = body.native.get(index) {
                        self.push_native(profile, frame, process, &mut frames);
                    }
                }
                Placed::EvalLoop(index) => {
                    if self.view.native_python
                        && let Some(frame) = body.native.get(index)
                    {
                        self.push_native(profile, frame, process, &mut frames);
                    }
                }
                Placed::Python(index) => {
                    if let Some(entry) = body.python.get(index) {
                        frames.push(self.python_frame(profile, entry, process));
                    }
                }
            }
        }
        let native = NativeEnd::from_u8(body.shape.native_end).unwrap_or(NativeEnd::None);
        let python = PythonEnd::from_u8(body.shape.python_end).unwrap_or(PythonEnd::None);
        if !python.is_whole() {
            frames.push(profile.marker(&format!("[cut: python_{}]", python.name())));
        }
        if !native.is_whole() {
            frames.push(profile.marker(&format!("[cut: {}]", native.name())));
        } else if merged.incomplete && python.is_whole() {
            frames.push(profile.marker("[Python frames not placed]"));
        }
        frames
    }

    /// What a native frame is to the placement of Python frames.
    fn role(&self, profile: &Profile, frame: &NativeFrame) -> Role {
        let known = self.executables.get(frame.executable);
        let Some(python) = known.and_then(|known| known.python.as_ref()) else {
            return Role::Other;
        };
        if python.is_eval_loop(frame.offset) {
            return Role::Loop;
        }
        let named = self.native.get(&(frame.executable, frame.offset));
        let callee = named.into_iter().flatten().any(|id| {
            let function = profile[*id].function;
            function.is_some_and(|function| is_loop_callee(&profile[profile[function].system_name]))
        });
        if callee {
            Role::LoopCallee
        } else {
            Role::Other
        }
    }

    fn push_native(
        &mut self,
        profile: &mut Profile,
        frame: &NativeFrame,
        process: &ProcessId,
        frames: &mut Vec<FrameId>,
    ) {
        if frame.executable == EXECUTABLE_ANONYMOUS {
            frames.push(self.jit_frame(profile, frame.offset, process));
            return;
        }
        match self.native.get(&(frame.executable, frame.offset)) {
            Some(named) => {
                let hide = !self.view.native_python;
                let shown = named
                    .iter()
                    .filter(|id| !(hide && self.internal.get(id) == Some(&true)));
                frames.extend(shown);
            }
            None => {
                let executable = self.file(profile, frame.executable);
                frames.push(profile.frame(Frame {
                    kind: FrameKind::Native,
                    function: None,
                    line: None,
                    executable,
                    svma: frame.offset,
                    inlined: false,
                }));
            }
        }
    }

    fn jit_frame(&mut self, profile: &mut Profile, avma: u64, process: &ProcessId) -> FrameId {
        let symbol = match self.names.perf_map(process) {
            Some(map) => self.symbolizer.perf_map(*process, map, avma),
            None => None,
        };
        let function = symbol.map(|symbol| function_of(profile, &symbol));
        let path = profile.string("[anon]");
        let executable = profile.executable(Executable {
            path,
            build_id: StringId::EMPTY,
            htlhash: StringId::EMPTY,
            file: FileId::default(),
        });
        profile.frame(Frame {
            kind: FrameKind::Jit,
            function,
            line: None,
            executable: Some(executable),
            svma: avma,
            inlined: false,
        })
    }

    fn kernel_frame(&mut self, profile: &mut Profile, address: u64) -> FrameId {
        if let Some(&known) = self.kernel.get(&address) {
            return known;
        }
        let code = Code::Kernel(address);
        let symbol = match self.named.get(code) {
            Some(known) => known,
            None => {
                let found = self.symbolizer.kernel(address);
                self.named.kernel_is_of(self.symbolizer.kernel_loads());
                self.named.insert(code, found.into_iter().collect())
            }
        };
        let symbol = symbol.first();
        let function = symbol.map(|symbol| function_of(profile, symbol));
        let module = symbol.and_then(|symbol| symbol.module.clone());
        let executable = self.kernel_file(profile, module.as_deref().unwrap_or(KERNEL));
        let frame = profile.frame(Frame {
            kind: FrameKind::Kernel,
            function,
            line: None,
            executable: Some(executable),
            svma: address,
            inlined: false,
        });
        self.kernel.insert(address, frame);
        frame
    }

    /// The kernel or one of its modules.
    fn kernel_file(&mut self, profile: &mut Profile, name: &str) -> ExecutableId {
        if let Some(&known) = self.modules.get(name) {
            return known;
        }
        let identity = self.named.module(name, (name != KERNEL).then_some(name));
        let executable = Executable {
            path: profile.string(name),
            build_id: profile.string(&identity.build_id),
            htlhash: StringId::EMPTY,
            file: FileId::default(),
        };
        let executable = profile.executable(executable);
        self.modules.insert(name.to_owned(), executable);
        executable
    }

    fn python_frame(
        &mut self,
        profile: &mut Profile,
        entry: &PythonEntry,
        process: &ProcessId,
    ) -> FrameId {
        let key = CodeKey {
            process: *process,
            code: entry.code,
            signature: entry.signature,
        };
        let Some(code) = self.codes.get_mut(&key) else {
            let function = unknown_function(profile);
            return profile.frame(python(Some(function), None));
        };
        let line = code
            .version
            .and_then(|version| code.line(version, entry.instruction));
        let name = profile.string(&code.name);
        let function = Function {
            name,
            system_name: name,
            file: profile.string(&code.file),
            first_line: u32::try_from(code.first_line).ok(),
        };
        let function = profile.function(function);
        profile.frame(python(Some(function), line))
    }
}

fn python(function: Option<crate::profile::FunctionId>, line: Option<u32>) -> Frame {
    Frame {
        kind: FrameKind::Python,
        function,
        line,
        executable: None,
        svma: 0,
        inlined: false,
    }
}

fn unknown_function(profile: &mut Profile) -> crate::profile::FunctionId {
    let name = profile.string("[unknown Python function]");
    profile.function(Function {
        name,
        system_name: name,
        file: StringId::EMPTY,
        first_line: None,
    })
}

fn function_of(profile: &mut Profile, symbol: &Symbol) -> crate::profile::FunctionId {
    let function = Function {
        name: profile.string(&symbol.name),
        system_name: profile.string(&symbol.system_name),
        file: profile.string(symbol.file.as_deref().unwrap_or("")),
        first_line: symbol.first_line,
    };
    profile.function(function)
}
