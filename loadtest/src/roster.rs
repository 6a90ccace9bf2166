//! The accounts of a run, and how they come by their access tokens.
//!
//! Making an account costs the server a password hash (tens of milliseconds by design), so a
//! roster is kept in a file: the first run registers, later ones trade each refresh token for a
//! new pair, which costs one digest. All of it goes over the wire, so it works against any server
//! that takes registrations.
//!
//! Owns the file (JSON lines, one account each, readable by its owner only). A refresh token works
//! once: the file is written before the accounts are used.

use std::collections::HashMap;
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
use hongyan_protocol::{ErrorCode, Opcode, pb};
use serde::{Deserialize, Serialize};

use crate::session::{Wire, refusal};
use crate::stream::Endpoint;

/// Longest wait for one answer. Registering queues behind other hashes.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Log-ins at once: enough to keep the server's hashing busy.
const LOGINS_AT_ONCE: usize = 8;
/// Tokens with less life left than this are renewed before a run.
const LIFE_LEFT_MIN: Duration = Duration::from_secs(120);

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
    endpoint: &Endpoint,
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
                        let renewed = renew(endpoint, prefix, index, slot.as_ref())?;
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

/// The account with an access token that is good for the next minutes: as it is, or with the pair
/// that its refresh token buys. Whoever keeps it in a file must write the new pair down.
///
/// # Errors
/// The server cannot be reached or refuses.
pub(crate) fn in_force(
    endpoint: &Endpoint,
    index: usize,
    account: &Account,
) -> anyhow::Result<Account> {
    renew(endpoint, "", index, Some(account))
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

/// Whether `file` is there and has `count` accounts or more.
///
/// # Errors
/// It is there and cannot be read.
pub fn holds(file: Option<&Path>, count: usize) -> anyhow::Result<bool> {
    match file.filter(|file| file.exists()) {
        Some(file) => Ok(read_file(file)?.len() >= count),
        None => Ok(false),
    }
}

/// The accounts in a file, as they are.
///
/// # Errors
/// It cannot be read.
pub fn read_file(file: &Path) -> anyhow::Result<Vec<Account>> {
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

/// Writes the tokens of `accounts` into a file that knows them; others stay as they are.
///
/// # Errors
/// The file cannot be read or written.
pub fn update_file(file: &Path, accounts: &[Account]) -> anyhow::Result<()> {
    let fresh: HashMap<(&str, &str), &Account> = accounts
        .iter()
        .map(|account| ((account.name.as_str(), account.device_id.as_str()), account))
        .collect();
    let mut known = read_file(file)?;
    for account in &mut known {
        if let Some(found) = fresh.get(&(account.name.as_str(), account.device_id.as_str())) {
            *account = (*found).clone();
        }
    }
    write_file(file, &known)
}

/// Brings one account's tokens into force: as they are, by refresh, by registering, by password.
fn renew(
    endpoint: &Endpoint,
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
    let mut wire = Wire::connect(endpoint, index)?;
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

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
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
        let fresh = Account { access_token: "newer".into(), ..account.clone() };
        let other = Account { name: "load-2".into(), ..account.clone() };
        write_file(&file, &[other.clone(), account]).unwrap();
        update_file(&file, &[fresh]).unwrap();
        let read = read_file(&file).unwrap();
        assert_eq!((&*read[0].access_token, &*read[1].access_token), ("token", "newer"));
        assert_eq!(read[0].name, other.name);
        fs::write(&file, "not json").unwrap();
        assert!(read_file(&file).is_err());
    }
}
