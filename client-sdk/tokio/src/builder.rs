//! Making a [`Client`].

use std::time::Duration;

use hongyan_client_core::{
    ClientError, CoreConfig, Credentials, DeviceInfo, LocalStore, MemoryLocalStore, StoreError,
    StoredState, pb,
};

use crate::client::Client;
use crate::driver;
use crate::tls::{Endpoint, TlsEndpoint, TlsRoots, host_of};

/// A change of the settings, applied at the end.
type Change = Box<dyn FnOnce(&mut CoreConfig) + Send>;

/// What a [`Client`] is made of; start with [`Client::builder`].
pub struct ClientBuilder {
    address: String,
    roots: Option<TlsRoots>,
    server_name: Option<String>,
    device_id: Option<String>,
    device_class: pb::DeviceClass,
    device_name: String,
    store: Box<dyn LocalStore>,
    credentials: Option<Credentials>,
    events_max: usize,
    configure: Vec<Change>,
}

impl ClientBuilder {
    pub(crate) fn new(address: String) -> Self {
        Self {
            address,
            roots: Some(TlsRoots::Public),
            server_name: None,
            device_id: None,
            device_class: pb::DeviceClass::Desktop,
            device_name: String::new(),
            store: Box::new(MemoryLocalStore::new()),
            credentials: None,
            events_max: 1_024,
            configure: Vec::new(),
        }
    }

    /// TLS with the public authorities. This is the default.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.roots = Some(TlsRoots::Public);
        self
    }

    /// TLS that trusts these PEM certificates alone.
    #[must_use]
    pub fn tls_with_roots(mut self, certificates_pem: impl Into<Vec<u8>>) -> Self {
        self.roots = Some(TlsRoots::Pem(certificates_pem.into()));
        self
    }

    /// The name that the server's certificate must bear; the host of the
    /// address when not set.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// No TLS: passwords and messages can be read on the way. For a server on
    /// the same machine.
    #[must_use]
    pub fn plaintext(mut self) -> Self {
        self.roots = None;
        self
    }

    /// What kind of device this is and what lists call it (at most 64 bytes).
    #[must_use]
    pub fn device(mut self, class: pb::DeviceClass, name: impl Into<String>) -> Self {
        self.device_class = class;
        self.device_name = name.into();
        self
    }

    /// The device's id, 1 to 64 bytes. When not set, the one in the store, or
    /// a new one.
    #[must_use]
    pub fn device_id(mut self, id: impl Into<String>) -> Self {
        self.device_id = Some(id.into());
        self
    }

    /// Where state outlives the process. When not set, nothing does.
    #[must_use]
    pub fn store(mut self, store: impl LocalStore + 'static) -> Self {
        self.store = Box::new(store);
        self
    }

    /// Signs in with these when the store holds no tokens.
    #[must_use]
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// Events that a slow subscriber may lag behind; 1,024 when not set, at
    /// least 1. Up to four times as many more are held for it, each for a second
    /// at most; then it loses the oldest.
    #[must_use]
    pub fn events_max(mut self, events_max: usize) -> Self {
        self.events_max = events_max.max(1);
        self
    }

    /// Waits this long for the reply to a request.
    #[must_use]
    pub fn request_timeout(self, timeout: Duration) -> Self {
        self.configure(move |config| config.request_timeout_ms = millis(timeout))
    }

    /// Changes other settings.
    #[must_use]
    pub fn configure(mut self, change: impl FnOnce(&mut CoreConfig) + Send + 'static) -> Self {
        self.configure.push(Box::new(change));
        self
    }

    /// Opens the store and starts the client. It connects at once when the
    /// store holds tokens or credentials were given; this does not wait for
    /// it.
    ///
    /// # Errors
    /// [`ClientError::Invalid`] for settings that cannot work,
    /// [`ClientError::Storage`] when the store cannot be opened.
    pub async fn build(self) -> Result<Client, ClientError> {
        let tls = match &self.roots {
            None => None,
            Some(roots) => {
                let name = self.server_name.as_deref().unwrap_or(host_of(&self.address));
                Some(TlsEndpoint::new(roots, name)?)
            }
        };
        let (store, stored) = load(self.store).await?;
        let id = self
            .device_id
            .or_else(|| stored.device_id.clone())
            .unwrap_or_else(|| uuid::Uuid::new_v4().simple().to_string());
        if id.is_empty() || id.len() > hongyan_protocol::limits::DEVICE_ID_BYTES_MAX {
            return Err(ClientError::Invalid("the device id is not 1 to 64 bytes"));
        }
        let device = DeviceInfo { id, class: self.device_class, name: self.device_name };
        let mut config = CoreConfig::new(device);
        for change in self.configure {
            change(&mut config);
        }
        let endpoint = Endpoint { address: self.address, tls };
        Ok(driver::start(endpoint, config, store, stored, self.credentials, self.events_max))
    }
}

async fn load(
    mut store: Box<dyn LocalStore>,
) -> Result<(Box<dyn LocalStore>, StoredState), ClientError> {
    let storage = |error: StoreError| ClientError::Storage(error.to_string());
    if !store.is_blocking() {
        let stored = store.load().map_err(storage)?;
        return Ok((store, stored));
    }
    tokio::task::spawn_blocking(move || store.load().map(|stored| (store, stored)))
        .await
        .map_err(|error| ClientError::Storage(error.to_string()))?
        .map_err(storage)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 4)
}
