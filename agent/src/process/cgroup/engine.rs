//! Names of containers, which only their engine knows: asked over its socket, or read where it keeps
//! them.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::super::sys::read_capped;

/// Docker's and podman's sockets; podman answers to the same request.
const SOCKETS: [&str; 3] = [
    "/run/docker.sock",
    "/var/run/docker.sock",
    "/run/podman/podman.sock",
];
/// Where podman keeps the names of root's containers.
const PODMAN: &str = "/var/lib/containers/storage/overlay-containers/containers.json";
/// Most bytes of one answer or file. An entry has about 2 KB.
const ANSWER: u64 = 16 << 20;
/// Most containers that are looked at.
const CONTAINERS: usize = 10_000;
/// How long an engine may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Ids of the containers that have this name, in any engine that is found. Usually one.
pub fn ids_by_name(name: &str) -> Vec<String> {
    let mut sockets: Vec<PathBuf> = SOCKETS.iter().map(PathBuf::from).collect();
    if let Ok(host) = std::env::var("DOCKER_HOST")
        && let Some(path) = host.strip_prefix("unix://")
    {
        sockets.insert(0, path.into());
    }
    let mut all: Vec<Named> = Vec::new();
    for socket in sockets {
        all.extend(ask(&socket, false).unwrap_or_default());
    }
    all.extend(read_docker(&docker_root(Path::new(
        "/etc/docker/daemon.json",
    ))));
    all.extend(read_podman(Path::new(PODMAN)));

    let name = name.trim_start_matches('/');
    let mut ids: Vec<String> = all
        .into_iter()
        .filter(|named| {
            named
                .names
                .iter()
                .any(|own| own.trim_start_matches('/') == name)
        })
        .map(|named| named.id)
        .collect();
    ids.sort();
    ids.dedup();
    ids
}

/// A container as engines list it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Named {
    #[serde(alias = "Id", alias = "ID")]
    pub id: String,
    /// Docker puts a slash before each.
    #[serde(alias = "Names", default)]
    pub names: Vec<String>,
    #[serde(alias = "Image", default)]
    pub image: String,
}

/// Asks an engine for its containers: those that run, or all.
pub fn ask(socket: &Path, all: bool) -> io::Result<Vec<Named>> {
    let mut stream = UnixStream::connect(socket)?;
    let deadline = Instant::now() + PATIENCE;
    stream.set_write_timeout(Some(PATIENCE))?;
    // 1.0: the answer comes in one piece and ends with the connection.
    let query = if all { "?all=1" } else { "" };
    let request = format!("GET /containers/json{query} HTTP/1.0\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut piece = [0u8; 16 << 10];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || answer.len() as u64 > ANSWER {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut piece)? {
            0 => break,
            length => answer.extend_from_slice(&piece[..length]),
        }
    }
    parse_answer(&answer).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn parse_answer(answer: &[u8]) -> Option<Vec<Named>> {
    let head = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let status = answer.get(..head)?.split(|&byte| byte == b' ').nth(1)?;
    if status != b"200" {
        return None;
    }
    serde_json::from_slice(answer.get(head + 4..)?).ok()
}

/// Where docker keeps its data, by its own settings.
fn docker_root(settings: &Path) -> PathBuf {
    #[derive(Deserialize)]
    struct Settings {
        #[serde(rename = "data-root")]
        root: Option<PathBuf>,
    }
    read_json::<Settings>(settings)
        .and_then(|settings| settings.root)
        .unwrap_or_else(|| "/var/lib/docker".into())
}

/// Names in docker's data directory: a file for each container, also for those that do not run.
fn read_docker(root: &Path) -> Vec<Named> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Config {
        #[serde(rename = "ID")]
        id: String,
        name: String,
    }
    let entries = fs::read_dir(root.join("containers"))
        .into_iter()
        .flatten()
        .flatten();
    let configs = entries.take(CONTAINERS).filter_map(|entry| {
        let config: Config = read_json(&entry.path().join("config.v2.json"))?;
        Some(Named {
            id: config.id,
            names: vec![config.name],
            image: String::new(),
        })
    });
    configs.collect()
}

/// Names in podman's storage: one file for all.
fn read_podman(path: &Path) -> Vec<Named> {
    read_json(path).unwrap_or_default()
}

fn read_json<T: for<'a> Deserialize<'a>>(path: &Path) -> Option<T> {
    serde_json::from_slice(&read_capped(File::open(path).ok()?, ANSWER).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::thread;

    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("strata-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("scratch directory");
        path
    }

    #[test]
    fn an_engine_answers() {
        let place = scratch("engine");
        let listener = UnixListener::bind(place.join("sock")).expect("bind");
        let engine = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("accept");
            let mut request = [0u8; 64];
            let length = stream.read(&mut request).expect("request");
            assert!(request[..length].starts_with(b"GET /containers/json HTTP/1.0\r\n"));
            let answer = b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n\
                [{\"Id\":\"aa\",\"Names\":[\"/one\",\"/two/one\"],\"Image\":\"web:1\",\"State\":\"running\"},{\"Id\":\"bb\"}]";
            for piece in answer.chunks(20) {
                stream.write_all(piece).expect("answer");
            }
        });
        let found = ask(&place.join("sock"), false).expect("an answer");
        engine.join().expect("engine");
        let names = vec!["/one".to_owned(), "/two/one".to_owned()];
        let expected = [
            Named {
                id: "aa".to_owned(),
                names,
                image: "web:1".to_owned(),
            },
            Named {
                id: "bb".to_owned(),
                names: Vec::new(),
                image: String::new(),
            },
        ];
        assert_eq!(found, expected);
        assert!(ask(&place.join("none"), false).is_err());
        fs::remove_dir_all(&place).expect("clean");
    }

    #[test]
    fn answers_that_are_none() {
        for answer in [
            b"".as_slice(),
            b"HTTP/1.0 500 Oops\r\n\r\n[]",
            b"HTTP/1.0 200 OK\r\n\r\n{\"message\":1}",
            b"HTTP/1.0 200 OK\r\n\r\n[{\"Id\":7}]",
            b"\r\n\r\n[]",
        ] {
            assert_eq!(parse_answer(answer), None);
        }
        assert_eq!(parse_answer(b"HTTP/1.1 200 OK\r\n\r\n[]"), Some(Vec::new()));
    }

    #[test]
    fn data_directories() {
        let place = scratch("data");
        let container = place.join("containers/cc");
        fs::create_dir_all(&container).expect("directory");
        let config = "{\"ID\":\"cc\",\"Name\":\"/web\",\"State\":{}}";
        fs::write(container.join("config.v2.json"), config).expect("config");
        fs::create_dir_all(place.join("containers/spoilt")).expect("directory");
        fs::write(place.join("containers/spoilt/config.v2.json"), "{").expect("config");
        let web = Named {
            id: "cc".to_owned(),
            names: vec!["/web".to_owned()],
            image: String::new(),
        };
        assert_eq!(read_docker(&place), [web]);

        let settings = place.join("daemon.json");
        fs::write(&settings, "{\"data-root\":\"/data/docker\"}").expect("settings");
        assert_eq!(docker_root(&settings), Path::new("/data/docker"));
        assert_eq!(docker_root(&place), Path::new("/var/lib/docker"));

        let podman = place.join("containers.json");
        fs::write(
            &podman,
            "[{\"id\":\"dd\",\"names\":[\"db\"],\"layer\":\"x\"}]",
        )
        .expect("podman");
        assert_eq!(read_podman(&podman)[0].names, ["db"]);
        assert!(read_podman(&settings).is_empty());
        fs::remove_dir_all(&place).expect("clean");
    }
}
