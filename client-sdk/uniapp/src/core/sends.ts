/**
 * Messages of one's own: into the outbox, onto the wire, and what came of them.
 *
 * Invariants: nothing is shown as sending or sent before it is kept on this
 * device; every message ends in one `saved`, `failed` or `dropped`.
 */
import { ClientError } from '../error.js';
import { ErrorCode } from '../errorCode.js';
import { Send } from '../gen/conversation.js';
import {
  CONTENT_TYPE_BYTES_MAX,
  OPAQUE_BYTES_MAX,
  SUMMARY_BYTES_MAX,
  TEXT_BYTES_MAX,
} from '../limits.js';
import type { SendUpdate } from '../model/events.js';
import type { ClientMsgId, ConversationId } from '../model/ids.js';
import { isGroup, parseConversationId, peerOf } from '../model/ids.js';
import type { AckLevel, Body, SendAck } from '../model/message.js';
import {
  readBody,
  writeBody,
  writeClientMsgId,
  writeConversationId,
  writeLevel,
} from '../model/wire.js';
import { Opcode } from '../opcode.js';
import { utf8Length } from '../wire/utf8.js';
import { followEvents } from './groups.js';
import { markGone, takeMessage } from './merge.js';
import type { OutboxEntry } from './outbox.js';
import { learnPeer } from './people.js';
import { outboxRow } from './rows.js';
import type { CoreState } from './state.js';

/** A message that an app wants sent. */
export interface NewMessage {
  readonly clientMsgId: ClientMsgId;
  readonly conversation: ConversationId;
  readonly body: Body;
  readonly level: AckLevel;
}

/**
 * Takes a message into the outbox. A `send` event tells when it is kept on this
 * device, and later what became of it.
 * @throws ClientError `offline` when nobody is signed in on this device,
 * `invalid` when the server would refuse it for certain, `outboxFull`,
 * `storage` after the store failed.
 */
export function send(core: CoreState, message: NewMessage): void {
  const { clientMsgId, conversation, body, level } = message;
  const { me } = core;
  if (me === undefined) {
    throw new ClientError('offline', 'nobody is signed in');
  }
  checkBody(body);
  if (writeClientMsgId(clientMsgId) === undefined) {
    throw new ClientError('invalid', 'the client message id is not 32 hexadecimal digits');
  }
  if (parseConversationId(conversation) === undefined) {
    throw new ClientError('invalid', 'no such conversation');
  }
  if (!isGroup(conversation) && peerOf(conversation, me) === undefined) {
    throw new ClientError('invalid', 'the conversation is between other people');
  }
  core.checkStore();
  const createdMs = core.nowMs;
  const encoded = writeBody(body);
  keepEntry(core, core.outbox.push({ clientMsgId, conversation, body: encoded, level, createdMs }));
}

/**
 * Sends a failed message again, with the same id.
 * @throws ClientError `invalid` when no failed message has it, `storage`.
 */
export function retry(core: CoreState, id: ClientMsgId): OutboxEntry {
  core.checkStore();
  const entry = core.outbox.retry(id);
  if (entry === undefined) {
    throw noFailedMessage();
  }
  keepEntry(core, entry);
  return entry;
}

/** Forgets a failed message. @throws ClientError `invalid`. */
export function discard(core: CoreState, id: ClientMsgId): void {
  const failed = core.outbox.entry(id)?.failedCode !== undefined;
  const entry = failed ? core.outbox.discard(id) : undefined;
  if (entry === undefined) {
    throw noFailedMessage();
  }
  const error = new ClientError('closed', 'the message was discarded');
  noteSettled(core, entry, { kind: 'dropped', error });
}

function noFailedMessage(): ClientError {
  return new ClientError('invalid', 'no failed message has this id');
}

function keepEntry(core: CoreState, entry: OutboxEntry): void {
  core.outgoing.sends.push(entry.clientMsgId);
  core.outgoing.durable = true;
  core.put(outboxRow(entry));
}

/** The message is kept on this device. */
export function onEntryKept(core: CoreState, id: ClientMsgId): void {
  const entry = core.me === undefined ? undefined : core.outbox.stored(id);
  if (core.me === undefined || entry === undefined) {
    return;
  }
  const { conversation, createdMs } = entry;
  const { record } = core.conv(conversation);
  record.activityMs = Math.max(record.activityMs, createdMs);
  learnPeer(core, conversation, core.me);
  core.touch(conversation);
  tell(core, entry, { kind: 'sending' });
}

/** Writes what may go out, as much as the socket takes. */
export function fillSends(core: CoreState, bufferedBytes: number): void {
  const entriesMax = Math.max(SENDS_IN_FLIGHT_MAX - core.outbox.inFlight, 0);
  const bytesMax = TRANSMIT_BYTES - core.link.outBytes - bufferedBytes;
  for (const entry of core.outbox.takeSendable(core.nowMs, entriesMax, bytesMax)) {
    const message = Send.encode({
      conversation: writeConversationId(entry.conversation),
      clientMsgId: writeClientMsgId(entry.clientMsgId) ?? new Uint8Array(0),
      body: entry.body,
      level: writeLevel(entry.level),
    });
    core.requestFrame({ kind: 'send', id: entry.clientMsgId }, Opcode.Send, message);
  }
}

/** The server has the message. */
export function onSendAck(core: CoreState, id: ClientMsgId, ack: SendAck): void {
  // A sync may have told already.
  const entry = core.me === undefined ? undefined : core.outbox.settle(id);
  if (entry === undefined) {
    return;
  }
  noteSettled(core, entry, { kind: 'saved', ack });
  const { conversation } = entry;
  const { seq, messageId, timeMs } = ack;
  const conv = core.conv(conversation);
  conv.heardSeq = Math.max(conv.heardSeq, seq);
  const said = readBody(entry.body);
  const message = {
    conversation,
    seq,
    messageId,
    sender: core.me,
    timeMs,
    clientMsgId: id,
    ...said,
  };
  if (seq > conv.record.toldSeq) {
    conv.ownAcked.add(seq);
  }
  takeMessage(core, message);
  followEvents(core, conversation);
}

/** The server refused the message for good. */
export function onSendRefused(core: CoreState, id: ClientMsgId, error: ClientError): void {
  const entry = core.outbox.fail(id, error.code);
  if (entry === undefined) {
    return;
  }
  if (error.is(ErrorCode.NotMember)) {
    markGone(core, entry.conversation);
  }
  // Once shown as failed, it must not go out after a power cut.
  core.outgoing.durable = true;
  core.put(outboxRow(entry));
  core.touch(entry.conversation);
  tell(core, entry, { kind: 'failed', error });
}

/** A message left the outbox. */
export function noteSettled(core: CoreState, entry: OutboxEntry, update: SendUpdate): void {
  core.removalsNotDurable++;
  core.change({ kind: 'remove', section: 'outbox', key: entry.clientMsgId });
  core.dirtyConversations.add(entry.conversation);
  core.dirtyTimelines.add(entry.conversation);
  tell(core, entry, update);
}

function tell(core: CoreState, entry: OutboxEntry, update: SendUpdate): void {
  const { clientMsgId, conversation } = entry;
  core.events.push({ kind: 'send', clientMsgId, conversation, update });
}

/**
 * Checks what the server would refuse for certain.
 * @throws ClientError `invalid`.
 */
export function checkBody(body: Body): void {
  if (body.kind === 'text') {
    check(body.text !== '', 'the text is empty');
    check(utf8Length(body.text) <= TEXT_BYTES_MAX, 'the text is over 16,384 bytes');
  } else if (body.kind === 'opaque') {
    const type = utf8Length(body.contentType);
    check(type > 0 && type <= CONTENT_TYPE_BYTES_MAX, 'the content type is not 1 to 128 bytes');
    check(body.data.length <= OPAQUE_BYTES_MAX, 'the data is over 65,536 bytes');
    check(utf8Length(body.summary) <= SUMMARY_BYTES_MAX, 'the summary is over 256 bytes');
  } else {
    check(false, 'clients cannot send this kind of body');
  }
}

function check(valid: boolean, message: string): void {
  if (!valid) {
    throw new ClientError('invalid', message);
  }
}

/** Messages of all conversations sent and not answered. */
const SENDS_IN_FLIGHT_MAX = 1_024;
/** Bytes of messages encoded ahead of the socket. */
const TRANSMIT_BYTES = 256 * 1024;
