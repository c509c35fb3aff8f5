//! The committed object: into the kernel, with this machine's offsets and sizes.

use std::collections::HashMap as StdHashMap;
use std::thread;
use std::time::{Duration, Instant};

use aya::maps::{Array, HashMap, MapData, MapError, ProgramArray};
use aya::programs::perf_event::{
    HardwareEvent, PerfEventConfig, PerfEventLinkId, PerfEventScope, SamplePolicy, SoftwareEvent,
};
use aya::programs::{PerfEvent, Program, ProgramError, RawTracePoint};
use aya::{Ebpf, EbpfLoader, include_bytes_aligned};

use agent_common::executable::{Executable, FileId};
use agent_common::filter::{CGROUP_POLICIES, FILTER_POLICY, PidFilter};
use agent_common::kernel::{Control, Settings};
use agent_common::process::ProcessId;
use agent_common::python::{ProcessPython, PythonOffsets};

use super::kernel::kernel_offsets;
use super::load_error::{LoadError, attach_error};
use super::plain::Plain;
use crate::process::rights::paranoid_of_perfmon;

/// The kernel side, built by `cargo xtask ebpf` and committed.
static OBJECT: &[u8] = include_bytes_aligned!("strata.bpf.o");

/// Entry program and the stages that it enters, in the order of the stage numbers in
/// `agent-ebpf/src/stages.rs`.
const ENTRY: &str = "on_sample";
const STAGES: [&str; 5] = [
    "on_sample_native",
    "on_sample_python",
    "on_sample_emit",
    "on_sample_codes",
    "on_sample_defer",
];

/// Sampling of one CPU.
pub struct Link(PerfEventLinkId);

/// What is sampled on each CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The CPU's clock.
    CpuClock,
    /// Cycles of the hardware counter.
    Cycles,
}

/// What the program is loaded with.
pub struct Options {
    pub settings: Settings,
    /// Size of the ring buffer in bytes, a power of two.
    pub ring_bytes: u32,
    /// CPUs that may ever be there.
    pub possible_cpus: u32,
}

/// What the verifier went through for one program.
#[derive(Debug)]
pub struct Verified {
    pub program: String,
    /// Instructions that the verifier processed (5.16+).
    pub instructions: Option<u32>,
    /// How long the kernel took to load it: to verify, above all. None: it was not loaded.
    pub took: Option<Duration>,
}

/// The loaded kernel side.
pub struct Loaded {
    ebpf: Ebpf,
    /// Tail-call table; the programs in it stay as long as it does.
    _stages: ProgramArray<MapData>,
    executables: HashMap<MapData, Plain<FileId>, Plain<Executable>>,
    vdso: Array<MapData, Plain<Executable>>,
    pids: HashMap<MapData, u32, Plain<PidFilter>>,
    cgroups: HashMap<MapData, u64, u32>,
    pythons: Array<MapData, Plain<PythonOffsets>>,
    process_python: HashMap<MapData, Plain<ProcessId>, Plain<ProcessPython>>,
    stacks_sent: Array<MapData, u64>,
    control: Array<MapData, Plain<Control>>,
    control_value: Control,
    /// How long each program took to load.
    took: StdHashMap<&'static str, Duration>,
}

impl Loaded {
    /// Loads maps and programs. Nothing is sampled yet.
    pub fn load(options: &Options) -> Result<Self, LoadError> {
        raise_memlock_limit();
        let kernel = Plain(kernel_offsets()?);
        let settings = Plain(Settings {
            identify_slot: options.possible_cpus,
            ..options.settings
        });
        let policies = match settings.0.filter & FILTER_POLICY {
            0 => 1,
            _ => CGROUP_POLICIES,
        };
        let mut loader = EbpfLoader::new();
        loader
            .override_global("KERNEL", &kernel, true)
            .override_global("SETTINGS", &settings, true)
            .map_max_entries("EVENTS", options.ring_bytes)
            .map_max_entries("SCRATCH", options.possible_cpus + 1)
            .map_max_entries("CGROUP_POLICIES", policies);
        let mut ebpf = loader.load(OBJECT).map_err(LoadError::Map)?;

        let took = load_programs(&mut ebpf)?;
        let mut stages =
            ProgramArray::try_from(take(&mut ebpf, "STAGES")?).map_err(access("STAGES"))?;
        for (number, name) in STAGES.iter().enumerate() {
            let program: &mut PerfEvent = program(&mut ebpf, name)?;
            let fd = program.fd().map_err(|source| program_error(name, source))?;
            stages.set(number as u32, fd, 0).map_err(access("STAGES"))?;
        }
        Ok(Self {
            _stages: stages,
            executables: map(take(&mut ebpf, "EXECUTABLES")?, "EXECUTABLES")?,
            vdso: array(take(&mut ebpf, "VDSO")?, "VDSO")?,
            pids: map(take(&mut ebpf, "PIDS")?, "PIDS")?,
            cgroups: map(take(&mut ebpf, "CGROUPS")?, "CGROUPS")?,
            pythons: array(take(&mut ebpf, "PYTHONS")?, "PYTHONS")?,
            process_python: map(take(&mut ebpf, "PROCESS_PYTHON")?, "PROCESS_PYTHON")?,
            stacks_sent: array(take(&mut ebpf, "STACKS_SENT")?, "STACKS_SENT")?,
            control: array(take(&mut ebpf, "CONTROL")?, "CONTROL")?,
            control_value: Control::default(),
            took,
            ebpf,
        })
    }

    /// A map that another file of this room works with.
    pub(super) fn take(&mut self, name: &'static str) -> Result<aya::maps::Map, LoadError> {
        take(&mut self.ebpf, name)
    }

    /// Loads a raw tracepoint program.
    pub(super) fn load_raw(&mut self, name: &'static str) -> Result<&mut RawTracePoint, LoadError> {
        let program: &mut RawTracePoint = program(&mut self.ebpf, name)?;
        let begin = Instant::now();
        program
            .load()
            .map_err(|source| program_error(name, source))?;
        self.took.insert(name, begin.elapsed());
        Ok(program)
    }

    pub(super) fn program(&self, name: &str) -> Option<&Program> {
        self.ebpf.program(name)
    }

    /// Begins to follow forks, for `--children`.
    pub fn follow_forks(&mut self) -> Result<(), LoadError> {
        let name = "on_fork";
        self.load_raw(name)?
            .attach("sched_process_fork")
            .map_err(|source| program_error(name, source))?;
        Ok(())
    }

    /// Starts sampling on one CPU, `rate` times a second.
    pub fn attach(&mut self, cpu: u32, event: Event, rate: u64) -> Result<Link, LoadError> {
        let program: &mut PerfEvent = program(&mut self.ebpf, ENTRY)?;
        let config = match event {
            Event::CpuClock => PerfEventConfig::Software(SoftwareEvent::CpuClock),
            Event::Cycles => PerfEventConfig::Hardware(HardwareEvent::CpuCycles),
        };
        let scope = PerfEventScope::AllProcessesOneCpu { cpu };
        program
            .attach(config, scope, SamplePolicy::Frequency(rate), false)
            .map(Link)
            .map_err(|source| attach_error(cpu, event, source, paranoid_of_perfmon()))
    }

    /// Ends sampling on a CPU.
    pub fn detach(&mut self, link: Link) -> Result<(), LoadError> {
        let program: &mut PerfEvent = program(&mut self.ebpf, ENTRY)?;
        program
            .detach(link.0)
            .map_err(|source| program_error(ENTRY, source))
    }

    /// Makes the kernel side send the bodies of stacks and code objects again.
    pub fn next_epoch(&mut self) -> Result<(), LoadError> {
        self.control_value.epoch = self.control_value.epoch.wrapping_add(1);
        self.write_control()
    }

    fn write_control(&mut self) -> Result<(), LoadError> {
        self.control
            .set(0, Plain(self.control_value), 0)
            .map_err(access("CONTROL"))
    }

    /// What the verifier went through, program by program.
    pub fn verified(&self) -> Vec<Verified> {
        self.ebpf
            .programs()
            .filter_map(|(name, program)| {
                let info = program.info().ok()?;
                Some(Verified {
                    program: name.to_owned(),
                    instructions: info.verified_instruction_count(),
                    took: self.took.get(name).copied(),
                })
            })
            .collect()
    }
}

/// Loads the entry program and its stages, each on a thread of its own: the verifier takes a third
/// of a second for the largest. Gives how long each took.
fn load_programs(ebpf: &mut Ebpf) -> Result<StdHashMap<&'static str, Duration>, LoadError> {
    let wanted = || [ENTRY].into_iter().chain(STAGES);
    let results: Vec<_> = thread::scope(|scope| {
        let loading: Vec<_> = ebpf
            .programs_mut()
            .filter_map(|(own, program)| Some((wanted().find(|name| *name == own)?, program)))
            .map(|(name, program)| {
                scope.spawn(move || -> Result<_, LoadError> {
                    let program: &mut PerfEvent = program
                        .try_into()
                        .map_err(|source| program_error(name, source))?;
                    let begin = Instant::now();
                    program
                        .load()
                        .map_err(|source| program_error(name, source))?;
                    Ok((name, begin.elapsed()))
                })
            })
            .collect();
        loading
            .into_iter()
            .map(|thread| thread.join().unwrap_or(Err(LoadError::Missing(ENTRY))))
            .collect()
    });
    let took: StdHashMap<_, _> = results.into_iter().collect::<Result<_, _>>()?;
    match wanted().find(|name| !took.contains_key(name)) {
        Some(name) => Err(LoadError::Missing(name)),
        None => Ok(took),
    }
}

/// A program of the object, of the kind that it is.
fn program<'a, P>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut P, LoadError>
where
    &'a mut P: TryFrom<&'a mut Program, Error = ProgramError>,
{
    ebpf.program_mut(name)
        .ok_or(LoadError::Missing(name))?
        .try_into()
        .map_err(|source| program_error(name, source))
}

fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<aya::maps::Map, LoadError> {
    ebpf.take_map(name).ok_or(LoadError::Missing(name))
}

fn map<K: aya::Pod, V: aya::Pod>(
    map: aya::maps::Map,
    name: &'static str,
) -> Result<HashMap<MapData, K, V>, LoadError> {
    HashMap::try_from(map).map_err(access(name))
}

fn array<V: aya::Pod>(
    map: aya::maps::Map,
    name: &'static str,
) -> Result<Array<MapData, V>, LoadError> {
    Array::try_from(map).map_err(access(name))
}

/// What a map's error means.
pub(super) fn access(map: &'static str) -> impl FnOnce(MapError) -> LoadError {
    move |source| LoadError::Access { map, source }
}

/// The result of taking an entry out that may not be there.
pub(super) fn absent_is_fine(
    removed: Result<(), MapError>,
    map: &'static str,
) -> Result<(), LoadError> {
    match removed {
        Err(MapError::SyscallError(error))
            if error.io_error.kind() == std::io::ErrorKind::NotFound =>
        {
            Ok(())
        }
        removed => removed.map_err(access(map)),
    }
}

fn program_error(program: &str, source: ProgramError) -> LoadError {
    LoadError::Program {
        program: program.to_owned(),
        source,
    }
}

/// Maps count against this limit below 5.11. Where it may not be raised, newer kernels don't need
/// it, and an older one's refusal to make a map says so.
fn raise_memlock_limit() {
    let limit = libc::rlimit {
        rlim_cur: libc::RLIM_INFINITY,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: `limit` is a valid pointer for the call.
    unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit) };
}

/// What the agent tells the kernel side while it runs.
impl Loaded {
    /// Describes a file, or describes it anew.
    pub fn set_executable(&mut self, key: &FileId, entry: &Executable) -> Result<(), LoadError> {
        self.executables
            .insert(Plain(*key), Plain(*entry), 0)
            .map_err(access("EXECUTABLES"))?;
        self.next_generation()
    }

    /// Takes away what was said of a file. It is announced again when it is sampled.
    pub fn remove_executable<'a>(
        &mut self,
        keys: impl Iterator<Item = &'a FileId>,
    ) -> Result<(), LoadError> {
        for key in keys {
            absent_is_fine(self.executables.remove(&Plain(*key)), "EXECUTABLES")?;
        }
        self.next_generation()
    }

    /// Makes the kernel side look the entries up again.
    fn next_generation(&mut self) -> Result<(), LoadError> {
        self.control_value.generation = self.control_value.generation.wrapping_add(1);
        self.write_control()
    }

    pub fn set_vdso(&mut self, entry: &Executable) -> Result<(), LoadError> {
        self.vdso.set(0, Plain(*entry), 0).map_err(access("VDSO"))?;
        self.next_generation()
    }

    /// Gives an interpreter's offsets their slot.
    pub fn set_python(&mut self, slot: u32, offsets: &PythonOffsets) -> Result<(), LoadError> {
        self.pythons
            .set(slot, Plain(*offsets), 0)
            .map_err(access("PYTHONS"))
    }

    pub fn set_process_python(
        &mut self,
        process: &ProcessId,
        python: &ProcessPython,
    ) -> Result<(), LoadError> {
        self.process_python
            .insert(Plain(*process), Plain(*python), 0)
            .map_err(access("PROCESS_PYTHON"))
    }

    /// Takes that away again.
    pub fn remove_process_python(&mut self, process: &ProcessId) -> Result<(), LoadError> {
        absent_is_fine(
            self.process_python.remove(&Plain(*process)),
            "PROCESS_PYTHON",
        )
    }

    /// Processes whose interpreter has this slot.
    pub fn processes_of_python(&self, slot: u32) -> Vec<ProcessId> {
        let entries = self.process_python.iter().filter_map(Result::ok);
        entries
            .filter(|(_, python)| python.0.python == slot + 1)
            .map(|(process, _)| process.0)
            .collect()
    }

    /// Makes the kernel side send the bodies of these stacks again, each with its next sample.
    pub fn forget_stacks(&mut self, stacks: impl Iterator<Item = u64>) -> Result<(), LoadError> {
        let slots = self.stacks_sent.len();
        for stack in stacks {
            // As the kernel side finds its slot.
            let slot = (stack as u32 >> 1) & (slots - 1);
            self.stacks_sent
                .set(slot, 0, 0)
                .map_err(access("STACKS_SENT"))?;
        }
        Ok(())
    }

    /// Takes a process into the filter.
    pub fn add_pid(&mut self, pid: u32, filter: &PidFilter) -> Result<(), LoadError> {
        self.pids
            .insert(pid, Plain(*filter), 0)
            .map_err(access("PIDS"))
    }

    /// Takes a cgroup, by its kernfs id, into the filter.
    pub fn add_cgroup(&mut self, id: u64) -> Result<(), LoadError> {
        self.cgroups.insert(id, 1, 0).map_err(access("CGROUPS"))
    }
}
