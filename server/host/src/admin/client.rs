//! The command line's side of the admin interface: one request over HTTP/1.1
//! on the loopback, blocking, nothing kept open.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use super::CONTACT_FILE;
use super::wire::{Contact, UserAnswer, UserRequest};

/// How long a server may take to answer.
const LIMIT: Duration = Duration::from_secs(15);
/// Bytes of an answer.
const ANSWER_BYTES_MAX: u64 = 1024 * 1024;

/// Finds the server that runs on `dir`. `None` when none does: there is no
/// contact file, or it is one that a killed server left behind.
///
/// # Errors
/// When the contact file is there and cannot be read.
pub fn find(dir: &Path) -> io::Result<Option<Contact>> {
    let text = match std::fs::read_to_string(dir.join(CONTACT_FILE)) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let contact: Contact = serde_json::from_str(&text)?;
    match TcpStream::connect_timeout(&contact.address, LIMIT) {
        Ok(_) => Ok(Some(contact)),
        Err(_) => Ok(None),
    }
}

/// Asks about one account.
///
/// # Errors
/// When the server does not answer, or not as this version expects.
pub fn ask(contact: &Contact, request: &UserRequest) -> io::Result<UserAnswer> {
    let (status, body) = exchange(contact, "POST", "/v1/users", &serde_json::to_vec(request)?)?;
    if status != 200 {
        let text = String::from_utf8_lossy(&body);
        return Err(io::Error::other(format!("the server answered {status}: {}", text.trim())));
    }
    Ok(serde_json::from_slice(&body)?)
}

/// One request; the status and the body of its answer.
///
/// # Errors
/// When the server does not answer in HTTP.
pub fn exchange(
    contact: &Contact,
    method: &str,
    path: &str,
    body: &[u8],
) -> io::Result<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect_timeout(&contact.address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        contact.token,
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    parse(&answer).ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "that is not HTTP"))
}

/// Status and body. The routes' answers have a known length, so they come
/// whole, not in chunks.
fn parse(answer: &[u8]) -> Option<(u16, Vec<u8>)> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    Some((status, answer[end + 4..].to_vec()))
}
