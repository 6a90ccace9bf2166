//! What the reactor must know of a request before the rules see it: whether it
//! writes, and whether its answer is large.
//!
//! While the store takes no writes, requests that write are refused here. The rules decide and remember before the log has the record, so a request
//! that would write must be stopped before it reaches them. One table, by
//! opcode.

use hongyan_protocol::Opcode;
use prost::encoding::{WireType, decode_key, decode_varint};

/// True when carrying out `opcode` writes to the log. Unknown opcodes do not:
/// the rules refuse them.
pub(super) const fn writes(opcode: u32) -> bool {
    let Some(opcode) = Opcode::from_number(opcode) else {
        return false;
    };
    matches!(
        opcode,
        Opcode::Register
            | Opcode::Login
            | Opcode::Refresh
            | Opcode::LoginExternal
            | Opcode::Logout
            | Opcode::RevokeDevice
            | Opcode::ChangePassword
            | Opcode::Deactivate
            | Opcode::Send
            | Opcode::MoveCursor
            | Opcode::CreateGroup
            | Opcode::InviteMembers
            | Opcode::LeaveGroup
            | Opcode::RemoveMember
            | Opcode::SetRole
            | Opcode::UpdateGroup
            | Opcode::DissolveGroup
    )
}

/// True when the answer may be a whole page: only a few of these may be under
/// way on one connection.
pub(super) const fn is_bulk(opcode: u32) -> bool {
    let Some(opcode) = Opcode::from_number(opcode) else { return false };
    matches!(opcode, Opcode::History | Opcode::Sync | Opcode::ListMembers | Opcode::GetProfiles)
}

/// The request that an encoded reply (length and frame) answers; zero when
/// there is none. Replies are our own, so a wrong form is only passed over.
pub(super) fn answered(reply: &[u8]) -> u64 {
    let mut rest = reply;
    let Ok(_) = decode_varint(&mut rest) else { return 0 };
    while let Ok((tag, wire_type)) = decode_key(&mut rest) {
        if wire_type != WireType::Varint {
            return 0;
        }
        let Ok(value) = decode_varint(&mut rest) else { return 0 };
        if tag == 2 {
            return value;
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A new opcode must be put on one side or the other.
    #[test]
    fn every_opcode_has_been_thought_about() {
        let reads = [
            Opcode::Heartbeat,
            Opcode::Error,
            Opcode::Goodbye,
            Opcode::Hello,
            Opcode::ListDevices,
            Opcode::FindUser,
            Opcode::GetProfiles,
            Opcode::Message,
            Opcode::CursorMoved,
            Opcode::History,
            Opcode::ConversationChanged,
            Opcode::ListMembers,
            Opcode::Sync,
            Opcode::SyncNeeded,
            Opcode::WatchPresence,
            Opcode::PresenceChanged,
        ];
        for opcode in Opcode::ALL {
            assert_ne!(writes(opcode.number()), reads.contains(opcode), "{opcode:?}");
        }
        assert!(!writes(9_999));
    }

    #[test]
    fn a_reply_names_its_request() {
        use hongyan_protocol::{Frame, pb};
        for request in [1, 127, 128, 4_000_000_000] {
            let frame = Frame::new(Opcode::History, request, &pb::HistoryPage::default());
            assert_eq!(answered(&frame.to_delimited()), request);
        }
        assert_eq!(answered(&Frame::HEARTBEAT.to_delimited()), 0);
        assert_eq!(answered(&[]), 0);
        assert_eq!(answered(&[0xff; 20]), 0);
    }
}
