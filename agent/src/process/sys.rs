//! The system calls of this room that the standard library does not have. All `unsafe` of the
//! room is here.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// `statfs.f_type` of overlayfs (Linux `include/uapi/linux/magic.h`).
pub const OVERLAYFS: i64 = 0x794C_7630;
/// The same of btrfs.
pub const BTRFS: i64 = 0x9123_683E;

/// Flags of every file that is opened: it never becomes a terminal, never stays open in a child
/// and never blocks, as a FIFO would.
const SAFE: libc::c_int = libc::O_CLOEXEC | libc::O_NOCTTY | libc::O_NONBLOCK;

/// Opens `name` in a directory for reading.
pub fn open_at(directory: BorrowedFd<'_>, name: &CStr) -> io::Result<File> {
    open_with(directory, name, libc::O_RDONLY | SAFE).map(File::from)
}

/// A descriptor of `name` that names a file without opening it: no driver and no file system learns
/// of it. Follows the last link, as those of `/proc/PID` mean.
pub fn path_at(directory: BorrowedFd<'_>, name: &CStr) -> io::Result<OwnedFd> {
    open_with(directory, name, libc::O_PATH | libc::O_CLOEXEC)
}

fn open_with(directory: BorrowedFd<'_>, name: &CStr, flags: libc::c_int) -> io::Result<OwnedFd> {
    // SAFETY: `name` ends with a zero byte and lives through the call.
    let fd = unsafe { libc::openat(directory.as_raw_fd(), name.as_ptr(), flags) };
    owned(fd)
}

/// [`path_at`] in another root: `..` and absolute links do not lead out of it, and links of
/// `/proc` are not followed. Linux 5.6.
pub fn path_in_root(root: BorrowedFd<'_>, path: &CStr) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct OpenHow {
        flags: u64,
        mode: u64,
        resolve: u64,
    }
    let how = OpenHow {
        flags: (libc::O_PATH | libc::O_CLOEXEC) as u64,
        mode: 0,
        resolve: libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS,
    };
    // SAFETY: `path` ends with a zero byte; the size is that of `how`, which has the layout of the
    // kernel's `struct open_how`. Both live through the call.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_openat2,
            root.as_raw_fd(),
            path.as_ptr(),
            &raw const how,
            size_of::<OpenHow>(),
        )
    };
    owned(fd.try_into().unwrap_or(-1))
}

/// Opens for reading what a descriptor of [`path_at`] names: the same inode, whatever became of
/// its name.
pub fn reopen(path: BorrowedFd<'_>) -> io::Result<File> {
    let name = format!("/proc/self/fd/{}\0", path.as_raw_fd());
    let name = CStr::from_bytes_with_nul(name.as_bytes()).map_err(io::Error::other)?;
    // SAFETY: `name` ends with a zero byte and lives through the call.
    let fd = unsafe { libc::open(name.as_ptr(), libc::O_RDONLY | SAFE) };
    owned(fd).map(File::from)
}

fn owned(fd: libc::c_int) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a system call has just given it to us, and to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Where a link in a directory leads, as its text says.
pub fn read_link_at(directory: BorrowedFd<'_>, name: &CStr) -> io::Result<Vec<u8>> {
    let mut text = vec![0u8; libc::PATH_MAX as usize];
    // SAFETY: `name` ends with a zero byte; `text` has as many bytes as are said.
    let length = unsafe {
        libc::readlinkat(
            directory.as_raw_fd(),
            name.as_ptr(),
            text.as_mut_ptr().cast(),
            text.len(),
        )
    };
    let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
    text.truncate(length);
    Ok(text)
}

/// Kind of the file system that holds a file.
pub fn filesystem(file: &impl AsFd) -> io::Result<i64> {
    let mut status = std::mem::MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: the kernel writes a whole `statfs` there or fails.
    let result = unsafe { libc::fstatfs(file.as_fd().as_raw_fd(), status.as_mut_ptr()) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so it is filled.
    let status = unsafe { status.assume_init() };
    // 32 bits are what the kernel defines; its type is signed in glibc and not in musl.
    Ok(i64::from(status.f_type as u32))
}

/// `inode.i_generation`, on file systems that tell it (ext4, xfs, btrfs, f2fs).
pub fn generation(file: &File) -> Option<u32> {
    // A word by its definition, 4 bytes by what file systems write.
    let mut generation: libc::c_long = 0;
    // SAFETY: the file system writes 4 or 8 bytes there or fails.
    let result = unsafe {
        libc::ioctl(
            file.as_raw_fd(),
            libc::FS_IOC_GETVERSION,
            &raw mut generation,
        )
    };
    (result == 0).then_some(generation as u32)
}

/// Clock ticks of `/proc` in a second (`USER_HZ`).
pub fn ticks_per_second() -> u64 {
    // SAFETY: `sysconf` touches no memory of ours.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    u64::try_from(ticks)
        .ok()
        .filter(|&ticks| ticks > 0)
        .unwrap_or(100)
}

/// Reads another process's memory into a buffer; how many bytes of it could be read.
pub fn read_memory(pid: libc::pid_t, avma: u64, into: &mut [u8]) -> io::Result<usize> {
    let local = libc::iovec {
        iov_base: into.as_mut_ptr().cast(),
        iov_len: into.len(),
    };
    let remote = libc::iovec {
        iov_base: avma as usize as *mut libc::c_void,
        iov_len: into.len(),
    };
    // SAFETY: `local` is a live, writable buffer of that length; the kernel checks `remote` against
    // the other process's address space and never writes through it.
    let done = unsafe { libc::process_vm_readv(pid, &local, 1, &remote, 1, 0) };
    usize::try_from(done).map_err(|_| io::Error::last_os_error())
}

/// Reads a file to its end, or as much as `cap` of it.
pub fn read_capped(file: File, cap: u64) -> io::Result<Vec<u8>> {
    let mut data = Vec::new();
    file.take(cap).read_to_end(&mut data)?;
    Ok(data)
}
