//! Groups.

use hongyan_protocol::{Opcode, pb};

use super::{ALICE, BOB, CAROL, GROUP, NOW_MS, Sample, client_id, reply, request};

fn group() -> pb::Group {
    pb::Group {
        id: GROUP,
        name: "Geese 🪿".to_owned(),
        member_count: 3,
        history_visible: true,
        role: pb::Role::Owner as u32,
        created_ms: NOW_MS,
        dissolved: false,
        last_seq: 1,
    }
}

pub(super) fn samples() -> Vec<Sample> {
    let mut samples = changes();
    samples.extend(members());
    samples
}

fn changes() -> Vec<Sample> {
    vec![
        request(
            Opcode::CreateGroup,
            "",
            "Three people; newcomers see the history.",
            &pb::CreateGroup {
                client_group_id: client_id(0x00),
                name: "Geese 🪿".to_owned(),
                members: vec![BOB, CAROL],
                history_visible: true,
            },
        ),
        reply(Opcode::CreateGroup, "", "As its owner sees it.", &group()),
        request(
            Opcode::UpdateGroup,
            "",
            "A new name; newcomers see nothing from before.",
            &pb::UpdateGroup {
                group: GROUP,
                name: "鸿雁".to_owned(),
                history: pb::HistoryRule::Hidden as i32,
            },
        ),
        reply(
            Opcode::UpdateGroup,
            "",
            "As it is now.",
            &pb::Group {
                name: "鸿雁".to_owned(), history_visible: false, last_seq: 2, ..group()
            },
        ),
        request(Opcode::LeaveGroup, "", "Leaves.", &pb::LeaveGroup { group: GROUP }),
        reply(Opcode::LeaveGroup, "", "Done.", &pb::Empty {}),
        request(Opcode::DissolveGroup, "", "Ends it.", &pb::DissolveGroup { group: GROUP }),
        reply(Opcode::DissolveGroup, "", "Done.", &pb::Empty {}),
    ]
}

fn members() -> Vec<Sample> {
    let member = |user, role: pb::Role, joined_seq| pb::Member {
        user,
        role: role as i32,
        joined_seq,
        delivered_seq: 9,
        read_seq: 8,
    };
    vec![
        request(
            Opcode::InviteMembers,
            "",
            "Two more.",
            &pb::InviteMembers { group: GROUP, users: vec![BOB, CAROL] },
        ),
        reply(Opcode::InviteMembers, "", "With the new count.", &group()),
        request(
            Opcode::RemoveMember,
            "",
            "Removes Carol.",
            &pb::RemoveMember { group: GROUP, user: CAROL },
        ),
        reply(
            Opcode::RemoveMember,
            "",
            "With the new count.",
            &pb::Group { member_count: 2, last_seq: 2, ..group() },
        ),
        request(
            Opcode::SetRole,
            "",
            "Makes Bob an admin.",
            &pb::SetRole { group: GROUP, user: BOB, role: pb::Role::Admin as i32 },
        ),
        reply(Opcode::SetRole, "", "Unchanged but for Bob's role, which is not in it.", &group()),
        request(
            Opcode::ListMembers,
            "",
            "The second page.",
            &pb::ListMembers { group: GROUP, after_user: ALICE, limit: 2 },
        ),
        reply(
            Opcode::ListMembers,
            "",
            "Two members; there are more.",
            &pb::Members {
                members: vec![member(BOB, pb::Role::Admin, 2), member(CAROL, pb::Role::Member, 3)],
                more: true,
            },
        ),
    ]
}
