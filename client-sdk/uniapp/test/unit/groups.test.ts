/** Groups: what replies and events make of the state that is shown. */
import { expect, test } from 'vitest';
import type { ConversationId, GroupEventKind } from '../../src/index.js';
import { ErrorCode, Opcode } from '../../src/index.js';
import * as pb from '../../src/pb.js';
import { cursorMoved, group as groupPb, ME, PEER, wireError } from '../support/model.js';
import { Random } from '../support/random.js';
import { World } from '../support/world.js';

const GROUP = String((5 << 12) | 1);
const ID: ConversationId = `g:${GROUP}`;
const OTHER = '12289';
const KINDS: readonly GroupEventKind[] = [
  'unknown',
  'created',
  'invited',
  'left',
  'removed',
  'roleChanged',
  'updated',
  'dissolved',
];
const [OWNER, ADMIN, MEMBER] = [1, 2, 3];

type Event = Required<Omit<pb.GroupEvent, '_unknownFields'>>;

function event(
  kind: GroupEventKind,
  actor: string,
  users: string[] = [],
  more: Partial<Event> = {},
): Event {
  const number = KINDS.indexOf(kind) as Event['kind'];
  return { kind: number, actor, users, userCount: users.length, name: '', role: 0, ...more };
}

const renamed = (name: string) => event('updated', PEER, [], { name });
const roleGiven = (actor: string, user: string, role: number) =>
  event('roleChanged', actor, [user], { role });

/** The server's copy after an event, by the definition in group.proto. */
function carryOut(group: pb.Group, told: Event): void {
  switch (KINDS[told.kind]) {
    case 'invited':
      group.memberCount += told.userCount;
      break;
    case 'left':
    case 'removed':
      group.memberCount -= told.userCount;
      break;
    case 'roleChanged':
      if (told.users[0] === ME) {
        group.role = told.role;
      } else if (told.role === OWNER && told.actor === ME) {
        group.role = ADMIN;
      }
      break;
    case 'updated':
      group.name = told.name;
      break;
    case 'dissolved':
      group.dissolved = true;
      break;
    default:
  }
}

/** Decides a change at the server and tells it, or not, by its event. */
function change(world: World, told: Event, push: boolean): pb.Group {
  const body = pb.Body.encode({ event: told }).finish();
  const seq = world.server.sayBody(ID, told.actor, body, push);
  const group = world.server.conversation(ID).group as pb.Group;
  carryOut(group, told);
  group.lastSeq = String(seq);
  return { ...group };
}

/** A live client in a group of three in which something was said. */
function inGroup(role: number): World {
  const world = World.live();
  const info = groupPb(GROUP, 'geese', { memberCount: 3, role, lastSeq: '1' });
  world.server.conversation(ID).group = info;
  world.server.say(ID, PEER, 'hello', false);
  world.server.changed(ID);
  world.run();
  return world;
}

function shown(world: World) {
  const { name, role, memberCount, dissolved } = world.core.conversation(ID)?.group ?? {};
  return [name, role, memberCount, dissolved];
}

function request(world: World, opcode: number, message: { finish(): Uint8Array }): void {
  world.core.request(world.nowMs, 9, opcode, message.finish());
}

test('events change what other members see', () => {
  const world = inGroup(MEMBER);
  expect(shown(world)).toEqual(['geese', 'member', 3, false]);
  change(world, renamed('swans'), true);
  change(world, event('invited', PEER, [OTHER, '12290']), true);
  change(world, roleGiven(PEER, ME, ADMIN), true);
  change(world, roleGiven(PEER, OTHER, ADMIN), true);
  change(world, event('removed', PEER, [OTHER]), true);
  change(world, event('left', '12290', ['12290']), true);
  world.run();
  expect(shown(world)).toEqual(['swans', 'admin', 3, false]);
  // The owner hands over to this user, who hands over in turn.
  change(world, roleGiven(PEER, ME, OWNER), true);
  world.run();
  expect(shown(world)[1]).toBe('owner');
  change(world, roleGiven(ME, PEER, OWNER), true);
  change(world, event('dissolved', PEER), true);
  world.run();
  expect(shown(world)).toEqual(['swans', 'admin', 3, true]);
  world.restart(false);
  expect(shown(world)).toEqual(['swans', 'admin', 3, true]);
});

test.each([true, false])('a reply and its event count once (event first: %s)', (eventFirst) => {
  const world = inGroup(OWNER);
  const group = change(world, event('invited', ME, [OTHER]), eventFirst);
  world.run();
  world.server.groups.push(group);
  request(world, Opcode.InviteMembers, pb.InviteMembers.encode({ group: GROUP, users: [OTHER] }));
  world.run();
  expect(shown(world)[2]).toBe(4);
  world.server.pushMessage(ID, Number(group.lastSeq));
  world.run();
  expect(shown(world)[2]).toBe(4);
  // The next change counts on.
  change(world, event('left', OTHER, [OTHER]), true);
  world.run();
  expect(shown(world)[2]).toBe(3);
});

test('an event above a gap waits for those below', () => {
  const world = inGroup(MEMBER);
  change(world, renamed('first'), false);
  change(world, renamed('second'), true);
  world.run();
  expect(shown(world)[0]).toBe('geese');
  world.pass(1_000);
  expect(shown(world)[0]).toBe('second');
});

test('a stretch that is given up is made good by a sync', () => {
  const world = inGroup(MEMBER);
  change(world, renamed('missed'), false);
  for (let number = 0; number < 2_000; number++) {
    world.server.say(ID, PEER, 'x', false);
  }
  world.server.say(ID, PEER, 'last', true);
  world.server.seen = [];
  world.pass(1_000);
  expect(shown(world)[0]).toBe('missed');
  expect(world.server.seen).toContain(Opcode.Sync);
});

test('a group that was made is there with the reply, and its event needs no asking', () => {
  const world = World.live();
  const made = groupPb(GROUP, 'new', { role: OWNER, createdMs: '5', lastSeq: '1' });
  world.server.groups.push({ ...made });
  const ask = {
    clientGroupId: new Uint8Array(16),
    name: 'new',
    members: [],
    historyVisible: false,
  };
  request(world, Opcode.CreateGroup, pb.CreateGroup.encode(ask));
  world.run();
  expect(shown(world)).toEqual(['new', 'owner', 2, false]);
  world.server.conversation(ID).group = made;
  change(world, event('created', ME, [PEER], { name: 'new' }), true);
  world.run();
  expect(world.view(ID).items.length).toBe(1);
  expect(world.server.seen).not.toContain(Opcode.History);
});

test('an invitation costs no sync', () => {
  const world = World.live();
  world.server.conversation(ID).group = groupPb(GROUP, 'geese');
  world.server.say(ID, PEER, 'before', false);
  world.server.conversation(ID).joinedSeq = 2;
  world.server.seen = [];
  // The event, then what is said next, then the state, as a server may send them.
  change(world, event('invited', PEER, [ME]), true);
  world.server.say(ID, PEER, 'welcome', true);
  world.server.changed(ID);
  world.pass(1_000);
  expect(shown(world)).toEqual(['geese', 'member', 3, false]);
  expect(world.texts(ID)).toEqual(['welcome']);
  expect(world.unread(ID)).toBe(2);
  expect(world.server.seen).not.toContain(Opcode.Sync);
});

test('who leaves is gone with the reply, and comes back with an invitation', () => {
  const world = inGroup(MEMBER);
  world.server.say(ID, PEER, 'unread', true);
  world.run();
  request(world, Opcode.LeaveGroup, pb.LeaveGroup.encode({ group: GROUP }));
  expect(world.core.conversation(ID)?.gone).toBe(false);
  world.run();
  expect(world.core.conversation(ID)).toMatchObject({ gone: true, title: 'geese', unread: 0 });
  expect(world.texts(ID)).toEqual(['hello', 'unread']);
  change(world, event('invited', PEER, [ME]), false);
  world.server.changed(ID);
  world.run();
  expect(world.core.conversation(ID)?.gone).toBe(false);
});

test('a refusal can say that one is no member', () => {
  const error = wireError(ErrorCode.NotMember, 0);
  const leaving = inGroup(MEMBER);
  leaving.server.refusals.push({ opcode: Opcode.LeaveGroup, error });
  request(leaving, Opcode.LeaveGroup, pb.LeaveGroup.encode({ group: GROUP }));
  leaving.run();
  expect(leaving.core.conversation(ID)?.gone).toBe(true);
  const sending = inGroup(MEMBER);
  sending.server.refusals.push({ opcode: Opcode.Send, error });
  sending.send(ID, 'too late');
  sending.run();
  expect(sending.core.conversation(ID)?.gone).toBe(true);
});

test('read by N follows the members of an open group', () => {
  const world = inGroup(OWNER);
  const cursors = { role: MEMBER as 3, joinedSeq: '1', deliveredSeq: '0', readSeq: '0' };
  world.server.members.push(
    { ...cursors, user: ME },
    { ...cursors, user: PEER },
    { ...cursors, user: OTHER, deliveredSeq: '2' },
  );
  world.core.openTimeline(world.nowMs, ID);
  world.send(ID, 'all of you');
  world.run();
  const state = () => world.view(ID).items.at(-1)?.state;
  expect(state()).toEqual({ kind: 'delivered', by: 1 });
  world.server.push(Opcode.CursorMoved, cursorMoved(ID, PEER, 2, 2));
  world.run();
  expect(state()).toEqual({ kind: 'read', by: 1 });
  world.server.push(Opcode.CursorMoved, cursorMoved(ID, OTHER, 2, 2));
  world.run();
  expect(state()).toEqual({ kind: 'read', by: 2 });
  // A new session: what moved meanwhile is asked for.
  world.server.seen = [];
  world.cut();
  world.pass(1_000);
  expect(world.server.seen).toContain(Opcode.ListMembers);
  world.core.closeTimeline(world.nowMs, ID);
  expect(state()).toEqual({ kind: 'saved', level: 'durable' });
});

test('settings are this device’s own, survive a restart, and hiding ends with a message', () => {
  const world = inGroup(MEMBER);
  world.core.setSettings(world.nowMs, ID, { pinned: true, draft: 'half a', hidden: true });
  world.run();
  world.restart(false);
  world.run();
  const settings = () => world.core.conversation(ID)?.settings;
  expect(settings()).toEqual({ pinned: true, muted: false, draft: 'half a', hidden: true });
  world.server.say(ID, PEER, 'are you there?', true);
  world.run();
  expect(settings()?.hidden).toBe(false);
});

function step(world: World, random: Random): void {
  const push = random.chance(2);
  const group = world.server.conversation(ID).group as pb.Group;
  switch (random.below(14)) {
    case 0:
      return world.cut();
    case 1:
      return world.pass(400);
    case 2: {
      const last = world.server.conversation(ID).messages.length;
      return world.server.pushMessage(ID, 1 + random.below(last));
    }
    case 3:
      if (world.core.state.link.inSession) {
        // A change that changed nothing is answered all the same.
        world.server.groups.push({ ...group });
        request(
          world,
          Opcode.UpdateGroup,
          pb.UpdateGroup.encode({ group: GROUP, name: '', history: 0 }),
        );
        world.run();
        world.server.groups.length = 0;
      }
      return;
    case 4:
      return world.restart(false);
    case 5:
      world.server.say(ID, PEER, 'x', push);
      return;
    case 6:
      return world.server.push(Opcode.SyncNeeded, pb.SyncNeeded.encode({}));
    case 7:
      change(world, event('invited', PEER, [OTHER]), push);
      return;
    case 8:
      if (group.memberCount > 3) {
        change(world, event('removed', ME, [OTHER]), push);
      }
      return;
    case 9:
      change(world, roleGiven(PEER, ME, random.pick([ADMIN, MEMBER] as number[])), push);
      return;
    default:
      change(world, renamed(`name ${random.below(4)}`), push);
  }
}

test('in the end the group is the server’s, whatever is lost, late or told twice', () => {
  for (let seed = 1; seed <= 150; seed++) {
    const random = new Random(seed);
    const world = inGroup(MEMBER);
    for (let count = 1 + random.below(40); count > 0; count--) {
      step(world, random);
    }
    world.pass(100_000);
    // The server owes this where it dropped pushes.
    world.server.push(Opcode.SyncNeeded, pb.SyncNeeded.encode({}));
    world.pass(10_000);
    const { name, role, memberCount } = world.server.conversation(ID).group as pb.Group;
    const roles = ['unknown', 'owner', 'admin', 'member'];
    expect(shown(world).slice(0, 3), `seed ${seed}`).toEqual([name, roles[role], memberCount]);
  }
});
