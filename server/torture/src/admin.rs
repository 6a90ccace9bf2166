//! The operator's interface of a running server: is it well?

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Name of the file in the data directory with address and token.
const FILE: &str = "admin.json";

/// Status and body of `GET /health`.
///
/// # Errors
/// When there is no interface or no answer within 5 s.
pub async fn health(data: &Path) -> anyhow::Result<(u16, String)> {
    let path = data.join(FILE);
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let json: serde_json::Value = serde_json::from_str(&text)?;
    let field = |name: &str| json.get(name).and_then(|value| value.as_str());
    let address = field("address").context("admin.json has no address")?;
    let token = field("token").unwrap_or_default();
    let ask = fetch(address, "/health", token);
    tokio::time::timeout(Duration::from_secs(5), ask).await.context("no answer from /health")?
}

async fn fetch(address: &str, path: &str, token: &str) -> anyhow::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\
         connection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(1 << 20).read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = status_of(&answer).context("the answer is no HTTP")?;
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Ok((status, body.to_owned()))
}

fn status_of(answer: &str) -> Option<u16> {
    answer.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read() {
        assert_eq!(status_of("HTTP/1.1 503 Service Unavailable\r\n\r\n"), Some(503));
        assert_eq!(status_of("hello"), None);
    }
}
