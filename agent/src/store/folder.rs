//! The folder of a store. It is opened once; its files are reached from there, never through a link,
//! so nobody can have another folder or file take their place.

use std::fs::{DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::fcntl::{OFlag, open, openat, renameat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::error::{StoreError, user};

/// A file that will take another's place has this at the end of its name.
pub const UNFINISHED: &str = ".new";
/// Write access of group and others.
const OTHERS: u32 = 0o022;

pub struct Folder {
    directory: File,
    path: PathBuf,
}

impl Folder {
    /// Opens a folder to keep a store in; it is made if nothing is there. No other user may be able
    /// to change what is in it.
    pub fn to_hold(path: &Path) -> Result<Self, StoreError> {
        let failed = |doing| move |error| StoreError::system(path, doing, error);
        let make = || DirBuilder::new().mode(0o700).create(path);
        let made = match make() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let above = path.parent().unwrap_or(path);
                // Others may have to pass through these.
                let above = DirBuilder::new().recursive(true).mode(0o755).create(above);
                above.and_then(|()| make())
            }
            made => made,
        };
        let new = match made {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            Err(error) => return Err(failed("made")(error)),
        };
        // A slash at the end would have the link followed.
        let plain: PathBuf = path.components().collect();
        let folder = Self::open(&plain, OFlag::O_NOFOLLOW).map_err(|error| {
            // The kernel says ENOTDIR of a link that must not be followed.
            match plain.symlink_metadata() {
                Ok(it) if it.is_symlink() => StoreError::Link {
                    path: plain.clone(),
                },
                _ => failed("opened")(error),
            }
        })?;
        folder.check_owner(&folder.directory, path)?;
        if new && let Some(above) = plain.parent() {
            let above = if above == Path::new("") {
                Path::new(".")
            } else {
                above
            };
            let above = File::open(above).and_then(|above| above.sync_all());
            above.map_err(failed("made"))?;
        }
        Ok(folder)
    }

    /// Opens a folder to read the store in it.
    pub fn to_read(path: &Path) -> Result<Self, StoreError> {
        Self::open(path, OFlag::empty()).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => StoreError::NoStore { path: path.into() },
            io::ErrorKind::PermissionDenied => unreadable(path),
            _ => StoreError::system(path, "opened", error),
        })
    }

    fn open(path: &Path, flags: OFlag) -> io::Result<Self> {
        let flags = flags | OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok(Self {
            directory: File::from(open(path, flags, Mode::empty())?),
            path: path.to_owned(),
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn file_path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Names of what is in it; those that are no text are none of ours, but they are there.
    pub fn names(&self) -> io::Result<Vec<String>> {
        // A descriptor of its own, since it has a place in the listing.
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut directory = Dir::openat(&self.directory, ".", flags, Mode::empty())?;
        let mut names = Vec::new();
        for entry in directory.iter() {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn at(&self, name: &str, flags: OFlag) -> io::Result<File> {
        // O_NONBLOCK: a pipe would wait for somebody at its other end.
        let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let mode = Mode::from_bits_truncate(0o600);
        Ok(File::from(openat(&self.directory, name, flags, mode)?))
    }

    /// A regular file, for reading.
    pub fn file(&self, name: &str) -> io::Result<File> {
        let file = self.at(name, OFlag::O_RDONLY)?;
        match file.metadata()?.is_file() {
            true => Ok(file),
            false => Err(io::Error::other("it is not a regular file")),
        }
    }

    /// One of our own files, for reading and writing.
    pub fn own_file(&self, name: &str, make: bool) -> Result<File, StoreError> {
        let path = self.file_path(name);
        let make = if make { OFlag::O_CREAT } else { OFlag::empty() };
        let file = self.at(name, OFlag::O_RDWR | make);
        let file = file.map_err(|error| match error.raw_os_error() {
            Some(libc::EISDIR | libc::ENXIO | libc::ENODEV) => {
                StoreError::NotAFile { path: path.clone() }
            }
            _ => StoreError::system(&path, "opened", error),
        })?;
        let kind = file.metadata();
        if !kind.is_ok_and(|it| it.is_file()) {
            return Err(StoreError::NotAFile { path });
        }
        self.check_owner(&file, &path)?;
        Ok(file)
    }

    /// A file of a name that nothing has yet.
    pub fn create(&self, name: &str) -> io::Result<File> {
        self.at(name, OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL)
    }

    pub fn remove(&self, name: &str) -> io::Result<()> {
        match unlinkat(&self.directory, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(nix::Error::ENOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes a file whole: whatever happens, there is the old one or the new one.
    pub fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let unfinished = format!("{name}{UNFINISHED}");
        self.remove(&unfinished)?;
        let written = self.create(&unfinished).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()?;
            let (from, to) = (&*unfinished, name);
            renameat(&self.directory, from, &self.directory, to)?;
            self.sync()
        });
        written.inspect_err(|_| drop(self.remove(&unfinished)))
    }

    /// Has the names of new files on disk.
    pub fn sync(&self) -> io::Result<()> {
        self.directory.sync_all()
    }

    /// All of a small file.
    pub fn content(&self, name: &str, limit: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.file(name)?.take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Nobody but root and us may be able to change it.
    fn check_owner(&self, file: &File, path: &Path) -> Result<(), StoreError> {
        let stat = file.metadata();
        let stat = stat.map_err(|error| StoreError::system(path, "looked at", error))?;
        let (path, user) = (path.to_owned(), user());
        if ![0, user].contains(&stat.uid()) {
            let owner = stat.uid();
            return Err(StoreError::Owner { path, owner, user });
        }
        let mode = stat.mode() & 0o7777;
        if mode & OTHERS != 0 {
            return Err(StoreError::Writable { path, mode });
        }
        Ok(())
    }
}

pub fn unreadable(path: &Path) -> StoreError {
    StoreError::Unreadable {
        path: path.to_owned(),
        user: user(),
    }
}
