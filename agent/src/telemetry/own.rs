//! What the agent itself takes of the machine: of /proc/self, when somebody asks.

use std::fs;
use std::io::Read;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};

/// For how long what was read holds: whoever asks all the time shall not make the agent work.
const FRESH: Duration = Duration::from_secs(1);
/// Most descriptors that are looked at.
const DESCRIPTORS: usize = 16_384;
/// Of a file in /proc; far more than these have.
const LONGEST: u64 = 64 << 10;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Own {
    pub cpu: Duration,
    pub resident: u64,
    /// Memory that is no file's: the part of `resident` that the agent made itself.
    pub anonymous: u64,
    pub virtual_memory: u64,
    pub threads: u64,
    pub descriptors: u64,
    pub most_descriptors: u64,
    /// Kernel memory of maps and programs.
    pub maps: u64,
    pub programs: u64,
    /// Zero unless the kernel is told to measure (kernel.bpf_stats_enabled).
    pub program_time: Duration,
}

/// The last reading.
#[derive(Default)]
pub struct Cached(Mutex<Option<(Instant, Own)>>);

impl Cached {
    pub fn get(&self, now: Instant) -> Own {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match *last {
            Some((at, own)) if now.saturating_duration_since(at) < FRESH => own,
            _ => {
                let own = read();
                *last = Some((now, own));
                own
            }
        }
    }
}

/// What can't be read stays zero.
fn read() -> Own {
    let mut own = Own::default();
    if let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) {
        own.cpu = [usage.user_time(), usage.system_time()]
            .into_iter()
            .map(|time| {
                let micros = time.tv_sec() as i128 * 1_000_000 + time.tv_usec() as i128;
                Duration::from_micros(u64::try_from(micros).unwrap_or(0))
            })
            .sum();
    }
    if let Ok((soft, _)) = getrlimit(Resource::RLIMIT_NOFILE) {
        own.most_descriptors = soft;
    }
    if let Some(status) = text("/proc/self/status") {
        own.take_status(&status);
    }
    own.take_descriptors();
    own
}

fn text(path: &str) -> Option<String> {
    let mut text = String::new();
    let file = fs::File::open(path).ok()?;
    file.take(LONGEST).read_to_string(&mut text).ok()?;
    Some(text)
}

impl Own {
    fn take_status(&mut self, status: &str) {
        let kib = |key| field(status, key).unwrap_or(0).saturating_mul(1024);
        self.resident = kib("VmRSS");
        self.anonymous = kib("RssAnon");
        self.virtual_memory = kib("VmSize");
        self.threads = field(status, "Threads").unwrap_or(0);
    }

    fn take_descriptors(&mut self) {
        let Ok(entries) = fs::read_dir("/proc/self/fd") else {
            return;
        };
        for entry in entries.flatten().take(DESCRIPTORS) {
            // The one that this loop reads with closes again, so its link is gone or the folder's.
            let Ok(target) = fs::read_link(entry.path()) else {
                continue;
            };
            self.descriptors += 1;
            let target = target.as_os_str().as_encoded_bytes();
            let (memory, is_program) = match target {
                b"anon_inode:bpf-map" => (&mut self.maps, false),
                b"anon_inode:bpf-prog" => (&mut self.programs, true),
                _ => continue,
            };
            let name = entry.file_name();
            let info = text(&format!("/proc/self/fdinfo/{}", name.to_string_lossy()));
            let info = info.unwrap_or_default();
            *memory += field(&info, "memlock").unwrap_or(0);
            if is_program {
                let time = field(&info, "run_time_ns").unwrap_or(0);
                self.program_time += Duration::from_nanos(time);
            }
        }
        // The listing's own.
        self.descriptors = self.descriptors.saturating_sub(1);
    }
}

/// The number behind `key:` in lines as /proc has them.
fn field(text: &str, key: &str) -> Option<u64> {
    let rest = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_by_their_whole_name() {
        let text = "VmSize:\t  12 kB\nRssAnonX:\t3 kB\nRssAnon:\t 4096 kB\nThreads:\t7\nodd: x\n";
        assert_eq!(field(text, "RssAnon"), Some(4096));
        assert_eq!(field(text, "Rss"), None);
        assert_eq!(field(text, "odd"), None);
        let mut own = Own::default();
        own.take_status(text);
        assert_eq!((own.anonymous, own.threads), (4 << 20, 7));
        assert_eq!((own.virtual_memory, own.resident), (12 << 10, 0));
    }

    #[test]
    fn descriptors_and_memory_are_this_process_s() {
        // Kept, not dropped: many enough to stand out from what other tests open and close.
        let files: Vec<fs::File> = (0..200)
            .map(|_| fs::File::open("/proc/self/stat").unwrap())
            .collect();
        let own = read();
        assert!(own.descriptors >= 200, "{own:?}");
        assert!(own.most_descriptors >= own.descriptors, "{own:?}");
        assert!(own.threads >= 1 && own.resident >= own.anonymous, "{own:?}");
        assert!(own.anonymous > 0 && own.cpu > Duration::ZERO, "{own:?}");
        drop(files);
    }

    #[test]
    fn who_asks_at_once_again_gets_the_same() {
        let cached = Cached::default();
        let now = Instant::now();
        let first = cached.get(now);
        assert_eq!(cached.get(now + FRESH / 2), first);
    }
}
