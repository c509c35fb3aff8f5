//! Requests by HTTP to what the tests started.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Answer {
    pub status: u16,
    /// As they came, a line each.
    pub headers: String,
    pub body: String,
}

impl Answer {
    /// The body of an answer that is one.
    pub fn ok(self) -> Result<String, String> {
        if self.status == 200 {
            return Ok(self.body);
        }
        Err(format!("{}: {}", self.status, self.body.trim()))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.headers.lines().filter_map(|line| line.split_once(':'));
        let found = lines.find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim())
    }
}

/// A port that is free now, which nobody else takes in a moment.
pub fn free_port() -> Result<u16, String> {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| format!("no port is free: {error}"))
}

/// Asks for a path. `accept` is what the client takes.
pub fn get(port: u16, path: &str, accept: &str) -> Result<Answer, String> {
    // As HTTP/1.0, so that the answer comes in one piece and its end is the connection's.
    let request = format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nAccept: {accept}\r\n\r\n");
    let exchange = || -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer)
    };
    let answer = exchange().map_err(|error| match error.kind() {
        ErrorKind::WouldBlock => format!("port {port} does not answer {path}"),
        _ => format!("port {port}: {path}: {error}"),
    })?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let (first, headers) = head.split_once("\r\n").unwrap_or((head, ""));
    let status = first.split(' ').nth(1).and_then(|code| code.parse().ok());
    Ok(Answer {
        status: status.ok_or_else(|| format!("port {port} answers {path} by {first:?}"))?,
        headers: headers.to_owned(),
        body: body.to_owned(),
    })
}

/// A text as a part of a query.
pub fn quoted(text: &str) -> String {
    let bytes = text.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    });
    bytes.collect()
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn odd_characters_are_quoted() {
        assert_eq!(quoted("a_1 {x=\"ü\"}"), "a_1%20%7Bx%3D%22%C3%BC%22%7D");
    }
}
