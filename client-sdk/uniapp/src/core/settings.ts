/** What this device alone keeps of a conversation. */

import { TEXT_BYTES_MAX } from '../limits.js';
import type { ConversationSettings } from '../model/conversation.js';
import type { ConversationId } from '../model/ids.js';
import { utf8Cut } from '../wire/utf8.js';
import { NO_SETTINGS, settingsRow } from './rows.js';
import type { CoreState } from './state.js';

/** Changes some of them; those left out stay as they are. */
export function setSettings(
  core: CoreState,
  id: ConversationId,
  settings: Partial<ConversationSettings>,
): void {
  if (core.account === undefined) {
    return;
  }
  const before = core.settings.get(id) ?? NO_SETTINGS;
  const { hidden, draft = before.draft, pinned = before.pinned, muted = before.muted } = settings;
  const { record } = core.conv(id);
  let { hiddenSeq } = before;
  if (hidden !== undefined) {
    // An empty conversation can be hidden too, until its first message.
    hiddenSeq = hidden ? Math.max(record.lastSeq, HIDDEN_EMPTY) : 0;
  }
  const next = { pinned, muted, draft: utf8Cut(draft, TEXT_BYTES_MAX), hiddenSeq };
  core.settings.set(id, next);
  core.put(settingsRow(id, next));
  core.touch(id);
}

/** Between no message and the first. */
const HIDDEN_EMPTY = 0.5;
