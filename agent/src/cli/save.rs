//! Files that are written whole or not at all, and a recording that survives a full disk.
//!
//! A result is written beside the file that it is to become and then renamed, so that nobody ever
//! sees half of it and an older one stays until the new one is there.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{
    FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown,
};
use std::path::{Path, PathBuf};

use super::user;

/// What a new file may be, before the umask.
const MODE: u32 = 0o666;

/// Files that are not what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    #[error(
        "{path} can't be written: {why}. Give another place by -o, in a folder that is there and \
         that you may write to."
    )]
    Place { path: String, why: io::Error },
    #[error(
        "{path} could not be written: {why}. The result is not lost, it is in {rescued}: make room \
         and move it there."
    )]
    Elsewhere {
        path: String,
        why: io::Error,
        rescued: String,
    },
    #[error(
        "{path} could not be written: {why}. Neither could a file in any of {tried}, so the result \
         is lost: make room and record again."
    )]
    Lost {
        path: String,
        why: io::Error,
        tried: String,
    },
}

/// Finds out whether a file could be written.
pub fn check(path: &Path) -> Result<(), SaveError> {
    // Opening a named pipe would wait for its reader, and closing it would send that one away.
    if fs::metadata(path).is_ok_and(|it| it.file_type().is_fifo()) {
        return Ok(());
    }
    let existed = path.exists();
    let opened = OpenOptions::new().append(true).create(true).open(path);
    opened.map_err(|why| SaveError::Place {
        path: path.display().to_string(),
        why,
    })?;
    if !existed {
        // What a link leads to, not the link.
        let _ = fs::canonicalize(path).and_then(fs::remove_file);
    }
    Ok(())
}

/// Writes a file; if that fails, the same to another place.
pub fn save(path: &Path, bytes: &[u8]) -> Result<(), SaveError> {
    let places = [
        std::env::temp_dir(),
        "/var/tmp".into(),
        // Memory: has room when no disk has.
        "/dev/shm".into(),
    ];
    save_or_rescue(path, bytes, &places)
}

fn save_or_rescue(path: &Path, bytes: &[u8], places: &[PathBuf]) -> Result<(), SaveError> {
    let Err(why) = write(path, bytes) else {
        return Ok(());
    };
    let name = path.file_name().unwrap_or("result".as_ref());
    let name = format!("strata-{}-{}", std::process::id(), name.to_string_lossy());
    let shown = path.display().to_string();
    for place in places {
        let rescued = place.join(&name);
        if create(&rescued, bytes).is_ok() {
            return Err(SaveError::Elsewhere {
                path: shown,
                why,
                rescued: rescued.display().to_string(),
            });
        }
    }
    let tried: Vec<String> = places.iter().map(|it| it.display().to_string()).collect();
    Err(SaveError::Lost {
        path: shown,
        why,
        tried: tried.join(", "),
    })
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // Through a link, not over it.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let before = fs::metadata(&path).ok();
    if before.as_ref().is_some_and(|it| !it.is_file()) {
        // A pipe or a device: there is nothing to be renamed.
        return OpenOptions::new().write(true).open(&path)?.write_all(bytes);
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let beside = tempfile::Builder::new()
        .prefix(".strata-")
        .permissions(Permissions::from_mode(MODE))
        .tempfile_in(folder);
    let mut beside = match beside {
        Ok(beside) => beside,
        // The folder may be closed to us and the file open.
        Err(_) if before.is_some() => return overwrite(&path, bytes),
        Err(error) => return Err(error),
    };
    // Not through `beside`, which would put its own name into the error.
    beside.as_file_mut().write_all(bytes)?;
    match &before {
        Some(before) => {
            // Owner first: a change of owner takes bits away. Not ours to change: no matter.
            let _ = fchown(beside.as_file(), Some(before.uid()), Some(before.gid()));
            let _ = fs::set_permissions(beside.path(), before.permissions());
        }
        None => give_away(beside.as_file()),
    }
    // Some file systems tell only now that they are full.
    beside.as_file().sync_data()?;
    match beside.persist(&path) {
        Ok(_) => Ok(()),
        // What is mounted can't be replaced.
        Err(_) if before.is_some() => overwrite(&path, bytes),
        Err(error) => Err(error.error),
    }
}

fn overwrite(path: &Path, bytes: &[u8]) -> io::Result<()> {
    File::create(path)?.write_all(bytes)
}

/// A file where none may be: others can write to such a folder too. Taken back if it fails.
fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    give_away(&file);
    let written = file.write_all(bytes).and_then(|()| file.sync_data());
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written
}

/// A new file belongs to who called sudo.
fn give_away(file: &File) {
    if let Some(user) = user::behind_sudo() {
        // A file system without owners refuses; the file is as good there.
        let _ = fchown(file, Some(user.uid.as_raw()), Some(user.gid.as_raw()));
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_place_is_tried_and_nothing_is_left_there() {
        let folder = folder();
        let fresh = folder.path().join("a.svg");
        check(&fresh).unwrap();
        assert!(names(folder.path()).is_empty());
        fs::write(&fresh, "kept").unwrap();
        check(&fresh).unwrap();
        assert_eq!(fs::read_to_string(&fresh).unwrap(), "kept");
        let error = check(&folder.path().join("absent/a.svg")).unwrap_err();
        assert!(error.to_string().contains("absent/a.svg"), "{error}");
        assert!(check(folder.path()).is_err());
    }

    #[test]
    fn a_file_is_replaced_as_it_was() {
        let folder = folder();
        let (file, link) = (folder.path().join("a"), folder.path().join("b"));
        save(&file, b"one").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        symlink(&file, &link).unwrap();
        save(&link, b"two").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"two");
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(names(folder.path()), ["a", "b"]);
        save(Path::new("/dev/null"), b"gone").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }

    #[test]
    fn looking_leaves_links_and_pipes_alone() {
        let folder = folder();
        let (target, link) = (folder.path().join("a"), folder.path().join("b"));
        symlink(&target, &link).unwrap();
        check(&link).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(!target.exists());

        let pipe = folder.path().join("c");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        // Nobody reads from it.
        check(&pipe).unwrap();
        assert_eq!(names(folder.path()), ["b", "c"]);
    }

    #[test]
    fn what_can_not_be_written_is_rescued() {
        let (folder, rescue) = (folder(), folder());
        let places = [folder.path().join("absent"), rescue.path().to_owned()];
        // Never has room.
        let error = save_or_rescue(Path::new("/dev/full"), b"kept", &places).unwrap_err();
        let [name] = &*names(rescue.path()) else {
            panic!("not rescued: {error}")
        };
        assert_eq!(fs::read(rescue.path().join(name)).unwrap(), b"kept");
        assert!(matches!(error, SaveError::Elsewhere { .. }));
        assert!(error.to_string().contains(name.as_str()), "{error}");
        // The name is taken now, and is not written over.
        let error = save_or_rescue(Path::new("/dev/full"), b"lost", &places).unwrap_err();
        assert!(matches!(error, SaveError::Lost { .. }), "{error}");
        assert_eq!(fs::read(rescue.path().join(name)).unwrap(), b"kept");
    }
}
