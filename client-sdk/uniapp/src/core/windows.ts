/** Keeping memory and store within their windows. */
import type { ConversationId } from '../model/ids.js';
import { messageKey } from './rows.js';
import type { Conv, CoreState } from './state.js';
import { tellMessages } from './telling.js';

/** Gives up what a timeline holds below `seq`. */
export function rebase(core: CoreState, id: ConversationId, seq: number): void {
  const conv = core.convs.get(id);
  if (conv === undefined) {
    return;
  }
  const before = conv.timeline.length;
  conv.timeline.rebase(seq);
  core.heldMessages -= before - conv.timeline.length;
  keepStoredFrom(core, conv, seq);
  tellMessages(core, id);
}

/** Keeps memory and store of one conversation, and of all, within bounds. */
export function trim(core: CoreState, id: ConversationId): void {
  const { config } = core;
  const conv = core.convs.get(id);
  if (conv === undefined) {
    return;
  }
  const window = config.timelineWindow;
  const shown = conv.open > 0 && conv.past === undefined;
  const inMemory = shown ? config.timelineWindowOpen : window;
  // Some slack, so that not every message pays for it.
  if (conv.timeline.length > inMemory + inMemory / 4) {
    trimMemory(core, conv, inMemory);
  }
  const keepFrom = conv.timeline.hi + 1 - window;
  if (keepFrom > conv.storedFromSeq + window / 4) {
    keepStoredFrom(core, conv, keepFrom);
  }
  dropStaleGap(core, conv);
  if (core.heldMessages > config.messagesMax) {
    core.convs.forEach((other) => {
      if (other.open === 0) {
        trimMemory(core, other, MESSAGES_WHEN_CROWDED);
      }
    });
  }
  if (core.storedMessages > config.storedMessagesMax) {
    core.storedMessages = 0;
    core.convs.forEach((other) => {
      keepStoredFrom(core, other, other.timeline.hi + 1 - MESSAGES_WHEN_CROWDED);
      core.storedMessages += Math.min(other.timeline.length, MESSAGES_WHEN_CROWDED);
    });
  }
}

function trimMemory(core: CoreState, conv: Conv, messagesMax: number): void {
  const before = conv.timeline.length;
  conv.timeline.trim(messagesMax);
  core.heldMessages -= before - conv.timeline.length;
}

function keepStoredFrom(core: CoreState, conv: Conv, seq: number): void {
  if (seq <= conv.storedFromSeq) {
    return;
  }
  const { id } = conv.record;
  core.storedMessages = Math.max(core.storedMessages - (seq - conv.storedFromSeq), 0);
  conv.storedFromSeq = seq;
  core.change({ kind: 'removeRange', section: 'message', from: `${id}/`, to: messageKey(id, seq) });
}

/**
 * A gap that stays open while much arrives above it is given up: the timeline
 * starts again above it.
 */
function dropStaleGap(core: CoreState, conv: Conv): void {
  const gap = conv.timeline.gap();
  if (gap !== undefined && conv.timeline.aheadLength > core.config.timelineWindow) {
    rebase(core, conv.record.id, gap.to + 1);
    core.gaps.delete(conv.record.id);
  }
}

/** Messages kept of each conversation when all together are too many. */
const MESSAGES_WHEN_CROWDED = 20;
