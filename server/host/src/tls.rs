//! The server's certificate, and how it is changed while the server runs.
//!
//! Connections that are open keep the certificate they were established
//! with; new handshakes take the one in force. A certificate that cannot be
//! read changes nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::TlsListen;

/// Why TLS cannot be served. Exit code 78.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A PEM file could not be read.
    #[error("{}: {detail}", file.display())]
    Pem {
        /// Which file.
        file: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// Certificate and key are no pair, or of a kind that is not taken.
    #[error("certificate and key: {0}")]
    Rustls(#[from] rustls::Error),
}

/// Holds the certificate in force.
#[derive(Debug)]
pub(crate) struct Certificate {
    files: TlsListen,
    current: ArcSwap<CertifiedKey>,
}

impl Certificate {
    /// Reads the files.
    pub(crate) fn open(files: &TlsListen) -> Result<Arc<Self>, TlsError> {
        let current = ArcSwap::from_pointee(read(&files.certificate, &files.key)?);
        Ok(Arc::new(Self { files: files.clone(), current }))
    }

    /// Reads the files again.
    pub(crate) fn reload(&self) -> Result<(), TlsError> {
        self.current.store(Arc::new(read(&self.files.certificate, &self.files.key)?));
        Ok(())
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

/// A server configuration that takes its certificate from `certificate`:
/// TLS 1.2 and 1.3, sessions resumed by ticket, no early data.
pub(crate) fn server_config(certificate: Arc<Certificate>) -> Result<Arc<ServerConfig>, TlsError> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    Ok(Arc::new(config))
}

fn read(certificate: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let pem = |file: &Path| {
        let file = file.to_path_buf();
        move |error: rustls_pki_types::pem::Error| TlsError::Pem { file, detail: error.to_string() }
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(pem(certificate))?;
    if chain.is_empty() {
        let file = certificate.to_path_buf();
        return Err(TlsError::Pem { file, detail: "has no certificate".to_owned() });
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(pem(key))?;
    Ok(CertifiedKey::from_der(chain, private, &aws_lc_rs::default_provider())?)
}
