//! `strata agent --health`: asks the agent that runs here how it is, for those who can only start a
//! program and look at its exit code, as container engines do.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::args::AgentArgs;
use super::config::Loaded;

/// For all of it. Container engines wait longer.
const PATIENCE: Duration = Duration::from_secs(5);
/// What the agent answers is far shorter.
const LONGEST: usize = 4 << 10;

#[derive(Debug, thiserror::Error)]
enum HealthError {
    #[error(
        "The agent can't be asked for its health: `listen` is off. Set it to an address, such as \
         127.0.0.1:7071."
    )]
    Off,
    #[error(
        "No agent answers at {address}: {source}. If one runs, it listens elsewhere: give this the \
         same --config, flags and STRATA_ variables."
    )]
    Silent {
        address: SocketAddr,
        source: io::Error,
    },
    #[error(
        "What answers at {address} is no agent of Strata; another program has this port. It says \
         {said:?}."
    )]
    Foreign { address: SocketAddr, said: String },
    #[error("The agent at {address} does not live: {why}")]
    Unwell { address: SocketAddr, why: String },
}

/// 0 if it lives, else 1, with the reason on stderr: container engines know no other codes.
pub fn run(args: &AgentArgs) -> ExitCode {
    let loaded = match Loaded::new(args) {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("strata: {error}");
            return ExitCode::FAILURE;
        }
    };
    match ask(loaded.config.listen) {
        Ok(address) => {
            println!("The agent at {address} lives.");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("strata: {error}");
            ExitCode::FAILURE
        }
    }
}

fn ask(listen: Option<SocketAddr>) -> Result<SocketAddr, HealthError> {
    let address = reachable(listen.ok_or(HealthError::Off)?);
    let answer = exchange(address).map_err(|source| HealthError::Silent { address, source })?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.get(2..5));
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let said = |text: &str| text.trim().chars().take(400).collect();
    match status {
        Some("200") if body.trim() == "ok" => Ok(address),
        Some("503") => Err(HealthError::Unwell {
            address,
            why: said(body),
        }),
        _ => Err(HealthError::Foreign {
            address,
            said: said(answer.lines().next().unwrap_or_default()),
        }),
    }
}

/// Who listens on all addresses is asked at the loopback one.
fn reachable(mut listen: SocketAddr) -> SocketAddr {
    match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => listen.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => listen.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    listen
}

/// Sends the question and reads to the end of the answer, or as much of it as one of ours may have.
fn exchange(address: SocketAddr) -> io::Result<Vec<u8>> {
    let until = Instant::now() + PATIENCE;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(format!("GET /healthz HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    let mut buffer = [0; 1024];
    while answer.len() < LONGEST {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => answer.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::thread;

    use super::*;
    use crate::telemetry::{Telemetry, serve};

    const ANY_PORT: &str = "127.0.0.1:0";

    /// Somebody who answers once, whatever is asked.
    fn answering(answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind(ANY_PORT).unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(answer.as_bytes());
        });
        address
    }

    fn told(listen: Option<SocketAddr>) -> String {
        ask(listen).unwrap_err().to_string()
    }

    /// The real server, which has been silent for less than a minute.
    #[test]
    fn an_agent_that_runs_lives() {
        let address = serve(ANY_PORT.parse().unwrap(), Arc::new(Telemetry::default())).unwrap();
        assert_eq!(ask(Some(address)).unwrap(), address);
        let everywhere = serve("0.0.0.0:0".parse().unwrap(), Arc::default()).unwrap();
        let asked = ask(Some(everywhere)).unwrap();
        assert!(asked.ip().is_loopback() && asked.port() == everywhere.port());
    }

    #[test]
    fn one_that_does_not_live_says_why() {
        let address = answering(
            "HTTP/1.1 503 Service Unavailable\r\nx: y\r\n\r\nThe main loop has not been heard of.\n",
        );
        let text = told(Some(address));
        assert!(
            text.ends_with("does not live: The main loop has not been heard of."),
            "{text}"
        );
    }

    #[test]
    fn nobody_and_others_are_no_agent() {
        assert!(told(None).contains("`listen` is off"));
        let gone = TcpListener::bind(ANY_PORT).unwrap().local_addr().unwrap();
        let text = told(Some(gone));
        assert!(
            text.contains("No agent answers") && text.contains("STRATA_"),
            "{text}"
        );
        for other in [
            "HTTP/1.1 200 OK\r\n\r\n<html>",
            "HTTP/1.1 404 Not Found\r\n\r\n",
            "SSH-2.0-OpenSSH_9.2\r\n",
            "HTTP/1.",
            "",
        ] {
            let text = told(Some(answering(other)));
            assert!(text.contains("is no agent of Strata"), "{other:?}: {text}");
        }
    }

    #[test]
    fn all_addresses_are_asked_at_the_loopback_one() {
        let asked = |listen: &str| reachable(listen.parse().unwrap()).to_string();
        assert_eq!(asked("0.0.0.0:7071"), "127.0.0.1:7071");
        assert_eq!(asked("[::]:7071"), "[::1]:7071");
        assert_eq!(asked("10.0.0.7:1"), "10.0.0.7:1");
    }
}
