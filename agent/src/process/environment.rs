//! One variable of a process's environment. What stands in the others is nobody's business: their
//! bytes pass through a buffer that is overwritten, and are kept nowhere.

use std::io::{self, Read};

use super::identity::{ProcessError, ProcessHandle};

/// Most bytes of an environment that are looked at.
const ENVIRONMENT: u64 = 1 << 20;
/// Longest value.
const VALUE: usize = 1024;
/// Bytes that are looked at in one go.
const PIECE: usize = 4096;

impl ProcessHandle {
    /// The value of one variable as the process was started with it. None: it is not there, or
    /// longer than 1 KiB.
    ///
    /// It lies in the process's own memory: one that backs it by a file system of its own can make
    /// this wait.
    pub fn variable(&self, name: &str) -> Result<Option<Vec<u8>>, ProcessError> {
        let place = format!("{}environ", self.living()?);
        self.open_file(&place)
            .and_then(|file| find(file.take(ENVIRONMENT), name))
            .map_err(|error| ProcessError::new(self.pid(), "environ", error))
    }
}

/// Finds the first variable of this name, as `getenv` does.
fn find(mut environment: impl Read, name: &str) -> io::Result<Option<Vec<u8>>> {
    let wanted = [name.as_bytes(), b"="].concat();
    let mut state = State::Name(0);
    let mut value = Vec::new();
    let mut piece = [0; PIECE];
    let found = 'all: loop {
        let length = match environment.read(&mut piece) {
            Ok(0) => break Ok(false),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => break Err(error),
        };
        for &byte in &piece[..length] {
            state = match state {
                State::Value if byte == 0 => break 'all Ok(true),
                State::Value if value.len() == VALUE => break 'all Ok(false),
                State::Value => {
                    value.push(byte);
                    State::Value
                }
                _ if byte == 0 => State::Name(0),
                State::Name(at) if wanted.get(at) == Some(&byte) && at + 1 == wanted.len() => {
                    State::Value
                }
                State::Name(at) if wanted.get(at) == Some(&byte) => State::Name(at + 1),
                State::Name(_) | State::Other => State::Other,
            };
        }
    };
    piece.fill(0);
    std::hint::black_box(&piece);
    Ok(found?.then_some(value))
}

/// Where in a variable the search is.
#[derive(Clone, Copy)]
enum State {
    /// So many bytes of it are those of the wanted one.
    Name(usize),
    /// It is the wanted one.
    Value,
    Other,
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    fn value(environment: &[u8]) -> Option<Vec<u8>> {
        // Byte by byte, and in one go.
        struct Slow<'a>(&'a [u8]);
        impl Read for Slow<'_> {
            fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
                self.0.read(&mut into[..1])
            }
        }
        let slow = find(Slow(environment), "NAME").expect("readable");
        assert_eq!(find(environment, "NAME").expect("readable"), slow);
        slow
    }

    #[test]
    fn one_of_many() {
        assert_eq!(value(b"A=1\0NAME=web\0B=2\0"), Some(b"web".to_vec()));
        assert_eq!(value(b"NAME=a=b\0NAME=c\0"), Some(b"a=b".to_vec()));
        assert_eq!(value(b"\0\0NAME=\0"), Some(Vec::new()));
        for none in [
            b"".as_slice(),
            b"NAME",
            b"NAME\0",
            b"NAME=cut off",
            b"XNAME=1\0NAMEX=2\0X=NAME=3\0",
        ] {
            assert_eq!(value(none), None, "{none:?}");
        }
    }

    #[test]
    fn long_ones() {
        let long = |length| [b"NAME=".as_slice(), &vec![b'x'; length], b"\0"].concat();
        assert_eq!(value(&long(VALUE)).map(|it| it.len()), Some(VALUE));
        assert_eq!(value(&long(VALUE + 1)), None);
        let before = [b"OTHER=".as_slice(), &vec![b'y'; 3 * PIECE], b"\0"].concat();
        assert_eq!(
            value(&[before, b"NAME=web\0".to_vec()].concat()),
            Some(b"web".to_vec())
        );
    }

    #[test]
    fn a_process() {
        let mut child = Command::new("cat")
            .env("STRATA_ONE", "a value")
            .env("STRATA_OTHER", "another")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("cat");
        let handle = ProcessHandle::open(child.id()).expect("the child");
        // `spawn` may return before exec has put the environment in place.
        let found = (0..1000).find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(1));
            handle.variable("STRATA_ONE").ok().flatten()
        });
        assert_eq!(found, Some(b"a value".to_vec()));
        assert_eq!(handle.variable("STRATA_NONE").expect("readable"), None);
        child.kill().expect("kill");
        child.wait().expect("wait");
        assert!(handle.variable("STRATA_ONE").is_err());
    }
}
