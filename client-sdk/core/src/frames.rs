//! Frames from the server: what each is for, and what became of a request.
//!
//! Invariant: a reply is matched by its request id alone; a frame that
//! matches nothing (late, or newer than this version) changes nothing.

use hongyan_protocol::frame::Frame;
use hongyan_protocol::{Opcode, WireError, pb, raw};

use crate::client::ClientCore;
use crate::error::ClientError;
use crate::requests::Purpose;

const GAP_RETRY_MS: u64 = 2_000;

impl ClientCore {
    pub(crate) fn on_frame(&mut self, now_ms: u64, frame: Frame) {
        if frame.is_heartbeat() {
            return self.on_heartbeat();
        }
        if let Err(error) = self.dispatch(now_ms, &frame) {
            self.close(error.into());
        }
    }

    fn dispatch(&mut self, now_ms: u64, frame: &Frame) -> Result<(), WireError> {
        match Opcode::from_number(frame.opcode) {
            Some(Opcode::Error) => {
                if let Some(purpose) = self.requests.finish(frame.request) {
                    let error: pb::Error = frame.message()?;
                    match purpose {
                        Purpose::Hello | Purpose::Authenticate => {
                            self.on_handshake_refused(now_ms, &purpose, error);
                        }
                        purpose => self.on_refused(now_ms, purpose, error.into()),
                    }
                }
            }
            Some(Opcode::Goodbye) => self.on_goodbye(frame.message()?),
            _ if frame.request != 0 => {
                if let Some(purpose) = self.requests.finish(frame.request) {
                    self.on_reply(now_ms, purpose, frame)?;
                }
            }
            Some(Opcode::ConversationChanged) => {
                let changed: raw::ConversationChanged = frame.message()?;
                if let Some(state) = changed.conversation {
                    self.on_conversation_changed(now_ms, state);
                }
            }
            Some(Opcode::CursorMoved) => self.on_cursor_moved(frame.message()?),
            Some(Opcode::Message) => self.on_message(now_ms, frame.message()?),
            Some(Opcode::PresenceChanged) => self.on_presences(&frame.message()?),
            Some(Opcode::SyncNeeded) => {
                self.want_sync(now_ms);
                self.watch_again();
            }
            // A push that this version does not know.
            _ => {}
        }
        Ok(())
    }

    fn on_reply(&mut self, now_ms: u64, purpose: Purpose, frame: &Frame) -> Result<(), WireError> {
        match purpose {
            Purpose::App { token, lesson } => {
                self.learn(now_ms, &lesson, &frame.payload);
                self.reply(token, Ok(frame.payload.clone()));
            }
            Purpose::Authenticate => {
                self.on_session(now_ms, frame.message()?, frame.payload.clone());
            }
            Purpose::Gap { conversation, from_seq, newest_only } => {
                let page = frame.message()?;
                self.on_gap_page(now_ms, conversation, from_seq, newest_only, page);
            }
            Purpose::Hello => self.on_welcome(now_ms, frame.message()?),
            Purpose::Logout(token) => self.finish_logout(token, Ok(frame.payload.clone())),
            Purpose::Missed { conversation, from_seq, to_seq } => {
                self.on_missed_page(conversation, (from_seq, to_seq), frame.message()?);
            }
            Purpose::Older { conversation, to_seq, token } => {
                self.on_older_page(conversation, to_seq, frame.message()?);
                self.reply(token, Ok(frame.payload.clone()));
            }
            Purpose::Profiles => {
                let profiles: pb::Profiles = frame.message()?;
                self.learn_profiles(profiles.profiles);
            }
            Purpose::Read { conversation, seq } => {
                if let Some(conv) = self.convs.get_mut(&conversation) {
                    conv.record.read_confirmed_seq = conv.record.read_confirmed_seq.max(seq);
                    self.dirty_records.insert(conversation);
                }
            }
            Purpose::Send(id) => {
                let ack: pb::SendAck = frame.message()?;
                self.on_send_ack(now_ms, id, ack.into());
            }
            Purpose::Sync => self.on_sync_page(now_ms, frame.message()?),
            Purpose::Watch => {
                self.on_presences(&frame.message()?);
                self.on_watch_taken(now_ms);
            }
        }
        Ok(())
    }

    /// A request was refused, or its time was up.
    pub(crate) fn on_refused(&mut self, now_ms: u64, purpose: Purpose, error: ClientError) {
        let retry_after_ms = u64::from(error.retry_after_ms().unwrap_or(0));
        let again = error == ClientError::TimedOut || error.is_transient();
        match purpose {
            Purpose::App { token, lesson } => {
                self.learn_refusal(&lesson, &error);
                self.reply(token, Err(error));
            }
            Purpose::Older { token, .. } => self.reply(token, Err(error)),
            Purpose::Authenticate | Purpose::Hello => self.close(error),
            Purpose::Gap { conversation, .. } => {
                let retry_at_ms = now_ms + retry_after_ms.max(GAP_RETRY_MS);
                self.on_gap_failed(conversation, again.then_some(retry_at_ms));
            }
            Purpose::Logout(token) => self.finish_logout(token, Err(error)),
            Purpose::Missed { conversation, to_seq, .. } => {
                let retry_at_ms = now_ms + retry_after_ms.max(GAP_RETRY_MS);
                self.on_missed_failed(conversation, to_seq, again.then_some(retry_at_ms));
            }
            Purpose::Profiles => {}
            Purpose::Read { conversation, .. } => {
                self.on_read_failed(now_ms, conversation, again, retry_after_ms);
            }
            Purpose::Send(id) if again => self.outbox.postpone(id, now_ms, retry_after_ms),
            Purpose::Send(id) => self.on_send_refused(id, error),
            Purpose::Sync => self.on_sync_failed(now_ms, retry_after_ms),
            Purpose::Watch => self.on_watch_refused(now_ms, error),
        }
    }

    /// The connection is gone: what waited for a reply is told so.
    pub(crate) fn end_requests(&mut self) {
        for purpose in self.requests.drain() {
            match purpose {
                Purpose::App { token, .. } | Purpose::Older { token, .. } => {
                    self.reply(token, Err(ClientError::TimedOut));
                }
                Purpose::Logout(token) => self.finish_logout(token, Err(ClientError::TimedOut)),
                _ => {}
            }
        }
        self.end_watch(ClientError::TimedOut);
    }
}
