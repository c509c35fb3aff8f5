//! The symbolizer: finds or loads what an address needs, within a budget of memory.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use agent_common::process::ProcessId;

use super::error::SymbolError;
use super::kernel::KernelSymbols;
use super::native::NativeFile;
use super::perf_map::PerfMap;
use super::source::{ExecutableFile, Source};
use super::{Options, Symbol};

/// Most problems that are kept; more are counted.
const PROBLEMS_LIMIT: usize = 256;
/// Least time between two readings of the kernel's symbols.
const KERNEL_INTERVAL: Duration = Duration::from_secs(60);
/// What an entry of the cache costs even if nothing could be read.
const ENTRY_BYTES: usize = 1024;

/// Why some names of a file, a perf map or the kernel are missing.
#[derive(Debug)]
pub struct Problem {
    /// Path of the file; `kernel`, or the process of the perf map.
    pub subject: String,
    pub error: SymbolError,
}

pub struct Symbolizer {
    options: Options,
    cache: HashMap<Key, Cached>,
    /// Number of the last use of anything in the cache.
    clock: u64,
    /// None: not loaded yet.
    kernel: Option<KernelSymbols>,
    kernel_loaded: Option<Instant>,
    /// How often the kernel's symbols were read.
    kernel_loads: u64,
    problems: Vec<Problem>,
    problems_dropped: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    File(u32),
    Map(ProcessId),
}

struct Cached {
    content: Content,
    bytes: usize,
    used: u64,
}

enum Content {
    File(Box<NativeFile>),
    Map(PerfMap, Stamp),
}

/// Tells one state of a perf map from another.
type Stamp = (u64, u64, i64, i64);

impl Symbolizer {
    pub fn new(options: Options) -> Self {
        Self {
            options,
            cache: HashMap::new(),
            clock: 0,
            kernel: None,
            kernel_loaded: None,
            kernel_loads: 0,
            problems: Vec::new(),
            problems_dropped: 0,
        }
    }

    /// The functions at an svma, innermost first: several where some are inlined, none where
    /// nothing is known. [`Self::native_batch`] is far cheaper for more than one.
    pub fn native(&mut self, file: &ExecutableFile, svma: u64) -> Vec<Symbol> {
        self.native_batch(file, &[svma]).pop().unwrap_or_default()
    }

    /// Same as [`Self::native`] for each of `svmas`, in any order.
    pub fn native_batch(&mut self, file: &ExecutableFile, svmas: &[u64]) -> Vec<Vec<Symbol>> {
        let (symbols, error) = self.ask(file, svmas, |known| known.symbols(svmas));
        if let Some(error) = error {
            self.report(&file.path, error);
        }
        symbols
    }

    /// The svma at an offset of a file, by its loaded segments.
    pub fn svma(&mut self, file: &ExecutableFile, offset: u64) -> Option<u64> {
        self.ask(file, &[], |known| known.svma(offset))
    }

    /// Asks a file about these svmas.
    fn ask<T>(
        &mut self,
        file: &ExecutableFile,
        svmas: &[u64],
        question: impl FnOnce(&NativeFile) -> T,
    ) -> T {
        let key = Key::File(file.id);
        if let Some(Content::File(known)) = self.touch(key) {
            return question(known);
        }
        let loaded = self.load(file, svmas);
        let answer = question(&loaded);
        // One that knows these svmas alone is of no further use.
        if loaded.is_whole() {
            let bytes = loaded.bytes();
            self.keep(key, Content::File(Box::new(loaded)), bytes);
        }
        answer
    }

    fn load(&mut self, file: &ExecutableFile, svmas: &[u64]) -> NativeFile {
        let (loaded, errors) = NativeFile::load(file, &self.options, svmas);
        for error in errors {
            self.report(&file.path, error);
        }
        loaded
    }

    /// The function at a kernel address. The symbols are read again for one that is not known,
    /// since modules and BPF programs come and go, but not often.
    pub fn kernel(&mut self, address: u64) -> Option<Symbol> {
        if self.kernel.is_none() {
            self.reload_kernel();
        }
        let found = self.kernel.as_ref()?.get(address);
        let old = |loaded: Instant| loaded.elapsed() >= KERNEL_INTERVAL;
        if found.is_some() || !self.kernel_loaded.is_some_and(old) {
            return found;
        }
        self.reload_kernel();
        self.kernel.as_ref()?.get(address)
    }

    /// How often the kernel's symbols were read: with each time what was known of them is old.
    pub fn kernel_loads(&self) -> u64 {
        self.kernel_loads
    }

    /// Reads the kernel's symbols again: modules and BPF programs come and go.
    pub fn reload_kernel(&mut self) {
        let loaded = KernelSymbols::load().unwrap_or_else(|error| {
            self.report("kernel", error);
            KernelSymbols::default()
        });
        self.kernel = Some(loaded);
        self.kernel_loaded = Some(Instant::now());
        self.kernel_loads += 1;
    }

    /// The function at an avma of JIT code, by the process's perf map.
    pub fn perf_map(&mut self, process: ProcessId, map: &Source, avma: u64) -> Option<Symbol> {
        self.perf_map_batch(process, map, &[avma]).pop().flatten()
    }

    /// Same as [`Self::perf_map`] for each of `avmas`. The map is read again if it has changed.
    pub fn perf_map_batch(
        &mut self,
        process: ProcessId,
        map: &Source,
        avmas: &[u64],
    ) -> Vec<Option<Symbol>> {
        let key = Key::Map(process);
        let stamp = stamp(map);
        let known = match self.touch(key) {
            Some(Content::Map(_, known)) => Some(*known),
            _ => None,
        };
        if known != Some(stamp) {
            let loaded = PerfMap::load(map).unwrap_or_else(|error| {
                self.report(&format!("perf map of process {}", process.pid), error);
                PerfMap::default()
            });
            let bytes = loaded.bytes();
            self.keep(key, Content::Map(loaded, stamp), bytes);
        }
        match self.touch(key) {
            Some(Content::Map(map, _)) => avmas.iter().map(|avma| map.get(*avma)).collect(),
            _ => vec![None; avmas.len()],
        }
    }

    /// Drops what was kept of a process that is gone.
    pub fn forget_process(&mut self, process: ProcessId) {
        self.cache.remove(&Key::Map(process));
    }

    /// What went wrong since the last call, and how many more problems there were.
    pub fn take_problems(&mut self) -> (Vec<Problem>, u64) {
        let dropped = std::mem::take(&mut self.problems_dropped);
        (std::mem::take(&mut self.problems), dropped)
    }

    /// Memory of what is kept of files and perf maps.
    pub fn cached_bytes(&self) -> usize {
        self.cache.values().map(|cached| cached.bytes).sum()
    }

    /// Estimate of the memory in use.
    pub fn bytes(&self) -> usize {
        self.cached_bytes() + self.kernel.as_ref().map_or(0, KernelSymbols::bytes)
    }

    fn touch(&mut self, key: Key) -> Option<&Content> {
        self.clock += 1;
        let cached = self.cache.get_mut(&key)?;
        cached.used = self.clock;
        Some(&cached.content)
    }

    /// Puts something into the cache; what was not used for the longest time makes room for it.
    fn keep(&mut self, key: Key, content: Content, bytes: usize) {
        self.cache.remove(&key);
        let bytes = bytes + ENTRY_BYTES;
        self.make_room(bytes);
        self.clock += 1;
        let used = self.clock;
        let cached = Cached {
            content,
            bytes,
            used,
        };
        self.cache.insert(key, cached);
    }

    /// Nothing is in use for now: also a file that is larger than the cache leaves it.
    pub fn trim(&mut self) {
        self.make_room(0);
    }

    fn make_room(&mut self, bytes: usize) {
        let cached = self.cache.values().map(|cached| cached.bytes);
        let mut total = bytes + cached.sum::<usize>();
        while total > self.options.cache_bytes {
            let oldest = self.cache.iter().min_by_key(|(_, cached)| cached.used);
            let Some(oldest) = oldest.map(|(key, _)| *key) else {
                break;
            };
            let removed = self.cache.remove(&oldest);
            total -= removed.map_or(0, |cached| cached.bytes);
        }
    }

    fn report(&mut self, subject: &str, error: SymbolError) {
        if self.problems.len() >= PROBLEMS_LIMIT {
            self.problems_dropped += 1;
            return;
        }
        let subject = subject.to_owned();
        self.problems.push(Problem { subject, error });
    }
}

fn stamp(map: &Source) -> Stamp {
    match map {
        Source::File(file) => file.metadata().map_or((0, 0, 0, 0), |metadata| {
            let (seconds, nanoseconds) = (metadata.mtime(), metadata.mtime_nsec());
            (metadata.ino(), metadata.len(), seconds, nanoseconds)
        }),
        Source::Bytes(bytes) => (bytes.as_ptr() as u64, bytes.len() as u64, 0, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symbolizer_may_work_on_another_thread() {
        fn is_send<T: Send>() {}
        is_send::<Symbolizer>();
    }

    #[test]
    fn a_perf_map_is_read_again_when_it_grows() {
        let path = std::env::temp_dir().join(format!("strata-map-{}", std::process::id()));
        std::fs::write(&path, "1000 10 first\n").unwrap();
        let map = Source::File(std::fs::File::open(&path).unwrap().into());
        let process = ProcessId::default();
        let mut symbolizer = Symbolizer::new(Options::default());
        let mut name = |avma| {
            let symbol = symbolizer.perf_map(process, &map, avma)?;
            Some(symbol.name.to_string())
        };
        assert_eq!(name(0x1000).as_deref(), Some("first"));
        assert_eq!(name(0x2000), None);
        std::fs::write(&path, "1000 10 first\n2000 10 second\n").unwrap();
        assert_eq!(name(0x2000).as_deref(), Some("second"));
        symbolizer.forget_process(process);
        assert_eq!(symbolizer.bytes(), 0);
        std::fs::remove_file(&path).unwrap();
    }
}
