//! What the replies to an app's own requests say of this user's state, so
//! that it is right at once and not only after the next sync.
//!
//! An app may send any request; what its reply teaches is known by the
//! opcode alone. A payload that cannot be read teaches nothing: it is the
//! app's to object.

use bytes::Bytes;
use hongyan_protocol::ids::{ConversationId, GroupId};
use hongyan_protocol::{ErrorCode, Opcode, pb};
use prost::Message as _;

use crate::client::ClientCore;
use crate::error::ClientError;
use crate::event::Event;

/// What a reply is to be read for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lesson {
    /// The account's devices.
    Devices,
    /// This device of the account is signed out.
    DeviceRevoked(String),
    /// The user ended this group.
    Dissolved(ConversationId),
    /// How a group is now.
    Group,
    /// The user left this group.
    Left(ConversationId),
    /// Nothing of this user's state.
    Nothing,
    /// Every other device of the account is signed out.
    OthersSignedOut,
    /// People's names.
    Profiles,
}

impl Lesson {
    /// What the reply to this request will teach.
    pub(crate) fn of(opcode: Opcode, payload: &Bytes) -> Self {
        let group = |group: u64| GroupId::new(group).map(ConversationId::Group);
        let lesson = match opcode {
            Opcode::CreateGroup
            | Opcode::InviteMembers
            | Opcode::RemoveMember
            | Opcode::SetRole
            | Opcode::UpdateGroup => Some(Self::Group),
            Opcode::ChangePassword => Some(Self::OthersSignedOut),
            Opcode::DissolveGroup => pb::DissolveGroup::decode(payload.clone())
                .ok()
                .and_then(|request| group(request.group))
                .map(Self::Dissolved),
            Opcode::FindUser | Opcode::GetProfiles => Some(Self::Profiles),
            Opcode::LeaveGroup => pb::LeaveGroup::decode(payload.clone())
                .ok()
                .and_then(|request| group(request.group))
                .map(Self::Left),
            Opcode::ListDevices => Some(Self::Devices),
            Opcode::RevokeDevice => pb::RevokeDevice::decode(payload.clone())
                .ok()
                .map(|request| Self::DeviceRevoked(request.device_id)),
            _ => None,
        };
        lesson.unwrap_or(Self::Nothing)
    }
}

impl ClientCore {
    /// The server did what the app asked for.
    pub(crate) fn learn(&mut self, now_ms: u64, lesson: &Lesson, reply: &Bytes) {
        match lesson {
            Lesson::Devices => {
                if let Ok(reply) = pb::Devices::decode(reply.clone()) {
                    self.devices = Some(reply.devices);
                    self.events.push_back(Event::DevicesChanged);
                }
            }
            Lesson::DeviceRevoked(id) => self.keep_devices(|device| device.id != *id),
            Lesson::Dissolved(id) => self.on_dissolved(*id),
            Lesson::Group => {
                if let Ok(group) = pb::Group::decode(reply.clone()) {
                    self.on_group(now_ms, group);
                }
            }
            Lesson::Left(id) => self.mark_gone(*id),
            Lesson::Nothing => {}
            Lesson::OthersSignedOut => {
                let own = self.config.device.id.clone();
                self.keep_devices(|device| device.id == own);
            }
            Lesson::Profiles => {
                if let Ok(reply) = pb::Profiles::decode(reply.clone()) {
                    self.learn_profiles(reply.profiles);
                }
            }
        }
    }

    /// Some of the account's devices are signed out.
    fn keep_devices(&mut self, kept: impl Fn(&pb::Device) -> bool) {
        let Some(devices) = &mut self.devices else {
            return;
        };
        let before = devices.len();
        devices.retain(|state| state.device.as_ref().is_some_and(&kept));
        if devices.len() != before {
            self.events.push_back(Event::DevicesChanged);
        }
    }

    /// The server did not: that, too, can say something.
    pub(crate) fn learn_refusal(&mut self, lesson: &Lesson, error: &ClientError) {
        if let Lesson::Left(id) = lesson
            && error.is(ErrorCode::NotMember)
        {
            // An earlier attempt was carried out, or somebody was faster.
            self.mark_gone(*id);
        }
    }
}
