/**
 * How what the core keeps is written into the rows of a store, and read back.
 * A row that cannot be read is passed over: a cache that lost something is made
 * whole by the next sync, and a client that refuses to start helps nobody.
 */
import type { Account, ConversationSettings, Profile } from '../model/conversation.js';
import type { ConversationId } from '../model/ids.js';
import { parseConversationId } from '../model/ids.js';
import type { Message } from '../model/message.js';
import { readBody, writeBody } from '../model/wire.js';
import type { StoreRow } from '../store/store.js';
import { base64Decode, base64Encode } from '../wire/hex.js';
import type { OutboxEntry } from './outbox.js';
import type { ConversationRecord } from './record.js';
import { newRecord } from './record.js';

/** What opens a session without a password; times are by this device's clock. */
export interface Tokens {
  readonly accessToken: string;
  readonly accessExpiresMs: number;
  readonly refreshToken: string;
  readonly refreshExpiresMs: number;
}

/** Everything that a store holds, read. */
export interface StoredState {
  deviceId: string | undefined;
  account: Account | undefined;
  tokens: Tokens | undefined;
  readonly outbox: OutboxEntry[];
  readonly records: ConversationRecord[];
  /** Ascending by seq. */
  readonly messages: Map<ConversationId, Message[]>;
  readonly profiles: Profile[];
  readonly settings: Map<ConversationId, StoredSettings>;
}

/** What this device alone keeps of a conversation. */
export interface StoredSettings extends Omit<ConversationSettings, 'hidden'> {
  /** Hidden until there is something above this seq; zero: not hidden. */
  readonly hiddenSeq: number;
}

export function accountRow(account: Account): StoreRow {
  return { section: 'meta', key: 'account', value: JSON.stringify(account) };
}

export function tokensRow(tokens: Tokens): StoreRow {
  return { section: 'meta', key: 'tokens', value: JSON.stringify(tokens) };
}

export function deviceRow(id: string): StoreRow {
  return { section: 'meta', key: 'device', value: JSON.stringify(id) };
}

export function recordRow(record: ConversationRecord): StoreRow {
  return { section: 'conversation', key: record.id, value: JSON.stringify(record) };
}

export function profileRow(profile: Profile): StoreRow {
  return { section: 'profile', key: profile.user, value: JSON.stringify(profile) };
}

export function settingsRow(id: ConversationId, settings: StoredSettings): StoreRow {
  return { section: 'settings', key: id, value: JSON.stringify(settings) };
}

export function outboxRow(entry: OutboxEntry): StoreRow {
  const value = JSON.stringify({ ...entry, body: base64Encode(entry.body) });
  return { section: 'outbox', key: entry.clientMsgId, value };
}

export function messageRow(message: Message): StoreRow {
  const { conversation, seq, body, newerBody, ...rest } = message;
  const said =
    body.kind === 'text' && newerBody === undefined
      ? { text: body.text }
      : { body: base64Encode(newerBody ?? writeBody(body)) };
  return {
    section: 'message',
    key: messageKey(conversation, seq),
    value: JSON.stringify({ ...rest, ...said }),
  };
}

/** Sorts as the seq does. */
export function messageKey(conversation: ConversationId, seq: number): string {
  return `${conversation}/${String(seq).padStart(SEQ_DIGITS, '0')}`;
}

/** Reads what a store holds. */
export function readRows(rows: readonly StoreRow[]): StoredState {
  const state: StoredState = {
    deviceId: undefined,
    account: undefined,
    tokens: undefined,
    outbox: [],
    records: [],
    messages: new Map(),
    profiles: [],
    settings: new Map(),
  };
  for (const row of rows) {
    try {
      readRow(state, row, JSON.parse(row.value));
    } catch {
      // Passed over, as said above.
    }
  }
  state.messages.forEach((messages) => {
    messages.sort((a, b) => a.seq - b.seq);
  });
  return state;
}

// biome-ignore lint/suspicious/noExplicitAny: what JSON holds is checked here.
function readRow(state: StoredState, row: StoreRow, value: any): void {
  switch (row.section) {
    case 'meta':
      readMeta(state, row.key, value);
      break;
    case 'conversation': {
      const id = parseConversationId(row.key);
      if (id !== undefined) {
        // What was kept before there was `toldSeq` was told of, all of it.
        state.records.push({ ...newRecord(id), toldSeq: Infinity, ...value, id });
      }
      break;
    }
    case 'message':
      readMessageRow(state, row.key, value);
      break;
    case 'outbox': {
      const body = base64Decode(value.body);
      if (body !== undefined && parseConversationId(value.conversation) !== undefined) {
        state.outbox.push({ failedCode: undefined, ...value, body });
      }
      break;
    }
    case 'profile':
      state.profiles.push(value);
      break;
    case 'settings': {
      const id = parseConversationId(row.key);
      if (id !== undefined) {
        state.settings.set(id, { ...NO_SETTINGS, ...value });
      }
      break;
    }
    default:
  }
}

// biome-ignore lint/suspicious/noExplicitAny: as above.
function readMeta(state: StoredState, key: string, value: any): void {
  if (key === 'account') {
    state.account = value;
  } else if (key === 'tokens') {
    state.tokens = value;
  } else if (key === 'device') {
    state.deviceId = value;
  }
}

// biome-ignore lint/suspicious/noExplicitAny: as above.
function readMessageRow(state: StoredState, key: string, value: any): void {
  const [name = '', digits = ''] = key.split('/');
  const conversation = parseConversationId(name);
  const seq = Number(digits);
  if (conversation === undefined || !Number.isSafeInteger(seq) || seq < 1) {
    return;
  }
  const { text, body, messageId, sender, timeMs, clientMsgId } = value;
  const said =
    text === undefined
      ? readBody(base64Decode(body) ?? new Uint8Array(0))
      : { body: { kind: 'text' as const, text }, newerBody: undefined };
  const message = { conversation, seq, messageId, sender, timeMs, clientMsgId, ...said };
  const messages = state.messages.get(conversation);
  if (messages === undefined) {
    state.messages.set(conversation, [message]);
  } else {
    messages.push(message);
  }
}

/** The settings of a conversation that nobody set any for. */
export const NO_SETTINGS: StoredSettings = { pinned: false, muted: false, draft: '', hiddenSeq: 0 };

/** As many as the largest exact integer has. */
const SEQ_DIGITS = 16;
