//! The keys of an external issuer, fetched over HTTPS.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;

use hongyan_protocol::{ErrorCode, Opcode, pb};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::sdk::external::{AUDIENCE, ISSUER, Issuer};
use crate::support::{ChildNode, PATIENCE, TestCertificate, Wire};

/// A site that answers every request with the same bytes, until the process
/// ends.
fn site(certificate: &TestCertificate, answer: String) -> SocketAddr {
    let chain = CertificateDer::from_pem_file(&certificate.certificate).unwrap();
    let key = PrivateKeyDer::from_pem_file(&certificate.key).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![chain], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            let tls = ServerConnection::new(Arc::clone(&config)).unwrap();
            // Whoever does not trust the certificate goes away.
            let _ = serve(StreamOwned::new(tls, socket), &answer);
        }
    });
    address
}

fn serve(
    mut stream: StreamOwned<ServerConnection, std::net::TcpStream>,
    answer: &str,
) -> std::io::Result<()> {
    let mut line = String::new();
    let mut reader = BufReader::new(&mut stream);
    // The head of the request; there is no body.
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    stream.write_all(answer.as_bytes())?;
    stream.conn.send_close_notify();
    stream.flush()
}

fn http(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
}

/// What a server that fetches its keys from `url` says to a token: a session,
/// or a code.
fn login(directory: &Path, url: &str, token: &str) -> Result<pb::Session, u32> {
    let trusted = directory.join("cert.pem").display().to_string();
    let data = tempfile::tempdir().unwrap();
    let server = ChildNode::start(
        data.path(),
        &[
            ("SSL_CERT_FILE", &trusted),
            ("HONGYAN_AUTH__EXTERNAL__ISSUER", ISSUER),
            ("HONGYAN_AUTH__EXTERNAL__AUDIENCE", AUDIENCE),
            ("HONGYAN_AUTH__EXTERNAL__JWKS_URL", url),
        ],
    );
    let mut wire = Wire::connect(server.tcp);
    wire.hello("phone");
    let login = pb::LoginExternal { id_token: token.to_owned() };
    wire.call(Opcode::LoginExternal, &login).map_err(|error| error.code)
}

#[test]
fn keys_are_fetched_from_a_site_that_is_trusted() {
    let directory = tempfile::tempdir().unwrap();
    let certificate = TestCertificate::write(directory.path());
    let issuer = Issuer::new("a");
    let keys = issuer.key_set();
    let good = site(&certificate, http("200 OK", &keys));
    let url = |address: SocketAddr| format!("https://localhost:{}/keys", address.port());
    let token = issuer.token("ann");
    let session = login(directory.path(), &url(good), &token).unwrap();
    assert_eq!(session.name, format!("oidc:{ISSUER}#ann"));
    let other = Issuer::new("a").token("ann");
    assert_eq!(login(directory.path(), &url(good), &other), Err(ErrorCode::TokenInvalid.number()));

    let elsewhere = format!("HTTP/1.1 302 Found\r\nlocation: {}\r\n", url(good));
    let strangers = tempfile::tempdir().unwrap();
    let stranger = TestCertificate::write(strangers.path());
    for (what, address) in [
        ("it leads elsewhere", site(&certificate, elsewhere + "content-length: 0\r\n\r\n")),
        ("it fails", site(&certificate, http("500 Internal Server Error", &keys))),
        ("no keys", site(&certificate, http("200 OK", "<html></html>"))),
        ("too long", site(&certificate, http("200 OK", &(keys.clone() + &" ".repeat(300_000))))),
        ("not trusted", site(&stranger, http("200 OK", &keys))),
    ] {
        let refused = login(directory.path(), &url(address), &token);
        assert_eq!(refused, Err(ErrorCode::TokenInvalid.number()), "{what}");
    }
}
