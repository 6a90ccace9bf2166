//! Accounts and sessions: registering, logging in, refreshing, looking up,
//! signing out.

use hongyan_protocol::pb;
use hongyan_protocol::{Frame, Opcode};

use super::Bench;
use crate::device::{Device, Pending};

/// How a greeted device opens a session.
pub(crate) fn enter(device: &mut Device, bench: &mut Bench<'_>) -> Frame {
    let written = bench.model.log.lsn;
    // If the reply is lost, both tokens may be worth nothing any more.
    device.access_doubtful = true;
    let token = device.refresh.clone().filter(|_| bench.rng.chance(800));
    device.refresh_doubtful = true;
    if let Some(refresh_token) = token {
        let refresh = pb::Refresh { refresh_token };
        return device.ask(Opcode::Refresh, &refresh, Pending::Refresh, written);
    }
    let person = &bench.people.persons[device.person];
    let password = bench.rng.pick(&person.passwords).cloned().unwrap_or_default();
    let (name, known) = (person.name.clone(), person.user.is_some());
    if !known && bench.rng.chance(700) {
        let display_name = String::new();
        let register = pb::Register { name, password, display_name };
        return device.ask(Opcode::Register, &register, Pending::Register, written);
    }
    let login = pb::Login { name, password };
    device.ask(Opcode::Login, &login, Pending::Login { known }, written)
}

/// Something about accounts, in an open session.
pub(crate) fn sample(device: &mut Device, bench: &mut Bench<'_>) -> Option<Frame> {
    let written = bench.model.log.lsn;
    let me = bench.me?;
    Some(match bench.rng.below(3) {
        0 => device.ask(Opcode::ListDevices, &pb::ListDevices {}, Pending::Other, written),
        1 => {
            let users = bench.people.others(me).iter().map(|user| user.get()).collect();
            device.ask(Opcode::GetProfiles, &pb::GetProfiles { users }, Pending::Other, written)
        }
        _ => {
            let known: Vec<String> = bench
                .people
                .persons
                .iter()
                .filter(|person| person.user.is_some())
                .map(|person| person.name.clone())
                .collect();
            let name = bench.rng.pick(&known)?.clone();
            device.ask(Opcode::FindUser, &pb::FindUser { name }, Pending::Other, written)
        }
    })
}

/// Something after which devices of the user have to sign in again.
pub(crate) fn revoke(device: &mut Device, bench: &mut Bench<'_>) -> Frame {
    let written = bench.model.log.lsn;
    let person = &mut bench.people.persons[device.person];
    person.revoked = true;
    match bench.rng.below(3) {
        0 => device.ask(Opcode::Logout, &pb::Logout {}, Pending::Revoke, written),
        1 => {
            // Devices are numbered through; some of the neighbours are ours.
            let at = (device.index as u64 + bench.rng.below(4)).saturating_sub(2);
            let revoke = pb::RevokeDevice { device_id: format!("device-{at}") };
            device.ask(Opcode::RevokeDevice, &revoke, Pending::Revoke, written)
        }
        _ => {
            let old_password = bench.rng.pick(&person.passwords).cloned().unwrap_or_default();
            let new_password = format!("changed {:x}", bench.rng.below(1 << 30));
            person.passwords.push(new_password.clone());
            let change = pb::ChangePassword { old_password, new_password };
            device.ask(Opcode::ChangePassword, &change, Pending::Revoke, written)
        }
    }
}
