//! Folders that are not used, and why.

use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::process::Command;

use super::*;

fn refused(folder: &Path) -> StoreError {
    match Store::open(folder, LIMITS) {
        Ok(_) => panic!("{} was taken", folder.display()),
        Err(error) => error,
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn files_are_private() {
    let folder = fast_folder();
    let path = folder.path().join("some/where/store");
    let store = open(&path);
    store.register("a").unwrap();
    store.append(&messages(0..1)).unwrap();
    assert_eq!(mode(&path), 0o700);
    let files: Vec<_> = fs::read_dir(&path)
        .unwrap()
        .map(|it| it.unwrap().path())
        .collect();
    assert_eq!(files.len(), 4);
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[test]
fn one_agent_holds_a_store() {
    let folder = fast_folder();
    let store = open(folder.path());
    store.append(&messages(0..1)).unwrap();
    let error = refused(folder.path());
    let StoreError::Held { pid, .. } = error else {
        panic!("{error}");
    };
    assert!(pid.is_none_or(|pid| pid == std::process::id()), "{error}");
    // Readers need not hold it.
    assert_eq!(numbers(folder.path()), [0]);
    drop(store);
    open(folder.path());
}

#[test]
fn a_newer_store_is_not_touched() {
    let folder = fast_folder();
    let store = open(folder.path());
    store.append(&messages(0..1)).unwrap();
    drop(store);
    let marker = folder.path().join(marker::MARKER);
    let text = fs::read_to_string(&marker).unwrap();
    fs::write(&marker, text.replace("version 1", "version 2")).unwrap();
    for error in [
        refused(folder.path()),
        read(folder.path(), 0..1, |_| ControlFlow::Break(())).unwrap_err(),
    ] {
        assert!(
            matches!(error, StoreError::Newer { version: 2, .. }),
            "{error}"
        );
    }
    for text in [
        "",
        "strata store\n",
        "strata store\nversion 0\n",
        "other\nversion 1\n",
    ] {
        fs::write(&marker, text).unwrap();
        let error = refused(folder.path());
        assert!(matches!(error, StoreError::Marker { .. }), "{error}");
    }
}

#[test]
fn other_peoples_data_is_left_alone() {
    let folder = fast_folder();
    let other = folder.path().join("thesis.tex");
    fs::write(&other, "x").unwrap();
    let state = || {
        let modified = fs::metadata(folder.path()).unwrap().modified().unwrap();
        (modified, mode(folder.path()))
    };
    let before = state();
    let error = refused(folder.path());
    assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
    assert!(error.to_string().contains("thesis.tex"));
    assert_eq!(state(), before);
    let error = refused(&other);
    assert!(matches!(error, StoreError::NotAFolder { .. }), "{error}");
    let error = refused(&other.join("below"));
    assert!(matches!(error, StoreError::NotAFolder { .. }), "{error}");
}

#[test]
fn an_agent_that_ended_while_it_made_the_store_leaves_it_usable() {
    let folder = fast_folder();
    for left in [marker::LOCK.to_owned(), format!("{}.new", marker::MARKER)] {
        fs::write(folder.path().join(&left), "stra").unwrap();
        set_mode(&folder.path().join(&left), 0o600);
    }
    fs::create_dir(folder.path().join("lost+found")).unwrap();
    open(folder.path());
    assert!(!folder.path().join("strata.store.new").exists());
}

#[test]
fn links_are_refused() {
    let folder = fast_folder();
    let store = folder.path().join("store");
    drop(open(&store));
    for link in ["link", "link/"] {
        let path = folder.path().join(link);
        drop(symlink(&store, folder.path().join("link")));
        let error = refused(&path);
        assert!(matches!(error, StoreError::Link { .. }), "{error}");
    }
    let cursor = cursor::file_name("a");
    for name in [marker::MARKER, marker::LOCK, &segment::name(1), &cursor] {
        let (path, moved) = (store.join(name), folder.path().join("moved"));
        if !path.exists() {
            fs::write(&path, "").unwrap();
        }
        fs::rename(&path, &moved).unwrap();
        symlink(&moved, &path).unwrap();
        let error = refused(&store);
        assert!(matches!(error, StoreError::Link { .. }), "{name}: {error}");
        // A reader follows none either.
        let result = read(&store, 0..1, |_| ControlFlow::Continue(()));
        let of_a_segment = name == segment::name(1) || name == marker::MARKER;
        assert_eq!(result.is_err(), of_a_segment, "{name}");
        fs::remove_file(&path).unwrap();
        fs::rename(&moved, &path).unwrap();
        set_mode(&path, 0o600);
        if name == segment::name(1) || *name == cursor {
            fs::remove_file(&path).unwrap();
        }
    }
    drop(open(&store));
}

#[test]
fn what_is_no_file_is_refused() {
    let folder = fast_folder();
    drop(open(folder.path()));
    let path = folder.path().join(segment::name(1));
    fs::create_dir(&path).unwrap();
    let error = refused(folder.path());
    assert!(matches!(error, StoreError::NotAFile { .. }), "{error}");
    fs::remove_dir(&path).unwrap();
    // Neither waits for somebody at the other end.
    let made = Command::new("mkfifo")
        .args(["-m", "600"])
        .arg(&path)
        .status();
    assert!(made.unwrap().success());
    let error = refused(folder.path());
    assert!(matches!(error, StoreError::NotAFile { .. }), "{error}");
    let error = read(folder.path(), 0..1, |_| ControlFlow::Continue(())).unwrap_err();
    assert!(error.to_string().contains("not a regular file"), "{error}");
}

#[test]
fn what_others_could_change_is_refused() {
    let folder = fast_folder();
    let path = folder.path().join("store");
    let store = open(&path);
    store.append(&messages(0..1)).unwrap();
    drop(store);
    let segment = segments(&path).remove(0);
    for (path_of, right) in [(&path, 0o700), (&segment, 0o600)] {
        for others in [0o020, 0o002] {
            set_mode(path_of, right | others);
            let error = refused(&path);
            assert!(matches!(error, StoreError::Writable { .. }), "{error}");
        }
        // To be seen is not to be changed.
        set_mode(path_of, 0o755);
        drop(open(&path));
        set_mode(path_of, right);
    }
    if !is_root() {
        return skip("only root can give files to others");
    }
    for path_of in [&path, &segment] {
        chown(path_of, Some(12345), None).unwrap();
        let error = refused(&path);
        assert!(
            matches!(error, StoreError::Owner { owner: 12345, .. }),
            "{error}"
        );
        chown(path_of, Some(0), None).unwrap();
    }
    drop(open(&path));
}

/// What somebody else gets to hear.
#[test]
fn without_permission() {
    if !is_root() {
        return skip("only root can become another user");
    }
    let folder = tempfile::tempdir().unwrap();
    set_mode(folder.path(), 0o755);
    let path = folder.path().join("store");
    let store = open(&path);
    store.append(&messages(0..1)).unwrap();
    let as_nobody = || {
        // SAFETY: no memory is touched. Unlike libc's function, the call changes this thread alone.
        let result = unsafe { libc::syscall(libc::SYS_setresuid, -1, 65534, -1) };
        assert_eq!(result, 0);
        let read = |_: Stored| ControlFlow::Continue(());
        let closed = super::read(&path, 0..u64::MAX, read).unwrap_err();
        let new = refused(&folder.path().join("new"));
        (closed, new)
    };
    let run = || std::thread::scope(|scope| scope.spawn(as_nobody).join().unwrap());
    let (closed, new) = run();
    assert!(matches!(closed, StoreError::Unreadable { .. }), "{closed}");
    assert!(closed.to_string().contains("sudo"));
    assert!(matches!(new, StoreError::Denied { .. }), "{new}");
    // The folder can be entered, its files can't be read.
    set_mode(&path, 0o755);
    let (closed, _) = run();
    assert!(matches!(closed, StoreError::Unreadable { .. }), "{closed}");
}

#[test]
fn there_is_nothing_to_read() {
    let folder = fast_folder();
    for path in [folder.path().to_owned(), folder.path().join("none")] {
        let error = read(&path, 0..1, |_| ControlFlow::Break(())).unwrap_err();
        assert!(matches!(error, StoreError::NoStore { .. }), "{error}");
        assert!(!path.join(marker::LOCK).exists());
    }
}

#[test]
fn names_of_destinations() {
    let folder = fast_folder();
    let store = open(folder.path());
    let long = "x".repeat(cursor::NAME_BYTES + 1);
    for name in ["", &long] {
        let error = store.register(name).unwrap_err();
        assert!(matches!(error, StoreError::Name { .. }), "{error}");
    }
    let odd = "../../etc/passwd\n\0 https://a:4317/?x=ä";
    for name in [&long[1..], odd] {
        store.register(name).unwrap();
    }
    store.append(&messages(0..1)).unwrap();
    drop(store);
    let store = open(folder.path());
    for name in [&long[1..], odd] {
        store.register(name).unwrap();
        assert_eq!(drain(&store, name), [0]);
    }
}
