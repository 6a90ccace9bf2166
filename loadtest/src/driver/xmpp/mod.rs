//! An XMPP server with stream management (XEP-0198), such as ejabberd: chat messages between
//! accounts.
//!
//! ```text
//! user i   <message type='chat' to='user i + 1'> … <r/> ──▶ server
//!          ◀── <a h='n'/>: the first n stanzas are the server's now; the sends count as
//!              acknowledged
//! user i+1 ◀── <message>: counts as delivered      ◀── <r/>
//!          <a h='n'/> ──▶ the server forgets the first n stanzas
//! ```
//!
//! The sender asks once per flush. The receiver acknowledges when the server asks, which it does
//! again as soon as it has an answer: that is the protocol's own receipt, so a run's other receipts
//! add nothing. The messages that no answer covered when a run ended are stored and come again at
//! the next login, marked as delayed: they are acknowledged and not counted.
//!
//! What an ack means: the server has taken the stanza and handed it to the receiver's session, in
//! memory. What the receiver did not acknowledge goes to offline storage when its session ends; a
//! message to somebody who is there never touches a disk, and a killed server forgets it.
//!
//! | class | configuration |
//! |---|---|
//! | acked from memory | always; what is stored for later only concerns the archive and people who are away |
//!
//! Stanzas are read with `quick-xml` and written by hand: a text is escaped into a form whose
//! other bytes are made once.
//!
//! Refuses groups: the job of a peer is the ring.

mod link;
mod session;
mod stanza;

use anyhow::bail;

pub use self::link::XmppLink;
use self::session::Session;
use crate::driver::Driver;
use crate::engine::payload::TextForm;
use crate::engine::topology::{Seat, Talk};
use crate::plan::Plan;
use crate::stream::{Endpoint, Stream};

/// The server's domain.
const DOMAIN: &str = "localhost";
/// Password of every account that a run makes.
const PASSWORD: &str = "hongyan-loadtest";

/// Name of a user's account.
fn name_of(user: usize) -> String {
    format!("hy{user}")
}

/// Opens connections to an XMPP server, one account each.
#[derive(Debug)]
pub struct XmppDriver {
    endpoint: Endpoint,
    plan: Plan,
}

impl XmppDriver {
    /// For the server at `endpoint`.
    #[must_use]
    pub const fn new(endpoint: Endpoint, plan: Plan) -> Self {
        Self { endpoint, plan }
    }
}

impl Driver for XmppDriver {
    type Link = XmppLink;

    /// Registers the accounts that do not exist yet (XEP-0077).
    fn prepare(&self) -> anyhow::Result<()> {
        let mut session = Session::begin(&self.endpoint, 0)?;
        for user in 0..self.plan.connections {
            session.register(&name_of(user), PASSWORD)?;
        }
        Ok(())
    }

    fn open(&self, index: usize, seat: &Seat) -> anyhow::Result<(Stream, XmppLink)> {
        let mut receivers = vec![None; seat.talks.len()];
        for lane in &seat.sends {
            receivers[lane.slot] = match seat.talks[lane.slot] {
                Talk::Direct { with, .. } => Some(format!("{}@{DOMAIN}", name_of(with))),
                Talk::Group { .. } => bail!("groups are not part of the job of a peer"),
            };
        }
        let mut session = Session::begin(&self.endpoint, index)?;
        let counted = session.log_in(&name_of(seat.user), PASSWORD)?;
        let text = TextForm::new(self.plan.bytes, self.plan.seed);
        let link = XmppLink::new(&receivers, &text, self.plan.window, counted);
        Ok((session.into_stream(), link))
    }
}

#[cfg(test)]
mod tests;
