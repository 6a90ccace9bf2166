/**
 * Frames from the server: what each is for, and what became of a request.
 *
 * Invariant: a reply is matched by its request id alone; a frame that matches
 * nothing (late, or newer than this version) changes nothing.
 */
import { ClientError } from '../error.js';
import { Profiles, Session, Welcome } from '../gen/auth.js';
import {
  ConversationChanged,
  CursorMoved,
  HistoryPage,
  Message,
  SendAck,
} from '../gen/conversation.js';
import { Error as ErrorPb, Frame, Goodbye } from '../gen/frame.js';
import { Members } from '../gen/group.js';
import { Presences } from '../gen/presence.js';
import { SyncPage } from '../gen/sync.js';
import { readAck, readProfile } from '../model/wire.js';
import { Opcode } from '../opcode.js';
import { finishLogout, onHandshakeRefused, onSession, onWelcome } from './account.js';
import { onCursorMoved, onReadFailed, onReadTaken } from './cursors.js';
import { onGapFailed, onGapPage } from './gaps.js';
import { onConversationChanged, onMessage } from './merge.js';
import { onPage } from './paging.js';
import { learnProfiles } from './people.js';
import { onPresences, onWatchRefused, onWatchTaken, watchAgain } from './presence.js';
import { onMembers } from './receipts.js';
import { learn, learnRefusal, refusal } from './replies.js';
import type { Purpose } from './requests.js';
import { onSendAck, onSendRefused } from './sends.js';
import { close, onHeartbeat } from './session.js';
import type { CoreState } from './state.js';
import { onSyncFailed, onSyncPage, wantSync } from './sync.js';
import { onMissedFailed, onMissedPage } from './telling.js';

/** One frame arrived; bytes that cannot be read end the connection. */
export function handleFrame(core: CoreState, bytes: Uint8Array): void {
  const { link } = core;
  if (!link.isOpen) {
    return;
  }
  link.receivedMs = core.nowMs;
  link.probeUntilMs = undefined;
  if (bytes.length === 0) {
    return onHeartbeat(core);
  }
  try {
    dispatch(core, Frame.decode(bytes));
  } catch (error) {
    close(core, new ClientError('protocol', `the server broke the protocol: ${String(error)}`));
  }
}

function dispatch(core: CoreState, frame: Frame): void {
  const { opcode, request, payload } = frame;
  if (opcode === Opcode.Error) {
    const purpose = core.requests.finish(request);
    if (purpose !== undefined) {
      onErrorFrame(core, purpose, ErrorPb.decode(payload));
    }
  } else if (opcode === Opcode.Goodbye) {
    core.link.goodbye = Goodbye.decode(payload);
    core.link.phase = 'closing';
    core.link.closeWanted = true;
  } else if (request !== '0') {
    const purpose = core.requests.finish(request);
    if (purpose !== undefined) {
      onReply(core, purpose, payload);
    }
  } else {
    onPush(core, opcode, payload);
  }
}

function onErrorFrame(core: CoreState, purpose: Purpose, error: ErrorPb): void {
  if (purpose.kind === 'hello' || purpose.kind === 'authenticate') {
    onHandshakeRefused(core, purpose, error);
  } else {
    onRefused(core, purpose, refusal(error));
  }
}

function onPush(core: CoreState, opcode: number, payload: Uint8Array): void {
  switch (opcode) {
    case Opcode.ConversationChanged: {
      const { conversation } = ConversationChanged.decode(payload);
      if (conversation !== undefined) {
        onConversationChanged(core, conversation);
      }
      break;
    }
    case Opcode.CursorMoved:
      onCursorMoved(core, CursorMoved.decode(payload));
      break;
    case Opcode.Message:
      onMessage(core, Message.decode(payload));
      break;
    case Opcode.PresenceChanged:
      onPresences(core, Presences.decode(payload));
      break;
    case Opcode.SyncNeeded:
      wantSync(core);
      watchAgain(core);
      break;
    default:
    // A push that this version does not know.
  }
}

function onReply(core: CoreState, purpose: Purpose, payload: Uint8Array): void {
  switch (purpose.kind) {
    case 'app':
      learn(core, purpose.lesson, payload);
      core.reply(purpose.token, payload);
      break;
    case 'authenticate':
      onSession(core, Session.decode(payload), payload);
      break;
    case 'gap':
      onGapPage(core, purpose.conversation, purpose, HistoryPage.decode(payload));
      break;
    case 'hello':
      onWelcome(core, Welcome.decode(payload));
      break;
    case 'logout':
      finishLogout(core, purpose.token, payload);
      break;
    case 'members':
      onMembers(core, purpose.conversation, Members.decode(payload));
      break;
    case 'missed':
      onMissedPage(core, purpose.conversation, purpose, HistoryPage.decode(payload));
      break;
    case 'page':
      onPage(core, purpose.conversation, purpose.end, HistoryPage.decode(payload));
      core.reply(purpose.token, payload);
      break;
    case 'profiles':
      learnProfiles(core, Profiles.decode(payload).profiles.map(readProfile));
      break;
    case 'read':
      onReadTaken(core, purpose.conversation, purpose.seq);
      break;
    case 'send':
      onSendAck(core, purpose.id, readAck(SendAck.decode(payload)));
      break;
    case 'sync':
      onSyncPage(core, SyncPage.decode(payload));
      break;
    case 'watch':
      onPresences(core, Presences.decode(payload));
      onWatchTaken(core);
      break;
  }
}

/** A request was refused, or its time was up. */
export function onRefused(core: CoreState, purpose: Purpose, error: ClientError): void {
  const again = error.kind === 'timedOut' || error.isTransient;
  switch (purpose.kind) {
    case 'app':
      learnRefusal(core, purpose.lesson, error);
      core.reply(purpose.token, error);
      break;
    case 'page':
      core.reply(purpose.token, error);
      break;
    case 'authenticate':
    case 'hello':
      close(core, error);
      break;
    case 'gap':
      onGapFailed(core, purpose.conversation, again ? error.retryAfterMs : undefined);
      break;
    case 'logout':
      finishLogout(core, purpose.token, error);
      break;
    case 'missed': {
      const { conversation, to } = purpose;
      onMissedFailed(core, conversation, to, again ? error.retryAfterMs : undefined);
      break;
    }
    case 'read':
      onReadFailed(core, purpose.conversation, again, error.retryAfterMs);
      break;
    case 'send':
      if (again) {
        core.outbox.postpone(purpose.id, core.nowMs, error.retryAfterMs);
      } else {
        onSendRefused(core, purpose.id, error);
      }
      break;
    case 'sync':
      onSyncFailed(core, error.retryAfterMs);
      break;
    case 'watch':
      onWatchRefused(core, error);
      break;
    default:
    // Names and members are asked for again when they are needed.
  }
}
