//! The user who typed `sudo strata …`: the command is run as that user, and what is written belongs
//! to that user. Both would be so without Strata before the command.

use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::OnceLock;

use nix::unistd::{self, Gid, Uid};

/// Variables of a command that sudo changed or made.
const MADE_BY_SUDO: [&str; 4] = ["SUDO_COMMAND", "SUDO_UID", "SUDO_GID", "SUDO_USER"];

/// A user as the system knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub uid: Uid,
    pub gid: Gid,
    /// Groups besides.
    groups: Vec<Gid>,
    /// Name and home, if the system has an entry for the user.
    account: Option<(OsString, PathBuf)>,
}

/// The user behind sudo, if we are root by it.
pub fn behind_sudo() -> Option<&'static User> {
    static USER: OnceLock<Option<User>> = OnceLock::new();
    let find = || {
        let (uid, gid) = ids(|name| std::env::var_os(name), Uid::effective().is_root())?;
        Some(User::of(uid, gid))
    };
    USER.get_or_init(find).as_ref()
}

/// User and group that sudo was called by. None in a root shell that sudo started: whoever types
/// there means root.
fn ids(variable: impl Fn(&str) -> Option<OsString>, root: bool) -> Option<(Uid, Gid)> {
    let number = |name| variable(name)?.to_str()?.parse::<u32>().ok();
    let (uid, gid) = (number("SUDO_UID")?, number("SUDO_GID")?);
    let command = variable("SUDO_COMMAND").unwrap_or_default();
    (root && uid != 0 && !is_shell(&command)).then(|| (Uid::from_raw(uid), Gid::from_raw(gid)))
}

/// Whether a command line starts a shell for somebody to type in: `sudo -s`, `sudo su -`.
fn is_shell(command: &OsStr) -> bool {
    let mut words = command.as_bytes().split(|&byte| byte == b' ');
    let program = words.next().unwrap_or_default();
    let name = program
        .rsplit(|&byte| byte == b'/')
        .next()
        .unwrap_or_default();
    match name {
        b"su" => true,
        _ => name.ends_with(b"sh") && words.next().is_none(),
    }
}

impl User {
    fn of(uid: Uid, gid: Gid) -> Self {
        let entry = unistd::User::from_uid(uid).ok().flatten();
        let name = entry.as_ref().and_then(|it| CString::new(&*it.name).ok());
        let groups = name.and_then(|name| unistd::getgrouplist(&name, gid).ok());
        Self {
            uid,
            gid,
            groups: groups.unwrap_or_else(|| vec![gid]),
            account: entry.map(|it| (it.name.into(), it.dir)),
        }
    }

    /// What differs in the environment of this user: a value, or None to take the variable out.
    pub fn environment(&self) -> Vec<(&'static str, Option<OsString>)> {
        let mut changes: Vec<_> = MADE_BY_SUDO.map(|name| (name, None)).into();
        if let Some((name, home)) = &self.account {
            changes.push(("HOME", Some(home.into())));
            changes.push(("USER", Some(name.clone())));
            changes.push(("LOGNAME", Some(name.clone())));
        }
        changes
    }

    /// Makes the calling process one of this user, for good. Calls nothing that allocates or locks,
    /// so it can be called between fork and exec.
    pub fn become_it(&self) -> nix::Result<()> {
        unistd::setgroups(&self.groups)?;
        unistd::setgid(self.gid)?;
        unistd::setuid(self.uid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(root: bool, variables: &[(&str, &str)]) -> Option<(u32, u32)> {
        let variable = |wanted: &str| {
            let mut all = variables.iter();
            all.find(|(name, _)| *name == wanted)
                .map(|(_, value)| value.into())
        };
        ids(variable, root).map(|(uid, gid)| (uid.as_raw(), gid.as_raw()))
    }

    #[test]
    fn the_user_behind_sudo() {
        let ids = [("SUDO_UID", "1000"), ("SUDO_GID", "100")];
        assert_eq!(found(true, &ids), Some((1000, 100)));
        assert_eq!(found(false, &ids), None);
        assert_eq!(found(true, &ids[..1]), None);
        assert_eq!(found(true, &[("SUDO_UID", "0"), ("SUDO_GID", "0")]), None);
        assert_eq!(found(true, &[("SUDO_UID", "me"), ("SUDO_GID", "0")]), None);
        let by = |command| found(true, &[ids[0], ids[1], ("SUDO_COMMAND", command)]);
        assert!(by("/usr/bin/strata record -- ./a.out").is_some());
        assert!(by("/usr/bin/bash -c strata record").is_some());
        for shell in ["/bin/bash", "/usr/bin/zsh", "/usr/bin/su", "/usr/bin/su -"] {
            assert_eq!(by(shell), None, "{shell}");
        }
    }

    #[test]
    fn a_user_has_groups_and_a_home() {
        let root = User::of(Uid::from_raw(0), Gid::from_raw(0));
        assert!(root.groups.contains(&Gid::from_raw(0)));
        assert!(root.environment().contains(&("USER", Some("root".into()))));
        assert!(root.environment().contains(&("SUDO_UID", None)));
        let nobody = User::of(Uid::from_raw(3_999_999_999), Gid::from_raw(7));
        assert_eq!(nobody.groups, [Gid::from_raw(7)]);
        assert_eq!(nobody.environment().len(), MADE_BY_SUDO.len());
    }
}
