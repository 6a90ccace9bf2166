/**
 * Groups as their members see them: replies to changes of one's own, and the
 * events by which everybody else hears of them.
 *
 * Invariants: an event is applied once, in the order of seqs and with no gap
 * below it, and never on a state that counts it in already; so replies, pushes,
 * filled gaps and syncs end in the same state whichever comes first.
 */
import type { Group } from '../gen/conversation.js';
import type { ConversationId } from '../model/ids.js';
import { groupConversation } from '../model/ids.js';
import { readGroup, readNumber } from '../model/wire.js';
import { noteMemberEvent } from './receipts.js';
import { applyEvent, applyGroup } from './record.js';
import type { CoreState } from './state.js';
import { wantSync } from './sync.js';

/** The server carried a change out and says how the group is now. */
export function onGroup(core: CoreState, group: Group): void {
  const info = readGroup(group);
  if (info === undefined) {
    return;
  }
  const seq = readNumber(group.lastSeq);
  const id = groupConversation(info.id);
  // Of a group that was made just now everything is known; one that a retry
  // found may have a history.
  const unheardOf = !core.convs.has(id) && seq > 1;
  const { record } = core.conv(id);
  applyGroup(record, info, seq);
  record.gone = false;
  core.touch(id);
  if (unheardOf) {
    wantSync(core);
  }
}

/** The user ended the group. */
export function onDissolved(core: CoreState, id: ConversationId): void {
  const record = core.convs.get(id)?.record;
  if (record?.group !== undefined) {
    record.group = { ...record.group, dissolved: true };
    core.touch(id);
  }
}

/** Applies the events that are held without a gap and not applied yet. */
export function followEvents(core: CoreState, id: ConversationId): void {
  const { me } = core;
  const conv = core.convs.get(id);
  if (me === undefined || conv === undefined) {
    return;
  }
  const { record, timeline } = conv;
  const from = record.groupSeq + 1;
  if (record.group === undefined || record.gone || from > timeline.hi) {
    return;
  }
  for (const { body } of timeline.heldFrom(from)) {
    if (body.kind === 'event') {
      applyEvent(record, body.event, me);
      noteMemberEvent(core, conv, body.event);
    }
  }
  record.groupSeq = timeline.hi;
  // A stretch was given up, and with it what it may have told.
  if (timeline.lo > from) {
    wantSync(core);
  }
}
