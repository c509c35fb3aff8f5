//! What runs when the agent starts: all processes, and the files that they execute. Read once; from
//! then on the kernel side tells of new ones.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufReader};
use std::ops::Range;

use super::identity::ProcessHandle;
use super::maps::{Mapping, read_maps};
use super::stat::Stat;

/// Most mappings that are kept, all processes together: 80 MB of them.
const USES: usize = 1 << 20;

/// A user process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedProcess {
    pub pid: u32,
    /// Start in clock ticks since boot.
    pub start_ticks: u64,
    pub comm: Vec<u8>,
}

/// A file of which parts are mapped executable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedFile {
    /// Device and inode as `/proc/PID/maps` has them ([`super::file_id::Wanted::Listed`]).
    pub device: u64,
    pub inode: u64,
    /// Its path in the first process's root, to show.
    pub path: Vec<u8>,
    pub uses: Vec<Use>,
}

/// Where a process has an executable part of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// Index in [`List::processes`].
    pub process: u32,
    pub avma: Range<u64>,
    pub offset: u64,
}

/// What was found, and what was not looked at.
#[derive(Debug, Default)]
pub struct List {
    pub processes: Vec<ListedProcess>,
    /// Those that most processes use come first.
    pub files: Vec<ListedFile>,
    /// Processes that ended meanwhile, or had ended before.
    pub gone: u64,
    /// Processes whose mappings this user may not read.
    pub denied: u64,
    /// Mappings beyond what is kept, and lines that are none.
    pub left_out: u64,
}

/// Lists processes and files. About 0.2 ms a process.
pub fn list() -> List {
    let mut list = List::default();
    let mut places = HashMap::new();
    let mut uses = 0;
    for pid in pids() {
        let (process, maps) = match user_process(pid) {
            Ok(Some(found)) => found,
            Ok(None) => continue,
            Err(_) => {
                list.gone += 1;
                continue;
            }
        };
        let index = list.processes.len() as u32;
        let added = read_maps_at(&maps, |mapping| {
            if uses == USES {
                list.left_out += 1;
                return;
            }
            uses += 1;
            let key = (mapping.device, mapping.inode);
            let place = *places.entry(key).or_insert_with(|| {
                let (device, inode, path) = (mapping.device, mapping.inode, mapping.path());
                list.files.push(ListedFile {
                    device,
                    inode,
                    path,
                    uses: Vec::new(),
                });
                list.files.len() - 1
            });
            let (avma, offset) = (mapping.avma.clone(), mapping.offset);
            list.files[place].uses.push(Use {
                process: index,
                avma,
                offset,
            });
        });
        match added {
            Ok(left_out) => list.left_out += left_out,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => list.denied += 1,
            Err(_) => list.gone += 1,
        }
        // Kept whatever its mappings gave: it can be sampled.
        list.processes.push(process);
    }
    list.files
        .sort_by_key(|file| std::cmp::Reverse(file.uses.len()));
    list
}

/// Numbers of all processes in `/proc`.
pub fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// A process that has memory of its own, and the path of its `maps`.
fn user_process(pid: u32) -> io::Result<Option<(ListedProcess, String)>> {
    let text = fs::read(format!("/proc/{pid}/stat"))?;
    let stat = Stat::parse(&text).ok_or(io::ErrorKind::InvalidData)?;
    if stat.kernel_thread {
        return Ok(None);
    }
    if stat.ended() {
        return Err(io::ErrorKind::NotFound.into());
    }
    // Once its first thread has ended, only the others tell of its memory.
    let place = match stat.state {
        b'Z' => ProcessHandle::open(pid).and_then(|process| process.living()),
        _ => Ok(String::new()),
    };
    let maps = format!("/proc/{pid}/{}maps", place.map_err(io::Error::other)?);
    let (start_ticks, comm) = (stat.start_ticks, stat.comm);
    Ok(Some((
        ListedProcess {
            pid,
            start_ticks,
            comm,
        },
        maps,
    )))
}

/// Gives each executable mapping of a file to `each`.
fn read_maps_at(path: &str, mut each: impl FnMut(&Mapping<'_>)) -> io::Result<u64> {
    let maps = File::open(path)?;
    // The kernel fills a page at a time, whatever the buffer.
    read_maps(BufReader::with_capacity(4096, maps), |mapping| {
        if mapping.executable && mapping.is_file() {
            each(mapping);
        }
        true
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;
    use std::process::Command;
    use std::time::Instant;

    use super::*;

    #[test]
    fn finds_a_child_and_its_files() {
        let mut child = Command::new("sleep").arg("100").spawn().expect("sleep");
        let started = Instant::now();
        let list = list();
        let took = started.elapsed();
        let (processes, files) = (list.processes.len(), list.files.len());
        let uses: usize = list.files.iter().map(|file| file.uses.len()).sum();
        println!("{processes} processes, {files} files, {uses} mappings in {took:?}");
        child.kill().expect("kill");
        child.wait().expect("wait");

        let index = list
            .processes
            .iter()
            .position(|process| process.pid == child.id());
        let index = index.expect("the child") as u32;
        assert_eq!(list.processes[index as usize].comm, b"sleep");
        let inode = fs::metadata("/bin/sleep").expect("sleep").ino();
        let file = list
            .files
            .iter()
            .find(|file| file.inode == inode)
            .expect("its file");
        assert!(file.uses.iter().any(|place| place.process == index));
        assert!(file.path.ends_with(b"/sleep"));
        // Kernel threads: the second process of a machine is one.
        let is_kernel =
            fs::read("/proc/2/stat").is_ok_and(|text| text.starts_with(b"2 (kthreadd)"));
        if is_kernel {
            assert!(list.processes.iter().all(|process| process.pid != 2));
        }
    }

    #[test]
    fn a_process_that_is_gone() {
        assert!(user_process(0).is_err());
        assert!(read_maps_at("/proc/0/maps", |_| {}).is_err());
    }
}
