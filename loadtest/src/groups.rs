//! The groups of a run, made over the wire before anything is measured.
//!
//! The id of a group follows from the name of its accounts, the seed, its number and its size, so
//! a second run finds the groups of the first.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use hongyan_protocol::ids::{GroupId, mix64};
use hongyan_protocol::limits::INVITE_USERS_MAX;
use hongyan_protocol::{Opcode, pb};

use crate::crew;
use crate::roster::Account;
use crate::session::{Wire, refusal};
use crate::stream::Endpoint;

/// Groups that are made at once.
const AT_ONCE: usize = 8;

/// Makes sure that there is a group for each list of `members` (numbers of `accounts`), and that
/// those are in it; the first of a list owns the group. `prefix` and `seed` name them: another
/// pair makes other groups.
///
/// # Errors
/// The server cannot be reached or refuses, or a group has other members as well.
pub fn prepare(
    endpoint: &Endpoint,
    accounts: &[Account],
    members: &[Vec<usize>],
    prefix: &str,
    seed: u64,
) -> anyhow::Result<Vec<GroupId>> {
    // An owner makes its groups in one session: a second one would end the first.
    let mut by_owner: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (number, list) in members.iter().enumerate() {
        by_owner.entry(*list.first().context("a group needs an owner")?).or_default().push(number);
    }
    let owners: Vec<(usize, Vec<usize>)> = by_owner.into_iter().collect();
    let made = crew::share(AT_ONCE, owners.len(), |nth| {
        let (owner, numbers) = &owners[nth];
        let mut wire = open(endpoint, *owner, accounts)?;
        let group = |number: &usize| {
            let others = others_of(accounts, &members[*number])?;
            let id = client_group_id(prefix, seed, *number, others.len() + 1);
            let group = one(&mut wire, *number, &others, id)
                .with_context(|| format!("making group {number}"))?;
            Ok((*number, group))
        };
        numbers.iter().map(group).collect::<anyhow::Result<Vec<_>>>()
    })?;
    let mut groups: Vec<(usize, GroupId)> = made.into_iter().flatten().collect();
    groups.sort_unstable_by_key(|(number, _)| *number);
    Ok(groups.into_iter().map(|(_, group)| group).collect())
}

fn open(endpoint: &Endpoint, owner: usize, accounts: &[Account]) -> anyhow::Result<Wire> {
    let owner_account = accounts.get(owner).context("the roster is too short")?;
    let mut wire = Wire::connect(endpoint, owner)?;
    let token = owner_account.access_token.clone();
    let welcome = wire.greet(&owner_account.device_id, token)?;
    welcome.session.with_context(|| format!("no session for {}", owner_account.name))?;
    Ok(wire)
}

/// The ids of everybody in a list but the owner.
fn others_of(accounts: &[Account], list: &[usize]) -> anyhow::Result<Vec<u64>> {
    list.iter()
        .skip(1)
        .map(|index| accounts.get(*index).map(|account| account.user_id))
        .collect::<Option<_>>()
        .context("the roster is too short")
}

fn one(wire: &mut Wire, number: usize, others: &[u64], id: [u8; 16]) -> anyhow::Result<GroupId> {
    let create = pb::CreateGroup {
        client_group_id: id.to_vec().into(),
        name: format!("load {number}"),
        members: others.iter().copied().take(INVITE_USERS_MAX).collect(),
        history_visible: true,
    };
    let mut group: pb::Group = wire
        .ask(Opcode::CreateGroup, &create)?
        .map_err(|error| refusal("creating a group", &error))?;
    let wanted = others.len() as u32 + 1;
    for users in others.chunks(INVITE_USERS_MAX) {
        if group.member_count >= wanted {
            break;
        }
        let invite = pb::InviteMembers { group: group.id, users: users.to_vec() };
        group = wire
            .ask(Opcode::InviteMembers, &invite)?
            .map_err(|error| refusal("inviting members", &error))?;
    }
    if group.member_count != wanted {
        bail!("the group has {} members instead of {wanted}", group.member_count);
    }
    GroupId::new(group.id).context("the server named a group without an id")
}

fn client_group_id(prefix: &str, seed: u64, number: usize, members: usize) -> [u8; 16] {
    let name = prefix.bytes().fold(mix64(seed), |hash, byte| mix64(hash ^ u64::from(byte)));
    let low = mix64(name ^ mix64(number as u64 + 1));
    let high = mix64(low ^ mix64(members as u64));
    let mut id = [0; 16];
    id[..8].copy_from_slice(&low.to_le_bytes());
    id[8..].copy_from_slice(&high.to_le_bytes());
    id
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_group_has_its_own_id_and_keeps_it() {
        let mut ids = BTreeSet::new();
        for (prefix, seed) in [("load-", 1), ("load-", 2), ("other-", 1)] {
            for (number, members) in [(0, 20), (1, 20), (0, 200)] {
                assert!(ids.insert(client_group_id(prefix, seed, number, members)));
            }
        }
        assert_eq!(ids.len(), 9);
        assert!(ids.contains(&client_group_id("load-", 1, 0, 20)));
    }
}
