//! The request that opens a WebSocket, and the answers to those that do not.
//!
//! The request is read to its limit, parsed by httparse and judged here and
//! by tungstenite's handshake. Everything after it is WebSocket, so a body is
//! not a thing. Whoever is refused gets a short text that says what would be
//! taken, and the connection ends.

use bytes::{Bytes, BytesMut};
use hongyan_protocol::version;
use tungstenite::error::{Error, ProtocolError};
use tungstenite::handshake::machine::TryParse;
use tungstenite::handshake::server::{Request, Response, create_response, write_response};

use super::{State, Upgrades, WebSocket};
use crate::config::is_allowed;
use crate::reactor::transport::ReadEnd;

/// Bytes of a request, from `GET` to the empty line.
pub(super) const REQUEST_BYTES_MAX: usize = 8 * 1024;
/// The sub-protocols. The name is the version: both are version 1 of the
/// protocol.
const BINARY: &str = "hongyan.v1";
const JSON: &str = "hongyan.v1+json";

/// Why a request opens nothing.
struct Refusal {
    status: &'static str,
    why: &'static str,
    /// More header lines, each with its end.
    headers: &'static str,
}

impl Refusal {
    const fn new(status: &'static str, why: &'static str) -> Self {
        Self { status, why, headers: "" }
    }
}

impl WebSocket {
    /// Takes the request, or the part of it that is there. Returns bytes used.
    pub(super) fn take_request(
        &mut self,
        upgrades: &Upgrades,
        bytes: &[u8],
        into: &mut BytesMut,
    ) -> Result<usize, ReadEnd> {
        let had = self.partial.len();
        let more = bytes.len().min(REQUEST_BYTES_MAX - had);
        self.partial.extend_from_slice(&bytes[..more]);
        let judged = match Request::try_parse(&self.partial) {
            Ok(Some((size, request))) => judge(upgrades, &request).map(|agreed| (size, agreed)),
            Ok(None) if self.partial.len() < REQUEST_BYTES_MAX => return Ok(more),
            Ok(None) => Err(Refusal::new(
                "431 Request Header Fields Too Large",
                "a request to open a WebSocket has at most 8192 bytes",
            )),
            Err(Error::Protocol(ProtocolError::WrongHttpMethod)) => Err(Refusal {
                headers: "Allow: GET\r\n",
                ..Refusal::new("405 Method Not Allowed", "a WebSocket is opened with GET")
            }),
            Err(_) => Err(Refusal::new(
                "400 Bad Request",
                "this is not HTTP/1.1. WebSocket is spoken here; plain TCP has another port",
            )),
        };
        match judged {
            Ok((size, Agreed { response, json })) => {
                self.partial = BytesMut::new();
                self.json = json;
                self.state = State::Open;
                self.wire.push(response);
                // The sub-protocol names the version, as the preface does.
                into.extend_from_slice(&version::preface(1, 1));
                Ok(size - had)
            }
            Err(Refusal { status, why, headers }) => {
                self.partial = BytesMut::new();
                self.state = State::Closed;
                self.wire.push(answer(status, why, headers));
                Err(ReadEnd::Refused)
            }
        }
    }
}

/// What a good request leads to.
struct Agreed {
    response: Bytes,
    json: bool,
}

fn judge(upgrades: &Upgrades, request: &Request) -> Result<Agreed, Refusal> {
    if request.uri().path() != upgrades.path {
        return Err(Refusal::new("404 Not Found", "no WebSocket is served at this path"));
    }
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    if !header("upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket")) {
        let why = "this is a WebSocket; open it with a client that speaks WebSocket, \
                   sub-protocol hongyan.v1 or hongyan.v1+json";
        let headers = "Upgrade: websocket\r\n";
        return Err(Refusal { headers, ..Refusal::new("426 Upgrade Required", why) });
    }
    if header("sec-websocket-version") != Some("13") {
        let (status, why) = ("426 Upgrade Required", "version 13 of WebSocket is spoken");
        let headers = "Sec-WebSocket-Version: 13\r\n";
        return Err(Refusal { headers, ..Refusal::new(status, why) });
    }
    if request.headers().get_all("host").iter().count() != 1 {
        return Err(Refusal::new("400 Bad Request", "a request names one Host"));
    }
    // An origin that is not text is one that nobody allowed.
    let page = request.headers().get("origin").map(|value| value.to_str().unwrap_or_default());
    if !is_allowed(&upgrades.allowed_origins, page, header("host")) {
        let why = "pages of this origin may not connect; see websocket.allowed_origins";
        return Err(Refusal::new("403 Forbidden", why));
    }
    let Ok(mut response) = create_response(request) else {
        let why = "no valid request to open a WebSocket: look at Connection and Sec-WebSocket-Key";
        return Err(Refusal::new("400 Bad Request", why));
    };
    let offered = request.headers().get_all("sec-websocket-protocol");
    let offered = offered.iter().filter_map(|value| value.to_str().ok());
    let Some(protocol) = choose(offered) else {
        let why = "offer the sub-protocol hongyan.v1 or hongyan.v1+json \
                   (in a browser: new WebSocket(url, \"hongyan.v1\"))";
        return Err(Refusal::new("400 Bad Request", why));
    };
    if let Ok(value) = protocol.parse() {
        response.headers_mut().insert("Sec-WebSocket-Protocol", value);
    }
    encode(&response)
        .map(|response| Agreed { response, json: protocol == JSON })
        .ok_or_else(|| Refusal::new("500 Internal Server Error", "the answer cannot be written"))
}

/// The first offered sub-protocol that is spoken here: the client's wish
/// decides.
fn choose<'a>(offered: impl Iterator<Item = &'a str>) -> Option<&'static str> {
    offered.flat_map(|line| line.split(',')).find_map(|name| match name.trim() {
        BINARY => Some(BINARY),
        JSON => Some(JSON),
        _ => None,
    })
}

fn encode(response: &Response) -> Option<Bytes> {
    let mut out = Vec::with_capacity(192);
    write_response(&mut out, response).ok()?;
    Some(out.into())
}

/// A whole HTTP answer that ends the connection, with `text` for a person.
pub(crate) fn answer(status: &str, text: &str, headers: &str) -> Bytes {
    let length = text.len() + 1;
    format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Type: text/plain; charset=utf-8\r\n\
         Content-Length: {length}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n{text}\n"
    )
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_order_decides() {
        let choose = |lines: &[&str]| choose(lines.iter().copied());
        assert_eq!(choose(&["hongyan.v1"]), Some(BINARY));
        assert_eq!(choose(&["other, hongyan.v1+json , hongyan.v1"]), Some(JSON));
        assert_eq!(choose(&["other", "hongyan.v1"]), Some(BINARY));
        assert_eq!(choose(&["hongyan.v2", "HONGYAN.V1", ""]), None);
        assert_eq!(choose(&[]), None);
    }
}
