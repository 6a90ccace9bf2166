//! The sub-protocol `hongyan.v1+json`: a frame as a text.
//!
//! ```json
//! {"opcode": 16, "name": "Hello", "request": "1", "message": "Hello", "payload": {"client": "me"}}
//! ```
//! The form of `protocol/vectors/*.json`. What comes needs `opcode` or
//! `name`; `request` may be a number or text, and `payload` is protobuf's
//! JSON mapping of what the opcode takes. Fields that nobody knows are refused
//! by name: they are typing mistakes. Unknown fields and opcodes from the
//! server cannot be shown and are left out.
//!
//! Owns no state but the descriptors. Never called for binary connections.

use std::sync::LazyLock;

use bytes::Bytes;
use hongyan_protocol::{DESCRIPTOR_SET, ErrorCode, Frame, Opcode};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Why a text is no frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// As far as it could be read; zero otherwise.
    pub(super) request: u64,
    pub(super) code: ErrorCode,
    /// What is wrong and where. For the peer alone: it may quote a value.
    pub(super) message: String,
}

static MESSAGES: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(DESCRIPTOR_SET).expect("the descriptors were compiled with us")
});

/// Reads the descriptors, so that no worker has to.
pub(super) fn warm_up() {
    LazyLock::force(&MESSAGES);
}

/// A frame as it is typed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Typed<'a> {
    opcode: Option<u32>,
    name: Option<String>,
    request: Option<Number>,
    /// What the payload is; told by us, not needed from others.
    #[serde(rename = "message")]
    _message: Option<String>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Number(u64),
    Text(String),
}

/// A frame as it is shown.
#[derive(Serialize)]
struct Shown<'a> {
    opcode: u32,
    name: &'a str,
    /// Text, because a number of JavaScript does not hold all of them.
    request: String,
    message: &'a str,
    payload: Option<DynamicMessage>,
}

/// Reads a frame of a client.
///
/// # Errors
/// MalformedFrame when the text is no frame, MalformedPayload when its payload
/// is not what the opcode takes.
pub(super) fn to_frame(text: &str) -> Result<Frame, Refusal> {
    let refusal = |request, code, message: String| Refusal { request, code, message };
    let typed: Typed<'_> = serde_json::from_str(text)
        .map_err(|error| refusal(0, ErrorCode::MalformedFrame, told(&error)))?;
    let request = match typed.request {
        None => Some(0),
        Some(Number::Number(number)) => Some(number),
        Some(Number::Text(text)) => text.parse().ok(),
    };
    let Some(request) = request else {
        let message = "request: is a whole number, as a number or as text".to_owned();
        return Err(refusal(0, ErrorCode::MalformedFrame, message));
    };
    let opcode = opcode(typed.opcode, typed.name.as_deref())
        .map_err(|message| refusal(request, ErrorCode::MalformedFrame, message))?;
    let payload = match typed.payload.map(RawValue::get) {
        None | Some("null") => Bytes::new(),
        Some(payload) => encode_payload(opcode, payload)
            .map_err(|message| refusal(request, ErrorCode::MalformedPayload, message))?,
    };
    Ok(Frame { opcode, request, payload })
}

/// Shows a frame of the server, without its length.
pub(super) fn from_frame(frame: Bytes) -> Bytes {
    let frame = Frame::decode(frame).unwrap_or_default();
    let opcode = Opcode::from_number(frame.opcode);
    let (name, message) = opcode.map_or(("", ""), |opcode| (opcode.name(), sent_by_server(opcode)));
    let payload = descriptor(message)
        .and_then(|descriptor| DynamicMessage::decode(descriptor, frame.payload).ok());
    let request = frame.request.to_string();
    let shown = Shown { opcode: frame.opcode, name, request, message, payload };
    // Our own messages have nothing that JSON cannot say.
    serde_json::to_vec(&shown).unwrap_or_default().into()
}

/// The opcode by number or name; both must say the same.
fn opcode(number: Option<u32>, name: Option<&str>) -> Result<u32, String> {
    let named = |name: &str| {
        let opcode = Opcode::ALL.iter().find(|opcode| opcode.name() == name);
        opcode.map(|opcode| opcode.number()).ok_or_else(|| format!("name: there is no {name:.40}"))
    };
    match (number, name) {
        (None, None) => Err("opcode or name is missing".to_owned()),
        (Some(number), None) => Ok(number),
        (None, Some(name)) => named(name),
        (Some(number), Some(name)) if named(name)? == number => Ok(number),
        (Some(_), Some(_)) => Err("opcode and name do not say the same".to_owned()),
    }
}

fn encode_payload(opcode: u32, payload: &str) -> Result<Bytes, String> {
    let message = Opcode::from_number(opcode).map_or("", |opcode| opcode.messages().0);
    let Some(descriptor) = descriptor(message) else {
        // Nothing is known of it, so there is nothing to write.
        return match payload.trim() {
            "{}" => Ok(Bytes::new()),
            _ => Err("payload: this opcode has none".to_owned()),
        };
    };
    let mut deserializer = serde_json::Deserializer::from_str(payload);
    let message = DynamicMessage::deserialize(descriptor, &mut deserializer)
        .and_then(|message| deserializer.end().map(|()| message))
        .map_err(|error| format!("payload: {}", told(&error)))?;
    Ok(message.encode_to_vec().into())
}

/// What is in the payload of a frame that the server sends.
fn sent_by_server(opcode: Opcode) -> &'static str {
    let (sent, reply) = opcode.messages();
    match opcode.stage() {
        hongyan_protocol::opcode::Stage::Push => sent,
        _ => reply,
    }
}

fn descriptor(message: &str) -> Option<MessageDescriptor> {
    MESSAGES.get_message_by_name(&format!("hongyan.v1.{message}"))
}

/// Longest explanation.
const TOLD_BYTES_MAX: usize = 200;

/// What the reader says, cut to a bounded length.
fn told(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text[..text.floor_char_boundary(TOLD_BYTES_MAX)].to_owned()
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use bytes::BytesMut;
    use hongyan_protocol::{FrameDecoder, limits};
    use serde_json::{Value, json};

    use super::*;

    fn vectors() -> Vec<PathBuf> {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../protocol/vectors");
        let paths = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        let mut vectors: Vec<_> =
            paths.filter(|path| path.extension().is_some_and(|it| it == "json")).collect();
        vectors.sort();
        vectors
    }

    /// A vector says more of itself than a frame does.
    fn shown(vector: &Value) -> Value {
        let mut frame = vector.clone();
        for about in ["about", "direction", "exact"] {
            frame.as_object_mut().unwrap().remove(about);
        }
        frame
    }

    #[test]
    fn all_vectors_go_through() {
        let mut seen = (0, 0);
        for path in vectors() {
            let vector: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            let wire = std::fs::read(path.with_extension("bin")).unwrap();
            let decoder = FrameDecoder::new(limits::FRAME_BYTES_MAX);
            let frame = decoder.decode(&mut BytesMut::from(&wire[..])).unwrap().unwrap();
            let name = path.display();
            if vector["direction"] == "request" {
                seen.0 += 1;
                let typed = to_frame(&shown(&vector).to_string()).unwrap();
                if vector["exact"] == true {
                    assert_eq!(typed, frame, "{name}");
                } else {
                    // Fields that nobody knows have no form in JSON.
                    assert!(typed.payload.len() < frame.payload.len(), "{name}");
                }
            } else {
                seen.1 += 1;
                let mut bytes = BytesMut::new();
                frame.encode(&mut bytes);
                let text = from_frame(bytes.freeze());
                let told: Value = serde_json::from_slice(&text).unwrap();
                assert_eq!(told, shown(&vector), "{name}");
            }
        }
        assert!(seen.0 > 30 && seen.1 > 30, "{seen:?}");
    }

    #[test]
    fn a_request_is_typed_in_more_than_one_way() {
        let hello = to_frame(r#"{"opcode":16,"request":"7","payload":{"client":"me"}}"#).unwrap();
        for text in [
            r#"{"name":"Hello","request":7,"payload":{"client":"me"}}"#,
            r#"{"opcode":16,"name":"Hello","request":7,"message":"Hello","payload":{"client":"me"}}"#,
            " {\n\"request\" : 7, \"payload\" : { \"client\" : \"me\" }, \"opcode\" : 16 } ",
        ] {
            assert_eq!(to_frame(text).unwrap(), hello, "{text}");
        }
        assert_eq!((hello.opcode, hello.request), (16, 7));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, request, code, said) in [
            ("", 0, ErrorCode::MalformedFrame, "EOF"),
            ("[]", 0, ErrorCode::MalformedFrame, "invalid"),
            ("{}", 0, ErrorCode::MalformedFrame, "opcode or name is missing"),
            (r#"{"opcod":16}"#, 0, ErrorCode::MalformedFrame, "opcod"),
            (r#"{"name":"Helo","request":3}"#, 3, ErrorCode::MalformedFrame, "Helo"),
            (r#"{"name":"Hello","opcode":17,"request":3}"#, 3, ErrorCode::MalformedFrame, "same"),
            (r#"{"name":"Hello","request":"x"}"#, 0, ErrorCode::MalformedFrame, "request"),
            (r#"{"name":"Hello","request":-1}"#, 0, ErrorCode::MalformedFrame, ""),
            (
                r#"{"name":"Hello","request":3,"payload":{"device":{"idd":"x"}}}"#,
                3,
                ErrorCode::MalformedPayload,
                "idd",
            ),
            (
                r#"{"name":"Hello","request":3,"payload":[]}"#,
                3,
                ErrorCode::MalformedPayload,
                "payload",
            ),
            (
                r#"{"name":"Heartbeat","request":3,"payload":{"x":1}}"#,
                3,
                ErrorCode::MalformedPayload,
                "none",
            ),
        ] {
            let refusal = to_frame(text).unwrap_err();
            assert_eq!((refusal.request, refusal.code), (request, code), "{text}");
            assert!(refusal.message.contains(said), "{text}: {}", refusal.message);
            assert!(refusal.message.len() <= TOLD_BYTES_MAX + 16, "{text}");
        }
    }

    #[test]
    fn deep_and_long_texts_are_refused_without_harm() {
        let deep = |open: &str, close: &str, levels| {
            format!("{}{}", open.repeat(levels), close.repeat(levels))
        };
        for payload in [deep("[", "]", 100_000), deep("{\"held\":[", "]}", 50_000)] {
            let text = format!(r#"{{"name":"Sync","request":1,"payload":{payload}}}"#);
            assert!(to_frame(&text).is_err());
        }
        let long = format!(r#"{{"name":"{}","request":1}}"#, "鸿".repeat(100_000));
        assert!(to_frame(&long).unwrap_err().message.len() < 300);
    }

    #[test]
    fn what_this_version_does_not_know_is_passed_on_as_far_as_it_goes() {
        let unknown = Frame { opcode: 9_999, request: 3, payload: Bytes::from_static(b"x") };
        let mut bytes = BytesMut::new();
        unknown.encode(&mut bytes);
        let told: Value = serde_json::from_slice(&from_frame(bytes.freeze())).unwrap();
        let expected =
            json!({"opcode": 9999, "name": "", "request": "3", "message": "", "payload": null});
        assert_eq!(told, expected);
        assert_eq!(to_frame(r#"{"opcode":9999,"request":3}"#).unwrap().opcode, 9_999);
    }
}
