//! The command line.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Parser;
use hongyan_client::{Client, ClientBuilder, FileLocalStore, StoreError, pb};

/// Hongyan in the terminal.
///
/// Without arguments it talks to a server on this machine (127.0.0.1:5100)
/// and begins with a login screen. What it keeps (the session, unsent
/// messages, recent history) lies in a directory per server and profile; a
/// second one beside the first takes a profile of its own.
#[derive(Debug, Clone, Parser)]
#[command(name = "hongyan-chat", version, about)]
pub struct Options {
    /// The server, as host:port.
    #[arg(long, default_value = "127.0.0.1:5100")]
    pub server: String,
    /// Encrypt the connection. This is the default unless the server is on
    /// this machine.
    #[arg(long, conflicts_with = "plaintext")]
    pub tls: bool,
    /// Do not encrypt: passwords and messages can be read on the way.
    #[arg(long)]
    pub plaintext: bool,
    /// Trust the certificates in this PEM file alone; means --tls.
    #[arg(long, value_name = "FILE", conflicts_with = "plaintext")]
    pub ca: Option<PathBuf>,
    /// The name in the server's certificate, when it is not the host.
    #[arg(long, value_name = "NAME")]
    pub server_name: Option<String>,
    /// Keeps this session apart from others on the same machine: two profiles
    /// can be two people. Left out, it is the --name; without that, the first
    /// of "default", "2", "3" and so on that no other hongyan-chat uses.
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Where profiles are kept.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// The account name, to log in without the screen.
    #[arg(long)]
    pub name: Option<String>,
    /// The password, in the first line of this file.
    #[arg(long, value_name = "FILE", requires = "name")]
    pub password_file: Option<PathBuf>,
    /// Make the account first when it is not there.
    #[arg(long, requires = "password_file")]
    pub register: bool,
    /// Lines in and out instead of a screen, for scripts.
    #[arg(long)]
    pub plain: bool,
}

impl Options {
    /// The connection is to be encrypted.
    pub fn encrypted(&self) -> bool {
        !self.plaintext && (self.tls || self.ca.is_some() || !is_loopback(&self.server))
    }

    /// The profile that was asked for; none means any free one.
    pub fn profile(&self) -> Option<&str> {
        self.profile.as_deref().or(self.name.as_deref())
    }

    /// The password to log in with, when one is given.
    ///
    /// # Errors
    /// The file cannot be read, or its first line is empty.
    pub fn password(&self) -> anyhow::Result<Option<String>> {
        let Some(path) = &self.password_file else {
            return Ok(None);
        };
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("the password file {} cannot be read", path.display()))?;
        let password = text.lines().next().unwrap_or_default();
        if password.is_empty() {
            bail!("the first line of {} is empty", path.display());
        }
        Ok(Some(password.to_owned()))
    }

    /// Makes the client that these options describe and opens its store; with
    /// it comes the name of the profile.
    ///
    /// # Errors
    /// The store or the certificates cannot be used.
    pub fn client(&self) -> anyhow::Result<(ClientBuilder, String)> {
        let (store, profile) = self.store()?;
        let device = format!("hongyan-chat ({})", std::env::consts::OS);
        let mut builder = Client::builder(self.server.clone())
            .device(pb::DeviceClass::Desktop, device)
            .store(store)
            .configure(|config| {
                config.client = concat!("hongyan-chat/", env!("CARGO_PKG_VERSION")).into();
            });
        builder = match &self.ca {
            Some(path) => {
                let pem = std::fs::read(path)
                    .with_context(|| format!("{} cannot be read", path.display()))?;
                builder.tls_with_roots(pem)
            }
            None if self.encrypted() => builder.tls(),
            None => builder.plaintext(),
        };
        if let Some(name) = &self.server_name {
            builder = builder.server_name(name.clone());
        }
        Ok((builder, profile))
    }

    /// The store of the profile that was asked for, or of the first free one.
    fn store(&self) -> anyhow::Result<(FileLocalStore, String)> {
        let directory = match &self.data_dir {
            Some(directory) => directory.clone(),
            None => data_directory().context("there is no home directory; give --data-dir")?,
        };
        let directory = directory.join(file_name(&self.server));
        if let Some(profile) = self.profile() {
            let store = open_free(&directory.join(file_name(profile)))?;
            let store = store.with_context(|| {
                format!(
                    "the profile \"{profile}\" is in use by another hongyan-chat; give this one another --profile"
                )
            })?;
            return Ok((store, profile.to_owned()));
        }
        for number in 1..=FREE_PROFILES_MAX {
            let profile = if number == 1 { DEFAULT_PROFILE.into() } else { number.to_string() };
            if let Some(store) = open_free(&directory.join(file_name(&profile)))? {
                return Ok((store, profile));
            }
        }
        bail!("{FREE_PROFILES_MAX} profiles are in use; give this one a --profile")
    }
}

/// Opens a profile's store, unless another program uses it.
fn open_free(directory: &Path) -> anyhow::Result<Option<FileLocalStore>> {
    make_private(directory).with_context(|| format!("{} cannot be made", directory.display()))?;
    match FileLocalStore::open(directory) {
        Ok(store) => Ok(Some(store)),
        Err(StoreError::InUse) => Ok(None),
        Err(error) => Err(error).with_context(|| {
            format!("the local store in {} cannot be opened", directory.display())
        }),
    }
}

/// The directory holds tokens: it is the user's own alone.
fn make_private(directory: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

/// Where this user's programs keep data.
fn data_directory() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let base = if cfg!(windows) {
        PathBuf::from(variable("LOCALAPPDATA")?)
    } else if cfg!(target_os = "macos") {
        PathBuf::from(variable("HOME")?).join("Library/Application Support")
    } else if let Some(data) = variable("XDG_DATA_HOME") {
        PathBuf::from(data)
    } else {
        PathBuf::from(variable("HOME")?).join(".local/share")
    };
    Some(base.join("hongyan-chat"))
}

/// Any text as the name of one file: never empty, never a path.
fn file_name(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let mut name = String::new();
    for c in text.chars() {
        match c {
            c if plain(c) => name.push(c),
            // Not in front: a name of dots alone is a directory above.
            '.' if !name.is_empty() => name.push(c),
            c => name.push_str(&format!("%{:x}", u32::from(c))),
        }
    }
    if name.is_empty() {
        name.push('%');
    }
    name
}

/// The address is of this machine, so that nothing goes over a network.
fn is_loopback(server: &str) -> bool {
    let host = server.rsplit_once(':').map_or(server, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The profile that is taken first when none is asked for.
pub const DEFAULT_PROFILE: &str = "default";
const FREE_PROFILES_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn options(arguments: &[&str]) -> Options {
        let arguments = std::iter::once(&"hongyan-chat").chain(arguments);
        Options::try_parse_from(arguments).expect("these are good arguments")
    }

    #[test]
    fn only_this_machine_is_talked_to_in_the_clear() {
        assert!(!options(&[]).encrypted());
        assert!(!options(&["--server", "[::1]:5100"]).encrypted());
        assert!(options(&["--server", "chat.example.org:5100"]).encrypted());
        assert!(options(&["--tls"]).encrypted());
        assert!(options(&["--ca", "ca.pem"]).encrypted());
        let open = options(&["--server", "10.0.0.1:5100", "--plaintext"]);
        assert!(!open.encrypted());
    }

    #[test]
    fn profiles_are_directories_of_their_own() {
        assert_eq!(options(&[]).profile(), None);
        assert_eq!(options(&["--name", "bob"]).profile(), Some("bob"));
        assert_eq!(options(&["--name", "bob", "--profile", "x"]).profile(), Some("x"));
        assert_eq!(file_name("a/../b"), "a%2f..%2fb");
        assert_eq!(file_name(".."), "%2e.");
        assert_eq!(file_name(""), "%");
        assert_ne!(file_name("a/b"), file_name("a_b"));
    }

    #[test]
    fn a_profile_serves_one_program_at_a_time() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().to_str().expect("UTF-8");
        let open = |more: &[&str]| options(&[&["--data-dir", path], more].concat()).store();
        let first = open(&["--profile", "one"]).expect("it is free");
        let error = open(&["--profile", "one"]).expect_err("it is in use");
        assert!(error.to_string().contains("--profile"), "{error}");
        let error = open(&["--name", "one"]).expect_err("a name is a profile");
        assert!(error.to_string().contains("--profile"), "{error}");
        open(&["--profile", "other"]).expect("another profile is free");
        drop(first);
        open(&["--profile", "one"]).expect("it is free again");
    }

    #[test]
    fn a_free_profile_is_taken_when_none_is_asked_for() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().to_str().expect("UTF-8");
        let open = || options(&["--data-dir", path]).store().expect("there is a free one");
        let (first, second, third) = (open(), open(), open());
        assert_eq!([first.1, second.1, third.1], ["default", "2", "3"]);
        drop(second.0);
        let again = open();
        assert_eq!(again.1, "2", "the first that nobody uses");
        let elsewhere = options(&["--data-dir", path, "--server", "127.0.0.1:1"]).store();
        assert_eq!(elsewhere.expect("it is free").1, "default", "each server has its own");
    }
}
