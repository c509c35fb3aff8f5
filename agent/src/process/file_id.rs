//! Which file an open descriptor is, in the kernel side's words.
//!
//! The kernel side reads the inode that is really mapped. What `fstat` says differs from it on file
//! systems that put something before the inode:
//!
//! | file system | device | inode number | generation |
//! |---|---|---|---|
//! | ext4, xfs, f2fs | same | same | ioctl |
//! | tmpfs, squashfs and others | same | same | the kernel alone knows it |
//! | btrfs | of the subvolume | same | ioctl |
//! | overlayfs | of the overlay | may be the overlay's | the kernel alone knows it |
//!
//! Size and change time are the inode's own everywhere. So the kernel's announcement is the key
//! under which a file is known, and the file that was opened is held against it as far as the file
//! system allows.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;

use agent_common::executable::FileId;

use super::sys;

/// The file that is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// One that the kernel side announced.
    Announced(&'a FileId),
    /// One that `/proc/PID/maps` names: all that it tells.
    Listed { device: u64, inode: u64 },
}

/// What is known of an open file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStat {
    /// As `fstat` has it; the generation is 0 where it is unknown.
    pub id: FileId,
    /// Whether the generation is known.
    pub generation_known: bool,
    pub filesystem: Filesystem,
    pub regular: bool,
}

/// How far `fstat` can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filesystem {
    Plain,
    Btrfs,
    Overlay,
}

/// What came of comparing a file with the one that is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    Same,
    /// The same inode, but of another size or change time. Even an unlink or a rename changes the
    /// latter; the kernel side sees that too and announces the file anew.
    Changed,
    Other,
}

impl FileStat {
    /// Asks for all that there is to know. The descriptor may be one that only names the file; the
    /// generation is unknown then.
    pub fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let filesystem = match sys::filesystem(file)? {
            sys::OVERLAYFS => Filesystem::Overlay,
            sys::BTRFS => Filesystem::Btrfs,
            _ => Filesystem::Plain,
        };
        let generation = match filesystem {
            Filesystem::Overlay => None,
            _ => sys::generation(file),
        };
        Ok(Self {
            id: FileId {
                device: kernel_device(metadata.dev()),
                inode: metadata.ino(),
                change_seconds: metadata.ctime(),
                change_nanoseconds: metadata.ctime_nsec() as u32,
                generation: generation.unwrap_or(0),
                size: metadata.size(),
            },
            generation_known: generation.is_some(),
            filesystem,
            regular: metadata.is_file(),
        })
    }

    /// Whether it is the file that is looked for, by everything that can be compared.
    pub fn fit(&self, wanted: &Wanted<'_>) -> Fit {
        let (device, inode) = match wanted {
            Wanted::Announced(id) => (id.device, id.inode),
            Wanted::Listed { device, inode } => (*device, *inode),
        };
        let same_inode = match self.filesystem {
            Filesystem::Plain => self.id.device == device && self.id.inode == inode,
            Filesystem::Btrfs => self.id.inode == inode,
            Filesystem::Overlay => true,
        };
        let Wanted::Announced(id) = wanted else {
            return if same_inode { Fit::Same } else { Fit::Other };
        };
        if !same_inode || (self.generation_known && self.id.generation != id.generation) {
            return Fit::Other;
        }
        let unchanged = self.id.size == id.size
            && self.id.change_seconds == id.change_seconds
            && self.id.change_nanoseconds == id.change_nanoseconds;
        if unchanged { Fit::Same } else { Fit::Changed }
    }

    /// The identity under which the kernel side knows the file, and whether that is certain. A
    /// wrong guess only means that the kernel side will announce the file.
    pub fn key(&self, wanted: &Wanted<'_>) -> (FileId, bool) {
        match wanted {
            Wanted::Announced(id) => (**id, true),
            Wanted::Listed { device, inode } => {
                let id = FileId {
                    device: *device,
                    inode: *inode,
                    ..self.id
                };
                (id, self.generation_known)
            }
        }
    }
}

/// The kernel's encoding of a device (`MKDEV`) from that of `stat`.
fn kernel_device(device: u64) -> u64 {
    u64::from(libc::major(device)) << 20 | u64::from(libc::minor(device))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices() {
        assert_eq!(kernel_device(libc::makedev(254, 1)), 254 << 20 | 1);
        assert_eq!(kernel_device(libc::makedev(0, 0x12345)), 0x12345);
        assert_eq!(kernel_device(libc::makedev(0xFFF, 0xF_FFFF)), 0xFFFF_FFFF);
    }

    #[test]
    fn own_executable_fits_itself_and_nothing_else() {
        let file = File::open("/proc/self/exe").expect("our own executable");
        let stat = FileStat::of(&file).expect("its stat");
        let id = stat.id;
        assert!(stat.regular);
        assert_eq!(stat.fit(&Wanted::Announced(&id)), Fit::Same);
        let listed = Wanted::Listed {
            device: id.device,
            inode: id.inode,
        };
        assert_eq!(stat.fit(&listed), Fit::Same);
        assert_eq!(stat.key(&listed), (id, stat.generation_known));
        for other in [
            FileId {
                size: id.size + 1,
                ..id
            },
            FileId {
                change_seconds: id.change_seconds - 1,
                ..id
            },
            FileId {
                change_nanoseconds: id.change_nanoseconds ^ 1,
                ..id
            },
        ] {
            assert_eq!(
                stat.fit(&Wanted::Announced(&other)),
                Fit::Changed,
                "{other:?}"
            );
        }
    }

    #[test]
    fn what_counts_depends_on_the_file_system() {
        let file = File::open("/proc/self/exe").expect("our own executable");
        let stat = FileStat::of(&file).expect("its stat");
        let other_device = FileId {
            device: stat.id.device + 1,
            ..stat.id
        };
        let other_inode = FileId {
            inode: stat.id.inode + 1,
            ..stat.id
        };
        let fit =
            |filesystem, id: &FileId| FileStat { filesystem, ..stat }.fit(&Wanted::Announced(id));
        assert_eq!(fit(Filesystem::Plain, &other_device), Fit::Other);
        assert_eq!(fit(Filesystem::Plain, &other_inode), Fit::Other);
        assert_eq!(fit(Filesystem::Btrfs, &other_device), Fit::Same);
        assert_eq!(fit(Filesystem::Btrfs, &other_inode), Fit::Other);
        assert_eq!(fit(Filesystem::Overlay, &other_device), Fit::Same);
        assert_eq!(fit(Filesystem::Overlay, &other_inode), Fit::Same);
    }

    #[test]
    fn generation_counts_where_it_is_known() {
        let file = File::open("/proc/self/exe").expect("our own executable");
        let known = FileStat {
            generation_known: true,
            ..FileStat::of(&file).expect("its stat")
        };
        let unknown = FileStat {
            generation_known: false,
            ..known
        };
        let other = FileId {
            generation: known.id.generation ^ 1,
            ..known.id
        };
        assert_eq!(known.fit(&Wanted::Announced(&other)), Fit::Other);
        assert_eq!(unknown.fit(&Wanted::Announced(&other)), Fit::Same);
        assert_eq!(unknown.key(&Wanted::Announced(&other)), (other, true));
    }
}
