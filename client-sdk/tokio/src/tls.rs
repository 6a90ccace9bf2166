//! Opening a byte stream to the server: TCP, and TLS over it.
//!
//! Every stream has TCP_NODELAY: writes are batched above it.

use std::sync::Arc;

use hongyan_client_core::ClientError;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{CertificateError, ClientConfig, Error as TlsError, RootCertStore};

/// Whose certificates are trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsRoots {
    /// The public authorities, as Mozilla lists them.
    Public,
    /// These certificates alone, in PEM: for a server with its own authority
    /// or a self-signed certificate.
    Pem(Vec<u8>),
}

/// How to reach the server.
#[derive(Clone)]
pub(crate) struct Endpoint {
    /// `host:port`.
    pub(crate) address: String,
    pub(crate) tls: Option<TlsEndpoint>,
}

#[derive(Clone)]
pub(crate) struct TlsEndpoint {
    connector: TlsConnector,
    server_name: ServerName<'static>,
}

/// Both directions of a connection.
pub(crate) type Reader = Box<dyn AsyncRead + Send + Sync + Unpin>;
/// The writing half.
pub(crate) type Writer = Box<dyn AsyncWrite + Send + Sync + Unpin>;

impl TlsEndpoint {
    /// # Errors
    /// [`ClientError::Invalid`] for a server name or certificates that cannot
    /// be used.
    pub(crate) fn new(roots: &TlsRoots, server_name: &str) -> Result<Self, ClientError> {
        let mut store = RootCertStore::empty();
        match roots {
            TlsRoots::Public => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            TlsRoots::Pem(pem) => {
                for certificate in CertificateDer::pem_slice_iter(pem) {
                    certificate
                        .ok()
                        .and_then(|certificate| store.add(certificate).ok())
                        .ok_or(ClientError::Invalid("a trusted certificate cannot be read"))?;
                }
                if store.is_empty() {
                    return Err(ClientError::Invalid("there is no trusted certificate"));
                }
            }
        }
        // Named, because a program can link more than one provider.
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|_| ClientError::Invalid("TLS is not available"))?
            .with_root_certificates(store)
            .with_no_client_auth();
        let server_name = ServerName::try_from(server_name.to_owned())
            .map_err(|_| ClientError::Invalid("the server name is not valid"))?;
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), server_name })
    }
}

impl Endpoint {
    /// Opens a connection.
    ///
    /// # Errors
    /// [`ClientError::Connect`], [`ClientError::Certificate`],
    /// [`ClientError::SpeaksNoTls`].
    pub(crate) async fn open(&self) -> Result<(Reader, Writer), ClientError> {
        let stream = TcpStream::connect(&self.address).await.map_err(connect_error)?;
        stream.set_nodelay(true).map_err(connect_error)?;
        match &self.tls {
            None => {
                let (reader, writer) = stream.into_split();
                Ok((Box::new(reader), Box::new(writer)))
            }
            Some(tls) => {
                let stream = tls
                    .connector
                    .connect(tls.server_name.clone(), stream)
                    .await
                    .map_err(tls_error)?;
                let (reader, writer) = tokio::io::split(stream);
                Ok((Box::new(reader), Box::new(writer)))
            }
        }
    }
}

/// The host of `host:port`, without brackets.
pub(crate) fn host_of(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

fn connect_error(error: std::io::Error) -> ClientError {
    ClientError::Connect(error.to_string())
}

fn tls_error(error: std::io::Error) -> ClientError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>()) {
        Some(TlsError::InvalidCertificate(why)) => ClientError::Certificate(objection(why)),
        Some(TlsError::InvalidMessage(_)) => ClientError::SpeaksNoTls,
        _ => connect_error(error),
    }
}

/// What is wrong with a certificate, for people.
fn objection(why: &CertificateError) -> String {
    match why {
        CertificateError::UnknownIssuer => "its issuer is not known here".into(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "it has expired".into()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet".into()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for a server of another name".into()
        }
        // The verifier's own error has no type here, only a name.
        CertificateError::Other(other) if other.to_string() == "CaUsedAsEndEntity" => {
            "it is an authority's own certificate (CA:TRUE), not a server's".into()
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_taken_from_addresses() {
        assert_eq!(host_of("chat.example.org:5100"), "chat.example.org");
        assert_eq!(host_of("[::1]:5100"), "::1");
        assert_eq!(host_of("localhost"), "localhost");
    }

    #[test]
    fn unusable_certificates_are_refused_early() {
        assert!(TlsEndpoint::new(&TlsRoots::Pem(b"none".to_vec()), "localhost").is_err());
        assert!(TlsEndpoint::new(&TlsRoots::Public, "not a name").is_err());
        assert!(TlsEndpoint::new(&TlsRoots::Public, "localhost").is_ok());
    }
}
