//! The blocking part of a connection: registering, logging in, switching stream management on.
//!
//! Never part of what is measured. Reads stanza by stanza and not a byte more, so that the stream
//! can be handed on at any time; every answer is awaited for a bounded time.

use std::io::{Read, Write};

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::DOMAIN;
use super::stanza::{Kind, STANZA_BYTES_MAX, Stanza};
use crate::stream::{Endpoint, Stream};

/// Name of every session: a user has one.
const RESOURCE: &str = "hy";

/// The word that so many stanzas have arrived.
pub(super) fn ack_of(counted: u32) -> String {
    format!("<a xmlns='urn:xmpp:sm:3' h='{counted}'/>")
}

/// A stream to the server.
#[derive(Debug)]
pub(super) struct Session {
    stream: Stream,
}

impl Session {
    /// Connects as the `index`th connection and opens a stream.
    pub(super) fn begin(endpoint: &Endpoint, index: usize) -> anyhow::Result<Self> {
        let mut session = Self { stream: endpoint.open(index)? };
        session.open_stream()?;
        Ok(session)
    }

    /// Makes an account if there is none of this name.
    pub(super) fn register(&mut self, name: &str, password: &str) -> anyhow::Result<()> {
        self.write(&format!(
            "<iq type='set' id='1'><query xmlns='jabber:iq:register'><username>{name}</username>\
             <password>{password}</password></query></iq>"
        ))?;
        let answer = self.wait_for(Kind::Iq)?;
        if answer.failed && answer.reason() != "conflict" {
            bail!("registering {name}: {}", answer.reason());
        }
        Ok(())
    }

    /// Logs in, binds a resource, switches stream management on and becomes available. Says how
    /// many stanzas the server has sent since stream management is on; this side has sent one, and
    /// the server has said so.
    pub(super) fn log_in(&mut self, name: &str, password: &str) -> anyhow::Result<u32> {
        let proof = BASE64_STANDARD.encode(format!("\0{name}\0{password}"));
        self.write(&format!(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{proof}</auth>"
        ))?;
        self.wait_for(Kind::Success).with_context(|| format!("logging in as {name}"))?;
        self.open_stream()?;
        self.write(&format!(
            "<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
             <resource>{RESOURCE}</resource></bind></iq>"
        ))?;
        let bound = self.wait_for(Kind::Iq)?;
        if bound.failed {
            bail!("binding a resource: {}", bound.reason());
        }
        self.write("<enable xmlns='urn:xmpp:sm:3'/>")?;
        self.wait_for(Kind::Enabled).context("switching stream management on")?;
        self.write("<presence/><r xmlns='urn:xmpp:sm:3'/>")?;
        self.wait_until_present()
    }

    /// The stream, once nothing more is asked through here.
    pub(super) fn into_stream(self) -> Stream {
        self.stream
    }

    /// Waits for the ack of the presence and for its echo, which may come in any order, and among
    /// messages of an earlier run. Answers the server's requests meanwhile: it asks again only once
    /// it has an answer.
    fn wait_until_present(&mut self) -> anyhow::Result<u32> {
        let (mut counted, mut acked, mut present) = (0, false, false);
        while !(acked && present) {
            let stanza = self.read()?;
            counted += u32::from(stanza.kind.is_counted());
            present |= stanza.kind == Kind::Presence;
            acked |= stanza.kind == Kind::Ack && stanza.handled == Some(1);
            if stanza.kind == Kind::AckRequest {
                self.write(&ack_of(counted))?;
            }
        }
        Ok(counted)
    }

    fn open_stream(&mut self) -> anyhow::Result<()> {
        self.write(&format!(
            "<?xml version='1.0'?><stream:stream to='{DOMAIN}' version='1.0' \
             xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
        ))?;
        self.wait_for(Kind::Open)?;
        self.wait_for(Kind::Features)?;
        Ok(())
    }

    fn write(&mut self, xml: &str) -> anyhow::Result<()> {
        Ok(self.stream.write_all(xml.as_bytes())?)
    }

    /// The next stanza that is not white space, which must be of this kind.
    fn wait_for(&mut self, kind: Kind) -> anyhow::Result<Stanza> {
        let stanza = self.read()?;
        if stanza.kind != kind {
            bail!("the server sent {:?} where {kind:?} was due", stanza.kind);
        }
        Ok(stanza)
    }

    fn read(&mut self) -> anyhow::Result<Stanza> {
        let mut bytes = Vec::new();
        let mut text = Vec::new();
        loop {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).context("waiting for an answer")?;
            bytes.push(byte[0]);
            if bytes.len() > STANZA_BYTES_MAX {
                bail!("the server sent a stanza without an end");
            }
            // Nothing but a tag ends a stanza.
            let whole = if byte[0] == b'>' { Stanza::read(&bytes, &mut text)? } else { None };
            match whole {
                Some(stanza) if stanza.kind == Kind::Failure => {
                    bail!("the server refused: {}", stanza.reason())
                }
                Some(stanza) if stanza.kind == Kind::Close => bail!("the server closed the stream"),
                // White space stands before what follows it.
                Some(stanza) if stanza.kind == Kind::Space => {
                    bytes.drain(..stanza.whole_bytes);
                    if let Some(stanza) = Stanza::read(&bytes, &mut text)? {
                        return Ok(stanza);
                    }
                }
                Some(stanza) => return Ok(stanza),
                None => {}
            }
        }
    }
}
