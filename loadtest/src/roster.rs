//! The accounts of a run, and how they come by their access tokens.
//!
//! Making an account costs the server a password hash (tens of milliseconds by design), so a
//! roster is kept in a file: the first run registers, later ones trade each refresh token for a
//! new pair, which costs one digest. All of it goes over the wire, so it works against any server
//! that takes registrations.
//!
//! Owns the file (JSON lines, one account each, readable by its owner only). A refresh token works
//! once: the file is written before the accounts are used.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use bytes::{Bytes, BytesMut};
use hongyan_protocol::version::{CLIENT_PREFACE, PREFACE_BYTES, negotiate};
use hongyan_protocol::{ErrorCode, Frame, Opcode, frame, limits, pb};
use prost::Message;
use serde::{Deserialize, Serialize};

/// Longest wait for one answer. Registering queues behind other hashes.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Log-ins at once: enough to keep the server's hashing busy.
const LOGINS_AT_ONCE: usize = 8;
/// Tokens with less life left than this are renewed before a run.
const LIFE_LEFT_MIN: Duration = Duration::from_secs(120);
const TRIES_MAX: u32 = 200;

/// One account with the means to open a session.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Account {
    /// Account name.
    pub name: String,
    /// The device that the tokens are for.
    pub device_id: String,
    /// The server's id of it.
    pub user_id: u64,
    /// For Hello.
    pub access_token: String,
    /// Milliseconds since 1970.
    pub access_expires_ms: u64,
    /// Works once.
    pub refresh_token: String,
}

/// Makes sure that the first `count` accounts of the roster exist and have tokens in force.
///
/// # Errors
/// The server cannot be reached, refuses registrations, or knows a name with another password;
/// or the file cannot be read or written.
pub fn prepare(
    addr: SocketAddr,
    count: usize,
    prefix: &str,
    file: Option<&Path>,
) -> anyhow::Result<Vec<Account>> {
    let mut known = match file {
        Some(file) if file.exists() => read_file(file)?,
        _ => Vec::new(),
    };
    known.retain(|account| account.name.starts_with(prefix));
    let slots: Vec<Mutex<Option<Account>>> =
        (0..count.max(known.len())).map(|index| Mutex::new(known.get(index).cloned())).collect();
    let next = AtomicUsize::new(0);
    let failed = thread::scope(|scope| {
        let workers: Vec<_> = (0..LOGINS_AT_ONCE.min(count))
            .map(|_| {
                scope.spawn(|| -> anyhow::Result<()> {
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        if index >= count {
                            return Ok(());
                        }
                        let mut slot = lock(&slots[index]);
                        let renewed = renew(addr, prefix, index, slot.as_ref())?;
                        *slot = Some(renewed);
                    }
                })
            })
            .collect();
        workers.into_iter().find_map(|worker| match worker.join() {
            Ok(outcome) => outcome.err(),
            Err(_) => Some(anyhow::anyhow!("a log-in thread panicked")),
        })
    });
    let accounts: Vec<Account> = slots.into_iter().map_while(|slot| lock(&slot).take()).collect();
    if let Some(file) = file {
        write_file(file, &accounts)?;
    }
    match failed {
        Some(error) => Err(error),
        None if accounts.len() < count => bail!("{} of {count} accounts are ready", accounts.len()),
        None => Ok(accounts.into_iter().take(count).collect()),
    }
}

/// Tokens for `devices` devices of each account, made by the operator's interface: opening many
/// sessions costs no password hashes that way. Device by device, the first of every account first.
///
/// # Errors
/// The interface does not answer or refuses.
pub fn issue_devices(
    operator: &Operator,
    accounts: &[Account],
    devices: usize,
) -> anyhow::Result<Vec<Account>> {
    let wanted: Vec<(usize, &Account)> =
        (0..devices).flat_map(|device| accounts.iter().map(move |user| (device, user))).collect();
    let share = wanted.len().div_ceil(LOGINS_AT_ONCE).max(1);
    let parts: Vec<anyhow::Result<Vec<Account>>> = thread::scope(|scope| {
        let workers: Vec<_> = wanted
            .chunks(share)
            .map(|part| {
                scope.spawn(move || {
                    part.iter()
                        .map(|(device, account)| operator.issue(account, &format!("idle-{device}")))
                        .collect()
                })
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|_| bail!("a thread panicked")))
            .collect()
    });
    let mut issued = Vec::with_capacity(wanted.len());
    for part in parts {
        issued.extend(part?);
    }
    Ok(issued)
}

/// The server's interface for operators.
#[derive(Debug, Clone, Deserialize)]
pub struct Operator {
    address: SocketAddr,
    token: String,
}

#[derive(Debug, Deserialize)]
struct Issued {
    access_token: Option<String>,
    #[serde(default)]
    access_expires_ms: u64,
    #[serde(default)]
    refresh_token: String,
}

impl Operator {
    /// From the contact file that the server keeps in its data directory.
    ///
    /// # Errors
    /// There is none: the server does not run, or its interface is off.
    pub fn of_data(data: &Path) -> anyhow::Result<Self> {
        let file = data.join("admin.json");
        let text =
            fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
        serde_json::from_str(&text).with_context(|| format!("reading {}", file.display()))
    }

    fn issue(&self, account: &Account, device_id: &str) -> anyhow::Result<Account> {
        let request = serde_json::json!({
            "do": "issue_token", "name": account.name, "device_id": device_id,
        })
        .to_string();
        let mut stream = TcpStream::connect_timeout(&self.address, CONNECT_TIMEOUT)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        write!(
            stream,
            "POST /v1/users HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{request}",
            self.address,
            self.token,
            request.len()
        )?;
        let mut answer = String::new();
        stream.take(64 * 1024).read_to_string(&mut answer)?;
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let issued: Issued = serde_json::from_str(body)
            .with_context(|| format!("issuing a token: {}", answer.lines().next().unwrap_or("")))?;
        Ok(Account {
            device_id: device_id.to_owned(),
            access_token: issued
                .access_token
                .with_context(|| format!("issuing a token for {}: {body}", account.name))?,
            access_expires_ms: issued.access_expires_ms,
            refresh_token: issued.refresh_token,
            ..account.clone()
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn read_file(file: &Path) -> anyhow::Result<Vec<Account>> {
    let text = fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| serde_json::from_str(line).context("a line that is no account"))
        .collect::<anyhow::Result<_>>()
        .with_context(|| format!("reading {}", file.display()))
}

/// Replaces the file as a whole.
///
/// # Errors
/// The file cannot be written; the one before is still there.
pub fn write_file(file: &Path, accounts: &[Account]) -> anyhow::Result<()> {
    let mut text = Vec::new();
    for account in accounts {
        serde_json::to_writer(&mut text, account)?;
        text.push(b'\n');
    }
    let fresh = file.with_extension("new");
    fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&fresh)
        .and_then(|mut open| open.write_all(&text))
        .and_then(|()| fs::rename(&fresh, file))
        .with_context(|| format!("writing {}", file.display()))
}

/// Brings one account's tokens into force: as they are, by refresh, by registering, by password.
fn renew(
    addr: SocketAddr,
    prefix: &str,
    index: usize,
    known: Option<&Account>,
) -> anyhow::Result<Account> {
    let needed_ms = unix_ms() + LIFE_LEFT_MIN.as_millis() as u64;
    if let Some(account) = known
        && account.access_expires_ms > needed_ms
    {
        return Ok(account.clone());
    }
    let name = known.map_or_else(|| format!("{prefix}{index}"), |account| account.name.clone());
    let device_id =
        known.map_or_else(|| format!("loadtest-{index}"), |account| account.device_id.clone());
    let password = format!("only for load tests: {name}");
    let mut wire = Wire::connect(addr)?;
    wire.greet(&device_id, String::new())?;
    let refreshed = match known {
        Some(account) if !account.refresh_token.is_empty() => {
            let refresh = pb::Refresh { refresh_token: account.refresh_token.clone() };
            wire.ask(Opcode::Refresh, &refresh)?.ok()
        }
        _ => None,
    };
    let session: pb::Session = match refreshed {
        Some(session) => session,
        None => {
            let register = pb::Register {
                name: name.clone(),
                password: password.clone(),
                display_name: String::new(),
            };
            match wire.ask(Opcode::Register, &register)? {
                Ok(session) => session,
                Err(error) if error.code == ErrorCode::NameTaken.number() => wire
                    .ask(Opcode::Login, &pb::Login { name: name.clone(), password })?
                    .map_err(|error| refusal(&format!("logging {name} in"), &error))?,
                Err(error) => return Err(refusal(&format!("registering {name}"), &error)),
            }
        }
    };
    let tokens = session.tokens.context("the session came without tokens")?;
    Ok(Account {
        name,
        device_id,
        user_id: session.user_id,
        access_token: tokens.access_token,
        access_expires_ms: tokens.access_expires_ms,
        refresh_token: tokens.refresh_token,
    })
}

fn refusal(what: &str, error: &pb::Error) -> anyhow::Error {
    let name = ErrorCode::from_number(error.code).map_or("unknown", ErrorCode::name);
    anyhow::anyhow!("{what}: the server answered {} ({name}) {}", error.code, error.message)
}

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// A blocking connection for the requests around a run; never part of what is measured.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    last_request: u64,
}

impl Wire {
    /// Connects and exchanges prefaces.
    pub(crate) fn connect(addr: SocketAddr) -> anyhow::Result<Self> {
        let mut stream = TcpStream::connect_timeout(&addr, CONNECT_TIMEOUT)
            .with_context(|| format!("connecting to {addr}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
        stream.write_all(&CLIENT_PREFACE)?;
        let mut preface = [0; PREFACE_BYTES];
        stream.read_exact(&mut preface).context("waiting for the server's preface")?;
        negotiate(&preface)?;
        Ok(Self { stream, last_request: 0 })
    }

    /// Says hello; with a token this opens the session.
    pub(crate) fn greet(
        &mut self,
        device_id: &str,
        access_token: String,
    ) -> anyhow::Result<pb::Welcome> {
        let hello = pb::Hello {
            client: concat!("hongyan-loadtest/", env!("CARGO_PKG_VERSION")).to_owned(),
            device: Some(pb::Device {
                id: device_id.to_owned(),
                class: pb::DeviceClass::Bot.into(),
                name: "load test".to_owned(),
            }),
            max_frame_bytes: 0,
            access_token,
            resume: None,
        };
        self.ask(Opcode::Hello, &hello)?.map_err(|error| refusal("saying hello", &error))
    }

    /// Sends a request and waits for its reply, trying again when the server says when.
    pub(crate) fn ask<M: Message + Default>(
        &mut self,
        opcode: Opcode,
        message: &impl Message,
    ) -> anyhow::Result<Result<M, pb::Error>> {
        for _ in 0..TRIES_MAX {
            self.last_request += 1;
            let mut out = BytesMut::new();
            frame::encode_message(opcode, self.last_request, message, &mut out);
            self.stream.write_all(&out)?;
            let reply = self.reply()?;
            if reply.opcode != Opcode::Error.number() {
                return Ok(Ok(reply.message()?));
            }
            let error: pb::Error = reply.message()?;
            if error.retry_after_ms == 0 {
                return Ok(Err(error));
            }
            thread::sleep(Duration::from_millis(u64::from(error.retry_after_ms.min(1_000))));
        }
        bail!("the server stayed busy");
    }

    /// The stream, once nothing more is asked through here.
    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// The reply to the last request; pushes on the way are passed over. Reads not a byte more.
    fn reply(&mut self) -> anyhow::Result<Frame> {
        loop {
            let frame = self.read_frame()?;
            if frame.opcode == Opcode::Goodbye.number() {
                let goodbye: pb::Goodbye = frame.message()?;
                bail!("the server said goodbye: {} {}", goodbye.code, goodbye.message);
            }
            if frame.request == self.last_request {
                return Ok(frame);
            }
        }
    }

    fn read_frame(&mut self) -> anyhow::Result<Frame> {
        let mut len = 0_usize;
        for index in 0..limits::LENGTH_PREFIX_BYTES_MAX {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).context("waiting for an answer")?;
            len |= usize::from(byte[0] & 0x7f) << (7 * index);
            if byte[0] & 0x80 == 0 {
                break;
            }
        }
        if len > limits::FRAME_BYTES_MAX {
            bail!("the server sent a frame of {len} bytes");
        }
        let mut bytes = vec![0; len];
        self.stream.read_exact(&mut bytes)?;
        Ok(Frame::decode(Bytes::from(bytes))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_roster_survives_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("users.jsonl");
        let account = Account {
            name: "load-1".into(),
            device_id: "loadtest-1".into(),
            user_id: 4097,
            access_token: "token".into(),
            access_expires_ms: 5,
            refresh_token: "again".into(),
        };
        write_file(&file, &[account.clone(), account.clone()]).unwrap();
        let read = read_file(&file).unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!((read[1].user_id, &read[1].refresh_token), (4097, &account.refresh_token));
        fs::write(&file, "not json").unwrap();
        assert!(read_file(&file).is_err());
    }
}
