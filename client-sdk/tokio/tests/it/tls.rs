//! Encrypted connections, and what is said when one cannot be had.

use std::sync::Arc;
use std::time::Duration;

use hongyan_client::{Client, ClientBuilder, ClientError};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::peer::Peer;

/// Far longer than anything here takes; a test that hangs must end.
const PATIENCE: Duration = Duration::from_secs(60);

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it happens in time")
}

/// A peer that shows a certificate for `localhost`, and the certificate.
async fn peer(is_ca: IsCa) -> (Peer, String) {
    let mut params =
        CertificateParams::new(vec!["localhost".to_owned()]).expect("the name is valid");
    params.is_ca = is_ca;
    let key = KeyPair::generate().expect("a key can be made");
    let certificate = params.self_signed(&key).expect("a certificate can be made");
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has them")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("the key fits");
    let peer = Peer::start_with(Some(TlsAcceptor::from(Arc::new(config)))).await;
    (peer, certificate.pem())
}

/// What signing in at `address` fails with.
async fn refused(builder: ClientBuilder) -> ClientError {
    let client = builder.build().await.expect("the settings are valid");
    within(client.login("bob", "password")).await.expect_err("there is no session")
}

/// Something that answers every connection with these bytes.
async fn stranger(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut asked = [0; 1_024];
            if matches!(stream.read(&mut asked).await, Ok(read) if read > 0) {
                stream.write_all(answer).await.ok();
            }
            // Until the client goes away.
            stream.read_to_end(&mut Vec::new()).await.ok();
        }
    });
    address
}

#[tokio::test]
async fn tls_with_an_own_authority() {
    let (peer, pem) = peer(IsCa::NoCa).await;
    let builder = Client::builder(peer.address.to_string()).tls_with_roots(pem);
    let client = builder.server_name("localhost").build().await.expect("the settings are valid");
    within(client.register("alice", "password", "")).await.expect("TLS works");
    within(client.wait_live()).await.expect("it goes live");
}

#[tokio::test]
async fn why_a_certificate_is_not_trusted_is_said() {
    let (server, pem) = peer(IsCa::NoCa).await;
    let at = || Client::builder(server.address.to_string());
    let why = |text: &str| ClientError::Certificate(text.into());
    let unknown = refused(at().tls().server_name("localhost")).await;
    assert_eq!(unknown, why("its issuer is not known here"));
    let other = refused(at().tls_with_roots(pem).server_name("example.org")).await;
    assert_eq!(other, why("it is for a server of another name"));
    let (authority, pem) = peer(IsCa::Ca(BasicConstraints::Unconstrained)).await;
    let builder = Client::builder(authority.address.to_string()).tls_with_roots(pem);
    let leaf = refused(builder.server_name("localhost")).await;
    assert_eq!(leaf, why("it is an authority's own certificate (CA:TRUE), not a server's"));
}

#[tokio::test]
async fn strangers_are_told_from_a_server_that_is_asked_the_wrong_way() {
    // What a TLS server says to a client that begins without TLS.
    let alert = stranger(&[21, 3, 3, 0, 2, 2, 50]).await;
    assert_eq!(refused(Client::builder(alert).plaintext()).await, ClientError::NeedsTls);
    let web = stranger(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    assert_eq!(refused(Client::builder(&web).plaintext()).await, ClientError::NotHongyan);
    let encrypted = Client::builder(&web).tls().server_name("localhost");
    assert_eq!(refused(encrypted).await, ClientError::SpeaksNoTls);
}
