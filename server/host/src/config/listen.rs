//! Where clients connect, checked.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::checked::{address, refuse, within};
use super::{ConfigError, Origin, RawConfig};

/// Where clients connect.
#[derive(Debug, Clone)]
pub struct ListenConfig {
    /// Plain TCP.
    pub tcp: Option<SocketAddr>,
    /// TLS.
    pub tls: Option<TlsListen>,
    /// WebSocket; `None`: off.
    pub websocket: Option<WebSocketConfig>,
    /// Reactor threads, 1 to 16.
    pub shards: u16,
}

/// A listener that speaks TLS.
#[derive(Debug, Clone)]
pub struct TlsListen {
    /// Where.
    pub address: SocketAddr,
    /// PEM file with the certificate chain.
    pub certificate: PathBuf,
    /// PEM file with the private key.
    pub key: PathBuf,
}

/// Where browsers connect. At least one of the addresses is there.
#[derive(Debug, Clone)]
pub struct WebSocketConfig {
    /// Plain.
    pub plain: Option<SocketAddr>,
    /// Over TLS.
    pub tls: Option<TlsListen>,
    /// The path of the address, with its slash.
    pub path: String,
    /// Pages that may connect; none: those of the same host.
    pub allowed_origins: Vec<Origin>,
}

/// The web app.
#[derive(Debug, Clone)]
pub struct WebConfig {
    /// Folder with its files.
    pub dir: PathBuf,
    /// Where.
    pub address: SocketAddr,
}

impl ListenConfig {
    /// A listener that speaks TLS; all of them have the same files.
    pub fn any_tls(&self) -> Option<&TlsListen> {
        let websocket = self.websocket.as_ref();
        self.tls.as_ref().or_else(|| websocket.and_then(|websocket| websocket.tls.as_ref()))
    }
}

/// Checks `[listen]` and `[websocket]`.
pub(super) fn check(raw: &RawConfig) -> Result<ListenConfig, ConfigError> {
    let tcp = plain(raw, "listen.tcp", "listen.tls", &raw.listen.tcp)?;
    let tls = tls(raw, "listen.tls", &raw.listen.tls)?;
    let websocket = check_websocket(raw)?;
    let none = tls.is_none() && websocket.as_ref().is_none_or(|it| it.tls.is_none());
    if none && !(raw.listen.tls_certificate.is_empty() && raw.listen.tls_key.is_empty()) {
        return refuse("listen.tls", "is empty, but a certificate or a key is given");
    }
    let shards = match raw.listen.shards {
        0 => std::thread::available_parallelism().map_or(1, |n| n.get().min(16) as u16),
        given => within("listen.shards", given.into(), 1..=16)? as u16,
    };
    let listen = ListenConfig { tcp, tls, websocket, shards };
    check_distinct(&listen)?;
    Ok(listen)
}

fn plain(
    raw: &RawConfig,
    key: &'static str,
    safer: &str,
    text: &str,
) -> Result<Option<SocketAddr>, ConfigError> {
    let plain = address(key, text)?;
    match plain {
        Some(plain) if !plain.ip().is_loopback() && !raw.listen.allow_plaintext => refuse(
            key,
            format!(
                "{} can be reached from other machines and is not encrypted: set {safer}, or \
                 say listen.allow_plaintext = true if something in front of it encrypts",
                plain.ip()
            ),
        ),
        plain => Ok(plain),
    }
}

fn tls(raw: &RawConfig, key: &'static str, text: &str) -> Result<Option<TlsListen>, ConfigError> {
    let Some(address) = address(key, text)? else {
        return Ok(None);
    };
    let listen = &raw.listen;
    if listen.tls_certificate.is_empty() || listen.tls_key.is_empty() {
        let why = format!("{key} needs listen.tls_certificate and listen.tls_key");
        return refuse("listen.tls_certificate", why);
    }
    let (certificate, key) = (listen.tls_certificate.clone().into(), listen.tls_key.clone().into());
    Ok(Some(TlsListen { address, certificate, key }))
}

fn check_websocket(raw: &RawConfig) -> Result<Option<WebSocketConfig>, ConfigError> {
    let websocket = &raw.websocket;
    let plain = plain(raw, "websocket.listen", "websocket.tls", &websocket.listen)?;
    let tls = tls(raw, "websocket.tls", &websocket.tls)?;
    let path = &websocket.path;
    let good = path.starts_with('/')
        && path.len() <= PATH_BYTES_MAX
        && path.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#\"\\<>%".contains(&byte));
    if !good {
        return refuse("websocket.path", "is a path such as \"/ws\"");
    }
    let origins: Option<Vec<Origin>> =
        websocket.allowed_origins.iter().map(|origin| Origin::parse(origin)).collect();
    let Some(allowed_origins) = origins else {
        let why = "each is as a browser names it, such as \"https://chat.example\", or \"*\"";
        return refuse("websocket.allowed_origins", why);
    };
    if plain.is_none() && tls.is_none() {
        return Ok(None);
    }
    if !cfg!(feature = "websocket") {
        let why = "this server was built without WebSocket: leave it and websocket.tls empty";
        return refuse("websocket.listen", why);
    }
    Ok(Some(WebSocketConfig { plain, tls, path: path.clone(), allowed_origins }))
}

/// Checks `[web]`.
pub(super) fn check_web(raw: &RawConfig) -> Result<Option<WebConfig>, ConfigError> {
    let address = plain(raw, "web.listen", "it behind a proxy that encrypts", &raw.web.listen)?;
    if raw.web.dir.is_empty() {
        return Ok(None);
    }
    if !cfg!(feature = "web") {
        return refuse("web.dir", "this server was built without the web app: leave it empty");
    }
    match address {
        None => refuse("web.listen", "is needed beside web.dir"),
        Some(address) => Ok(Some(WebConfig { dir: raw.web.dir.clone().into(), address })),
    }
}

/// Longest path of the WebSocket.
const PATH_BYTES_MAX: usize = 256;

/// No address is asked for twice.
fn check_distinct(listen: &ListenConfig) -> Result<(), ConfigError> {
    let websocket = listen.websocket.as_ref();
    let of_tls = |tls: Option<&TlsListen>| tls.map(|tls| tls.address);
    let places = [
        ("listen.tcp", listen.tcp),
        ("listen.tls", of_tls(listen.tls.as_ref())),
        ("websocket.listen", websocket.and_then(|it| it.plain)),
        ("websocket.tls", of_tls(websocket.and_then(|it| it.tls.as_ref()))),
    ];
    for (index, (key, address)) in places.iter().enumerate() {
        let same = |(_, other): &&(&str, Option<SocketAddr>)| {
            address.is_some_and(|address| address.port() != 0) && other == address
        };
        if let Some((before, _)) = places[..index].iter().find(same) {
            return refuse(key, format!("is the same as {before}"));
        }
    }
    Ok(())
}

#[cfg(test)]
#[cfg(feature = "websocket")]
mod tests {
    use super::super::Config;
    use super::*;

    fn refused(change: impl FnOnce(&mut RawConfig)) -> &'static str {
        let mut raw = RawConfig::default();
        change(&mut raw);
        match Config::check(&raw) {
            Err(ConfigError::Refused { key, .. }) => key,
            other => panic!("taken: {other:?}"),
        }
    }

    #[test]
    fn the_websocket_is_held_to_what_holds_for_tcp() {
        let open = |raw: &mut RawConfig| raw.websocket.listen = "0.0.0.0:5200".into();
        assert_eq!(refused(open), "websocket.listen");
        let mut raw = RawConfig::default();
        open(&mut raw);
        raw.listen.allow_plaintext = true;
        assert!(Config::check(&raw).is_ok());
        assert_eq!(refused(|raw| raw.websocket.tls = "[::1]:1".into()), "listen.tls_certificate");
        assert_eq!(
            refused(|raw| raw.websocket.listen = raw.listen.tcp.clone()),
            "websocket.listen"
        );
    }

    #[test]
    fn one_certificate_serves_both() {
        let mut raw = RawConfig::default();
        raw.websocket.tls = "127.0.0.1:5201".into();
        raw.listen.tls_certificate = "c.pem".into();
        raw.listen.tls_key = "k.pem".into();
        let config = Config::check(&raw).unwrap();
        let tls = config.listen.any_tls().unwrap();
        assert_eq!((tls.address.port(), tls.key.as_path()), (5201, "k.pem".as_ref()));
    }

    #[test]
    #[cfg(feature = "web")]
    fn the_web_app_is_off_without_a_folder() {
        assert!(Config::check(&RawConfig::default()).unwrap().web.is_none());
        let mut raw = RawConfig::default();
        raw.web.dir = "site".into();
        assert_eq!(Config::check(&raw).unwrap().web.unwrap().address.port(), 5280);
        let with = |listen: &str| {
            let listen = listen.to_owned();
            refused(move |raw| (raw.web.dir, raw.web.listen) = ("site".into(), listen))
        };
        assert_eq!(with(""), "web.listen");
        assert_eq!(with("0.0.0.0:80"), "web.listen");
    }

    #[test]
    fn without_an_address_there_is_no_websocket() {
        let mut raw = RawConfig::default();
        raw.websocket.listen.clear();
        assert!(Config::check(&raw).unwrap().listen.websocket.is_none());
    }

    #[test]
    fn paths_and_origins_are_what_they_should_be() {
        for bad in ["", "ws", "/w s", "/ws?x", "/ws#x", "/w%41"] {
            assert_eq!(refused(|raw| raw.websocket.path = bad.into()), "websocket.path", "{bad}");
        }
        let origin = |origin: &str| {
            let origin = origin.to_owned();
            refused(move |raw| raw.websocket.allowed_origins = vec![origin])
        };
        assert_eq!(origin("chat.example"), "websocket.allowed_origins");
        assert_eq!(origin("https://chat.example/"), "websocket.allowed_origins");
    }
}
