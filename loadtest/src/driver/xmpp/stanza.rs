//! One stanza off the front of a stream.
//!
//! Owns no buffer. Knows elements by their local names: a server declares the namespaces that RFC
//! 6120 prescribes, and those of stream management have names of their own.
//!
//! # Invariants
//! - A stanza that is cut anywhere asks for more bytes; what is longer than [`STANZA_BYTES_MAX`] is
//!   refused.

use quick_xml::Reader;
use quick_xml::errors::{Error, IllFormedError};
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart, Event as Xml};

use crate::driver::LinkError;

/// Longest stanza that is read: the longest text with every byte escaped, many times over.
pub(super) const STANZA_BYTES_MAX: usize = 1 << 20;

/// Which element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `a`: how many stanzas were handled.
    Ack,
    /// `r`: the other side asks how many were handled.
    AckRequest,
    /// The end of the stream.
    Close,
    /// `enabled`: stream management is on.
    Enabled,
    /// `failure`, `failed` or `stream:error`: see the condition.
    Failure,
    /// What the server can do.
    Features,
    /// A question or its answer.
    Iq,
    /// A message.
    Message,
    /// The beginning of the stream.
    Open,
    /// Any other element.
    Other,
    /// Who is there.
    Presence,
    /// White space between stanzas.
    Space,
    /// The password was right.
    Success,
}

impl Kind {
    fn of(name: &str) -> Self {
        match name {
            "a" => Self::Ack,
            "r" => Self::AckRequest,
            "enabled" => Self::Enabled,
            "failure" | "failed" | "error" => Self::Failure,
            "features" => Self::Features,
            "iq" => Self::Iq,
            "message" => Self::Message,
            "stream" => Self::Open,
            "presence" => Self::Presence,
            "success" => Self::Success,
            _ => Self::Other,
        }
    }

    /// True for what stream management counts.
    pub(super) const fn is_counted(self) -> bool {
        matches!(self, Self::Iq | Self::Message | Self::Presence)
    }
}

/// What a run needs to know of a stanza. Its text goes into a buffer of the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stanza {
    /// Bytes that it takes in the buffer.
    pub(super) whole_bytes: usize,
    pub(super) kind: Kind,
    /// Attribute `id`, when it is a number.
    pub(super) id: Option<u64>,
    /// Attribute `h`.
    pub(super) handled: Option<u32>,
    /// It has the type `error`, or is a failure.
    pub(super) failed: bool,
    /// It was stored for later (XEP-0203) before it came.
    pub(super) delayed: bool,
    /// Name of the error's condition.
    pub(super) condition: Option<String>,
}

impl Stanza {
    const fn bare(kind: Kind) -> Self {
        Self {
            whole_bytes: 0,
            kind,
            id: None,
            handled: None,
            failed: false,
            delayed: false,
            condition: None,
        }
    }

    fn of(start: &BytesStart<'_>) -> Result<Self, LinkError> {
        let mut stanza = Self::bare(Kind::of(start.local_name().as_ref()));
        stanza.failed = stanza.kind == Kind::Failure;
        for attribute in start.attributes().with_checks(false) {
            let attribute = attribute.map_err(foreign)?;
            match attribute.key.as_ref() {
                "h" => stanza.handled = attribute.value.parse().ok(),
                "id" => stanza.id = attribute.value.parse().ok(),
                "type" => stanza.failed |= attribute.value == "error",
                _ => {}
            }
        }
        Ok(stanza)
    }

    /// What went wrong, for people.
    pub(super) fn reason(&self) -> &str {
        self.condition.as_deref().unwrap_or("no reason given")
    }

    /// Reads the stanza at the front of `bytes`, and what its body says into `text`; `Ok(None)`
    /// asks for more bytes.
    ///
    /// # Errors
    /// The bytes are not XML, or too many.
    pub(super) fn read(bytes: &[u8], text: &mut Vec<u8>) -> Result<Option<Self>, LinkError> {
        text.clear();
        let mut reader = Reader::from_reader(bytes);
        // The stream's own element was opened before these bytes.
        reader.config_mut().allow_unmatched_ends = true;
        let mut scan = Scan { depth: 0, part: Part::Other, stanza: Self::bare(Kind::Other), text };
        loop {
            let event = match reader.read_event() {
                Ok(Xml::Eof) => break,
                Ok(event) => event,
                // Cut within a tag, a reference or a character: the rest is still to come.
                Err(Error::Syntax(_) | Error::Encoding(_)) => break,
                Err(Error::IllFormed(IllFormedError::UnclosedReference)) => break,
                Err(error) => return Err(foreign(error)),
            };
            if scan.take(&event)? {
                let whole_bytes = reader.buffer_position() as usize;
                return Ok(Some(Self { whole_bytes, ..scan.stanza }));
            }
        }
        if bytes.len() > STANZA_BYTES_MAX {
            return Err(LinkError::Foreign("a stanza without an end".to_owned()));
        }
        Ok(None)
    }
}

/// Which child of the stanza the reader is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Body,
    Error,
    Other,
}

#[derive(Debug)]
struct Scan<'t> {
    /// Open elements.
    depth: usize,
    part: Part,
    stanza: Stanza,
    text: &'t mut Vec<u8>,
}

impl Scan<'_> {
    /// True when the stanza is whole.
    fn take(&mut self, event: &Xml<'_>) -> Result<bool, LinkError> {
        match event {
            Xml::Start(start) => {
                self.enter(start)?;
                self.depth += 1;
                // The stream's own element stays open as long as the connection.
                Ok(self.depth == 1 && self.stanza.kind == Kind::Open)
            }
            Xml::Empty(start) => {
                self.enter(start)?;
                self.leave();
                Ok(self.depth == 0)
            }
            Xml::End(_) if self.depth == 0 => {
                self.stanza = Stanza::bare(Kind::Close);
                Ok(true)
            }
            Xml::End(_) => {
                self.depth -= 1;
                self.leave();
                Ok(self.depth == 0)
            }
            Xml::Text(part) if self.depth == 0 => {
                if !part.bytes().all(|byte| byte.is_ascii_whitespace()) {
                    return Err(LinkError::Foreign("text between stanzas".to_owned()));
                }
                self.stanza = Stanza::bare(Kind::Space);
                Ok(true)
            }
            Xml::Text(part) => Ok(self.say(part)),
            Xml::CData(part) => Ok(self.say(part)),
            Xml::GeneralRef(reference) => self.resolve(reference),
            _ => Ok(false),
        }
    }

    fn enter(&mut self, start: &BytesStart<'_>) -> Result<(), LinkError> {
        let name = start.local_name();
        let name = name.as_ref();
        match self.depth {
            0 => self.stanza = Stanza::of(start)?,
            1 => {
                self.part = match (self.stanza.kind, name) {
                    (Kind::Message, "body") => Part::Body,
                    (_, "error") => Part::Error,
                    _ => Part::Other,
                };
                self.stanza.delayed |= name == "delay";
                if self.stanza.kind == Kind::Failure {
                    self.note_condition(name);
                }
            }
            2 if self.part == Part::Error => self.note_condition(name),
            _ => {}
        }
        Ok(())
    }

    fn leave(&mut self) {
        if self.depth <= 1 {
            self.part = Part::Other;
        }
    }

    fn note_condition(&mut self, name: &str) {
        if self.stanza.condition.is_none() && name != "text" {
            self.stanza.condition = Some(name.to_owned());
        }
    }

    fn say(&mut self, text: &str) -> bool {
        if self.part == Part::Body {
            self.text.extend_from_slice(text.as_bytes());
        }
        false
    }

    fn resolve(&mut self, reference: &BytesRef<'_>) -> Result<bool, LinkError> {
        if let Some(text) = resolve_predefined_entity(reference) {
            return Ok(self.say(text));
        }
        match reference.resolve_char_ref().map_err(foreign)? {
            Some(character) => Ok(self.say(character.encode_utf8(&mut [0; 4]))),
            None => Err(LinkError::Unexpected("a reference to an entity of its own")),
        }
    }
}

fn foreign(error: impl std::fmt::Display) -> LinkError {
    LinkError::Foreign(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(xml: &str) -> (Stanza, String) {
        let mut text = Vec::new();
        let stanza = Stanza::read(xml.as_bytes(), &mut text).unwrap().expect("a whole stanza");
        (stanza, String::from_utf8(text).unwrap())
    }

    #[test]
    fn a_body_is_unescaped_and_nothing_else_is_taken_for_it() {
        let xml = "<message xml:lang='en' to='hy1@localhost' from='hy0@localhost/hy' type='chat' \
                   id='17'><subject>no</subject><body>a&lt;b&gt;c]]&gt;&amp;&#x41;&apos;\
                   <![CDATA[<&]]></body><x><body>no</body></x></message>";
        let (stanza, text) = read(xml);
        assert_eq!(text, "a<b>c]]>&A'<&");
        assert_eq!((stanza.kind, stanza.id, stanza.failed), (Kind::Message, Some(17), false));
        assert_eq!(stanza.whole_bytes, xml.len());
    }

    #[test]
    fn a_stanza_that_is_cut_anywhere_asks_for_more() {
        for xml in [
            "<message id='1'><body>a&lt;\u{e9}</body><!-- c --></message>",
            "<a h='1' xmlns='urn:xmpp:sm:3'/>",
            "<?xml version='1.0'?><stream:stream id='5' xmlns='jabber:client'>",
            "</stream:stream>",
        ] {
            let mut text = Vec::new();
            for end in 0..xml.len() {
                let part = &xml.as_bytes()[..end];
                assert_eq!(Stanza::read(part, &mut text), Ok(None), "{end} bytes of {xml}");
            }
            let more = format!("{xml}<r/>");
            let whole = Stanza::read(more.as_bytes(), &mut text).unwrap().unwrap();
            assert_eq!(whole.whole_bytes, xml.len());
        }
    }

    #[test]
    fn elements_of_stream_management_are_told_apart() {
        assert_eq!(read("<a h='4294967295' xmlns='urn:xmpp:sm:3'/>").0.handled, Some(u32::MAX));
        assert_eq!(read("<r xmlns='urn:xmpp:sm:3'/>").0.kind, Kind::AckRequest);
        assert_eq!(read("<enabled xmlns='urn:xmpp:sm:3'/>").0.kind, Kind::Enabled);
        assert_eq!(read("<stream:stream id='1'>").0.kind, Kind::Open);
        assert_eq!(read("</stream:stream>").0.kind, Kind::Close);
        assert_eq!(read(" \n<r/>").0, Stanza { whole_bytes: 2, ..Stanza::bare(Kind::Space) });
    }

    #[test]
    fn errors_bring_their_condition() {
        for (xml, kind, condition) in [
            (
                "<iq type='error' id='3'><query><a/></query><error type='cancel'><conflict/>\
                 <text>exists</text></error></iq>",
                Kind::Iq,
                "conflict",
            ),
            (
                "<stream:error><text>bad</text><not-well-formed/></stream:error>",
                Kind::Failure,
                "not-well-formed",
            ),
            (
                "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>",
                Kind::Failure,
                "not-authorized",
            ),
        ] {
            let (stanza, _) = read(xml);
            assert_eq!((stanza.kind, stanza.failed, stanza.reason()), (kind, true, condition));
        }
    }

    #[test]
    fn what_is_not_xml_is_refused() {
        let mut text = Vec::new();
        for bytes in [&b"hello <r/>"[..], b"<message></iq>", b"<message>&own;<body>&own;</body>"] {
            assert!(Stanza::read(bytes, &mut text).is_err(), "{}", bytes.escape_ascii());
        }
        let endless = [b"<message><body>".to_vec(), vec![b'x'; STANZA_BYTES_MAX]].concat();
        assert!(Stanza::read(&endless, &mut text).is_err());
    }
}
