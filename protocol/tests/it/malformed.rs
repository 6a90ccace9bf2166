//! Frames that a careful client would not send, and what a server answers.
//!
//! `vectors/malformed/index.tsv` has one line per file: name, stage, what
//! comes back, and why. Stages: `preface` (the bytes stand in place of the
//! preface), `hello` (after the preface), `login` (after a Hello without a
//! token), `session`. What comes back:
//!
//! ```text
//! error N     an Error with this code, and the connection stays open
//! goodbye N   a Goodbye with this code, and the connection closes
//! ok          the ordinary reply
//! heartbeat   a heartbeat
//! silence     nothing, and the connection stays open
//! ```

mod bytes_wrong;
mod request_wrong;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use bytes::{Bytes, BytesMut};
use hongyan_protocol::opcode::Stage as Taken;
use hongyan_protocol::{
    ConversationId, ErrorCode, Frame, FrameDecoder, Opcode, WireError, body, limits, pb, raw,
    version,
};

use crate::{vectors, writing};

/// Where in a connection the bytes are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Preface,
    Hello,
    Login,
    Session,
}

impl Stage {
    const fn name(self) -> &'static str {
        match self {
            Self::Preface => "preface",
            Self::Hello => "hello",
            Self::Login => "login",
            Self::Session => "session",
        }
    }

    const fn frame_bytes_max(self) -> usize {
        match self {
            Self::Session => limits::FRAME_BYTES_MAX,
            _ => limits::FRAME_BYTES_MAX_UNAUTHENTICATED,
        }
    }

    const fn of(opcode: Opcode) -> Self {
        match opcode.stage() {
            Taken::Hello => Self::Hello,
            Taken::Login => Self::Login,
            _ => Self::Session,
        }
    }
}

/// What comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Error(ErrorCode),
    Goodbye(ErrorCode),
    Ok,
    Heartbeat,
    Silence,
}

impl Answer {
    fn text(self) -> String {
        match self {
            Self::Error(code) => format!("error {}", code.number()),
            Self::Goodbye(code) => format!("goodbye {}", code.number()),
            Self::Ok => "ok".to_owned(),
            Self::Heartbeat => "heartbeat".to_owned(),
            Self::Silence => "silence".to_owned(),
        }
    }
}

#[derive(Debug, Clone)]
struct Case {
    name: String,
    stage: Stage,
    bytes: Vec<u8>,
    answer: Answer,
    why: String,
}

fn case(
    name: impl Into<String>,
    stage: Stage,
    bytes: impl Into<Vec<u8>>,
    answer: Answer,
    why: impl Into<String>,
) -> Case {
    Case { name: name.into(), stage, bytes: bytes.into(), answer, why: why.into() }
}

/// `frame` with its length before it.
fn delimited(frame: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    prost::encoding::encode_varint(frame.len() as u64, &mut wire);
    wire.extend_from_slice(frame);
    wire
}

/// A frame with request 7 around these payload bytes.
fn around(opcode: u32, payload: &[u8]) -> Vec<u8> {
    let frame = Frame { opcode, request: 7, payload: Bytes::copy_from_slice(payload) };
    frame.to_delimited().to_vec()
}

fn corpus() -> Vec<Case> {
    let mut cases = bytes_wrong::cases();
    cases.extend(request_wrong::cases());
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

fn index(cases: &[Case]) -> String {
    let mut index = String::from("# file\tstage\tanswer\twhy\n");
    for Case { name, stage, answer, why, .. } in cases {
        let _ = writeln!(index, "{name}.bin\t{}\t{}\t{why}", stage.name(), answer.text());
    }
    index
}

#[test]
fn malformed_files_are_what_the_code_makes() {
    let folder = vectors().join("malformed");
    let cases = corpus();
    let names: BTreeSet<_> = cases.iter().map(|case| format!("{}.bin", case.name)).collect();
    assert_eq!(names.len(), cases.len(), "two cases have the same name");
    assert!(cases.len() >= 200, "{}", cases.len());
    if writing() {
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        for case in &cases {
            std::fs::write(folder.join(format!("{}.bin", case.name)), &case.bytes).unwrap();
        }
        std::fs::write(folder.join("index.tsv"), index(&cases)).unwrap();
    }
    for case in &cases {
        let held = std::fs::read(folder.join(format!("{}.bin", case.name))).unwrap();
        assert_eq!(held, case.bytes, "{}", case.name);
    }
    assert_eq!(std::fs::read_to_string(folder.join("index.tsv")).unwrap(), index(&cases));
    for entry in std::fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        assert!(name == "index.tsv" || names.contains(&name), "{name} is no case");
    }
}

#[test]
fn malformed_frames_are_told_apart_by_the_codec() {
    for case in corpus() {
        assert_eq!(judge(&case), case.answer, "{}: {}", case.name, case.why);
    }
}

/// The answer as far as this crate alone can say: who may do what is not its
/// business, so a request that is refused for its contents is judged by the
/// checks that stand here.
fn judge(case: &Case) -> Answer {
    if case.stage == Stage::Preface {
        return match version::negotiate(&case.bytes) {
            Ok(Some(_)) => Answer::Ok,
            Ok(None) => Answer::Silence,
            Err(error) => Answer::Goodbye(error.code()),
        };
    }
    let mut buffer = BytesMut::from(&case.bytes[..]);
    match FrameDecoder::new(case.stage.frame_bytes_max()).decode(&mut buffer) {
        Ok(None) => Answer::Silence,
        Err(error @ WireError::FrameTooLarge { .. }) => Answer::Goodbye(error.code()),
        Err(error) => {
            assert!(buffer.is_empty(), "{}: the stream is out of step", case.name);
            Answer::Error(error.code())
        }
        Ok(Some(frame)) => {
            assert!(buffer.is_empty(), "{}: more than one frame", case.name);
            judge_frame(case, &frame)
        }
    }
}

fn judge_frame(case: &Case, frame: &Frame) -> Answer {
    if frame.is_heartbeat() {
        return Answer::Heartbeat;
    }
    let Some(opcode) = Opcode::from_number(frame.opcode) else {
        return Answer::Error(ErrorCode::UnknownOpcode);
    };
    let again = opcode == Opcode::Hello && case.stage == Stage::Login;
    if opcode.stage() == Taken::Push
        || opcode == Opcode::Heartbeat
        || Stage::of(opcode) != case.stage && !again
    {
        return Answer::Error(ErrorCode::OutOfOrder);
    }
    if let Err(error) = request_wrong::decodes(opcode, frame) {
        return Answer::Error(error.code());
    }
    match refused(opcode, frame) {
        Some(code) => Answer::Error(code),
        // Names, lengths and counts are checked where the rules are.
        None if case.answer == Answer::Error(ErrorCode::InvalidField) => case.answer,
        None => Answer::Ok,
    }
}

/// What the contents are refused for, where this crate knows.
fn refused(opcode: Opcode, frame: &Frame) -> Option<ErrorCode> {
    let valid = |id: Option<pb::ConversationId>| {
        id.is_some_and(|id| ConversationId::from_wire(&id).is_some())
    };
    let conversation = match opcode {
        Opcode::Send => frame.message::<raw::Send>().ok()?.conversation,
        Opcode::History => frame.message::<pb::History>().ok()?.conversation,
        Opcode::MoveCursor => frame.message::<pb::MoveCursor>().ok()?.conversation,
        _ => return None,
    };
    if !valid(conversation) {
        return Some(ErrorCode::InvalidConversation);
    }
    if opcode != Opcode::Send {
        return None;
    }
    let send = frame.message::<raw::Send>().ok()?;
    if send.client_msg_id.len() != limits::CLIENT_ID_BYTES {
        return Some(ErrorCode::InvalidField);
    }
    body::check(&send.body).is_none().then_some(ErrorCode::InvalidBody)
}
