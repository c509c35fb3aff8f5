//! Live tests on real processes. What takes root or a tool that is not there is skipped by name.

use std::os::unix::fs::{self as unix, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};
use std::{fs, thread};

use super::*;
use crate::process::file_id::Filesystem;

/// A process that is ended with its test.
struct Victim(Child);

impl Victim {
    fn start(command: &mut Command) -> Self {
        Self(command.spawn().expect("start the victim"))
    }

    fn handle(&self) -> ProcessHandle {
        ProcessHandle::open(self.0.id()).expect("the victim")
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A directory that goes with its test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(parent: &str, name: &str) -> Self {
        let path = Path::new(parent).join(format!("strata-open-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("scratch directory");
        Self(path)
    }

    fn copy_of_sleep(&self, name: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::copy("/bin/sleep", &path).expect("copy of sleep");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Where a process has executable code of a file whose path ends so. Waits until it is there.
fn code_of(process: &ProcessHandle, name: &str) -> Range<u64> {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(10) {
        let place = process.living().unwrap_or_default();
        let text = process
            .read(&format!("{place}maps"), 1 << 20)
            .unwrap_or_default();
        let mut found = None;
        read_maps(&*text, |mapping| {
            if mapping.executable && mapping.path().ends_with(name.as_bytes()) {
                found = Some(mapping.avma.clone());
            }
            found.is_none()
        })
        .expect("maps");
        if let Some(found) = found {
            return found;
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("{name} is not mapped");
}

fn stat(path: &Path) -> FileStat {
    FileStat::of(&File::open(path).expect("open")).expect("stat")
}

fn opened_inode(file: &ExecutableFile) -> u64 {
    file.file.metadata().expect("stat").ino()
}

#[test]
fn announced_and_listed() {
    let scratch = Scratch::new("/tmp", "plain");
    let path = scratch.copy_of_sleep("a b\n(deleted)");
    let victim = Victim::start(Command::new(&path).arg("100"));
    let process = victim.handle();
    let avma = code_of(&process, "a b\n(deleted)");
    let id = stat(&path).id;
    let file = open_executable(&process, &avma, &Wanted::Announced(&id)).expect("announced");
    assert_eq!((file.id, opened_inode(&file)), (id, id.inode));
    let wanted = Wanted::Listed {
        device: id.device,
        inode: id.inode,
    };
    let file = open_executable(&process, &avma, &wanted).expect("listed");
    assert_eq!(file.id, id);
    // A mapping that was cut in two since.
    let half = avma.start + 0x1000..avma.end;
    let file = open_executable(&process, &half, &Wanted::Announced(&id)).expect("moved");
    assert_eq!(file.id, id);
}

#[test]
fn unlinked() {
    let scratch = Scratch::new("/tmp", "unlinked");
    let path = scratch.copy_of_sleep("sleeper");
    let held = File::open(&path).expect("open");
    let victim = Victim::start(Command::new(&path).arg("100"));
    let process = victim.handle();
    let avma = code_of(&process, "/sleeper");
    let before = stat(&path).id;
    thread::sleep(Duration::from_millis(20));
    fs::remove_file(&path).expect("unlink");
    // Another file of the same content takes its name.
    scratch.copy_of_sleep("sleeper");

    let after = FileStat::of(&held).expect("stat").id;
    assert_ne!(before, after, "an unlink changes the change time");
    let error = open_executable(&process, &avma, &Wanted::Announced(&before));
    assert!(matches!(
        error,
        Err(OpenError::Changed { .. } | OpenError::Replaced { .. })
    ));
    match open_executable(&process, &avma, &Wanted::Announced(&after)) {
        Ok(file) => assert_eq!(opened_inode(&file), after.inode),
        Err(error) => eprintln!("skipped: unlinked files take CAP_CHECKPOINT_RESTORE: {error}"),
    }
}

#[test]
fn by_path_alone() {
    let scratch = Scratch::new("/tmp", "path");
    let path = scratch.copy_of_sleep("program");
    let id = stat(&path).id;
    let other = scratch.copy_of_sleep("other");
    let fifo = scratch.0.join("fifo");
    assert!(
        Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .expect("mkfifo")
            .success()
    );
    let process = ProcessHandle::open(std::process::id()).expect("this process");
    let wanted = Wanted::Announced(&id);
    let search = Search {
        process: &process,
        start: 0,
        wanted: &wanted,
    };
    let root = sys::path_at(process.directory(), c"root").expect("our root");
    let attempt = |path: &Path| {
        let mut failure = None;
        let name = c_name(path.as_os_str().as_encoded_bytes());
        let found = search.attempt(sys::path_in_root(root.as_fd(), &name), &mut failure);
        found.expect("no end of the search").ok_or(failure)
    };
    assert_eq!(attempt(&path).expect("the program").id, id);
    assert!(matches!(
        attempt(&other),
        Err(Some(OpenError::Replaced { .. }))
    ));
    // Neither blocks, nor opens the device.
    assert!(matches!(
        attempt(&fifo),
        Err(Some(OpenError::NoFile { .. }))
    ));
    assert!(matches!(
        attempt(Path::new("/dev/zero")),
        Err(Some(OpenError::NoFile { .. }))
    ));
    assert!(matches!(
        attempt(&scratch.0),
        Err(Some(OpenError::NoFile { .. }))
    ));
    let nowhere = attempt(&scratch.0.join("nothing"));
    assert!(matches!(nowhere, Err(Some(OpenError::Unreadable { .. }))));
}

#[test]
fn links_do_not_lead_out_of_the_root() {
    let scratch = Scratch::new("/tmp", "root");
    let inside = scratch.0.join("bin");
    fs::create_dir(&inside).expect("directory");
    fs::copy("/bin/sleep", inside.join("sleep")).expect("copy");
    unix::symlink("/bin/sleep", scratch.0.join("absolute")).expect("link");
    unix::symlink("../../../../../bin/sleep", scratch.0.join("upwards")).expect("link");
    unix::symlink("/proc/self/exe", scratch.0.join("magic")).expect("link");
    let root = File::open(&scratch.0).expect("root");
    let inode = fs::metadata(inside.join("sleep")).expect("stat").ino();
    for name in [c"absolute", c"upwards", c"/bin/sleep", c"../../bin/sleep"] {
        let file = File::from(sys::path_in_root(root.as_fd(), name).expect("inside"));
        assert_eq!(file.metadata().expect("stat").ino(), inode, "{name:?}");
    }
    assert!(sys::path_in_root(root.as_fd(), c"magic").is_err());
}

#[test]
fn on_tmpfs_the_kernels_generation_is_believed() {
    if !Path::new("/dev/shm").is_dir() {
        eprintln!("skipped: no tmpfs at /dev/shm");
        return;
    }
    let scratch = Scratch::new("/dev/shm", "tmpfs");
    let path = scratch.copy_of_sleep("program");
    let victim = Victim::start(Command::new(&path).arg("100"));
    let process = victim.handle();
    let avma = code_of(&process, "/program");
    let known = stat(&path);
    assert!(!known.generation_known);
    let id = FileId {
        generation: 0xDEAD_BEEF,
        ..known.id
    };
    let file = open_executable(&process, &avma, &Wanted::Announced(&id)).expect("announced");
    assert_eq!(file.id, id);
}

#[test]
fn overlay_in_a_mount_namespace() {
    // Neither of its directories may be on an overlay itself.
    let scratch = Scratch::new("/tmp", "overlay");
    for name in ["lower", "upper", "work", "merged"] {
        fs::create_dir(scratch.0.join(name)).expect("directory");
    }
    let lower = scratch.0.join("lower/program");
    fs::copy("/bin/sleep", &lower).expect("copy");
    let script = "mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work none merged && \
                  exec merged/program 100";
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", script])
        .current_dir(&scratch.0);
    let mut victim = Victim::start(&mut command);
    thread::sleep(Duration::from_millis(300));
    if let Some(status) = victim.0.try_wait().expect("wait") {
        eprintln!("skipped: no overlay file system can be mounted here ({status})");
        return;
    }
    let process = victim.handle();
    let avma = code_of(&process, "/program");
    // As the kernel side has it: the inode that is really mapped.
    let id = stat(&lower).id;
    let file = open_executable(&process, &avma, &Wanted::Announced(&id)).expect("announced");
    assert_eq!((file.id, file.exact), (id, true));
    let opened = FileStat::of(&file.file).expect("stat");
    assert_eq!(opened.filesystem, Filesystem::Overlay);
    assert_ne!(opened.id.device, id.device);
    let changed = FileId {
        change_nanoseconds: id.change_nanoseconds ^ 1,
        ..id
    };
    let error = open_executable(&process, &avma, &Wanted::Announced(&changed));
    assert!(matches!(error, Err(OpenError::Changed { .. })));
}

#[test]
fn after_the_first_thread_ended() {
    let program = "import ctypes, threading, time\n\
                   threading.Thread(target=time.sleep, args=(100,)).start()\n\
                   ctypes.CDLL(None).pthread_exit(None)";
    let Ok(child) = Command::new("python3").args(["-c", program]).spawn() else {
        eprintln!("skipped: no python3");
        return;
    };
    let victim = Victim(child);
    let process = victim.handle();
    let begin = Instant::now();
    while process.stat().expect("stat").state != b'Z' {
        assert!(
            begin.elapsed() < Duration::from_secs(10),
            "the first thread does not end"
        );
        thread::sleep(Duration::from_millis(10));
    }
    assert!(process.alive());
    assert!(
        process
            .living()
            .expect("a living thread")
            .starts_with("task/")
    );
    let avma = code_of(&process, "/libc.so.6");
    let mut listed = None;
    let place = process.living().expect("a living thread");
    let maps = process
        .read(&format!("{place}maps"), 1 << 20)
        .expect("maps");
    read_maps(&*maps, |mapping| {
        if mapping.avma == avma {
            listed = Some((mapping.device, mapping.inode));
        }
        listed.is_none()
    })
    .expect("maps");
    let (device, inode) = listed.expect("libc");
    let wanted = Wanted::Listed { device, inode };
    let file = open_executable(&process, &avma, &wanted).expect("libc");
    assert_eq!(file.id.inode, inode);
}
