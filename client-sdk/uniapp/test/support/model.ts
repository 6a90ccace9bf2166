/**
 * A server in memory: one user under test, one peer, a direct conversation and
 * whatever groups a test puts in. It keeps the promises of the protocol (dense
 * seqs, dedupe of the last 128 sends, cursors that only grow) and can be told
 * to refuse or to stay silent.
 */
import type { ConversationId } from '../../src/index.js';
import { Opcode } from '../../src/index.js';
import { readConversationId, writeConversationId } from '../../src/model/wire.js';
import * as pb from '../../src/pb.js';
import type { BinaryWriter } from '../../src/wire/wire.js';

export const ME = '4097';
export const PEER = '8194';
export const DIRECT: ConversationId = 'd:4097:8194';
export const HEARTBEAT_MS = 10_000;

export interface ModelConversation {
  messages: pb.Message[];
  delivered: Map<string, number>;
  read: Map<string, number>;
  group: pb.Group | undefined;
  gone: boolean;
  joinedSeq: number;
}

interface Refusal {
  readonly opcode: number;
  readonly error: pb.Error;
}

export class ModelServer {
  nowMs = 0;
  readonly conversations = new Map<ConversationId, ModelConversation>();
  accessToken = 'access-0';
  refreshToken = 'refresh-0';
  tokensIssued = 0;
  /** Answers to the next requests with these opcodes. */
  readonly refusals: Refusal[] = [];
  watched: string[] = [];
  /** People whom the session may not watch although something was said. */
  readonly strangers = new Set<string>();
  /** What the next requests about groups are answered with. */
  readonly groups: pb.Group[] = [];
  readonly members: pb.Member[] = [];
  /** Takes requests with these opcodes and never answers. */
  readonly silent = new Set<number>();
  pageConversations = 100;
  tooOldAfter = 1_000;
  seen: number[] = [];
  sendsSeen: string[] = [];
  heartbeats = 0;
  outgoing: Uint8Array[] = [];
  private dedupe: { id: ConversationId; sent: string; seq: number }[] = [];
  private inSession = false;

  accept(): void {
    this.inSession = false;
    this.watched = [];
    this.outgoing = [];
  }

  conversation(id: ConversationId): ModelConversation {
    let conversation = this.conversations.get(id);
    if (conversation === undefined) {
      conversation = {
        messages: [],
        delivered: new Map(),
        read: new Map(),
        group: undefined,
        gone: false,
        joinedSeq: 1,
      };
      this.conversations.set(id, conversation);
    }
    return conversation;
  }

  /** Stores a text of somebody and pushes it when `push`. */
  say(id: ConversationId, sender: string, text: string, push: boolean): number {
    return this.sayBody(id, sender, pb.Body.encode({ text }).finish(), push);
  }

  sayBody(id: ConversationId, sender: string, body: Uint8Array, push: boolean): number {
    const { messages } = this.conversation(id);
    const seq = messages.length + 1;
    const clientMsgId = new Uint8Array(16).fill(seq & 255);
    messages.push(this.message(id, seq, sender, body, clientMsgId));
    if (push) {
      this.pushMessage(id, seq);
    }
    return seq;
  }

  private message(
    id: ConversationId,
    seq: number,
    sender: string,
    body: Uint8Array,
    clientMsgId: Uint8Array,
  ): pb.Message {
    return {
      conversation: writeConversationId(id),
      seq: String(seq),
      messageId: String(seq + 1_000),
      sender,
      timeMs: String(this.nowMs + seq),
      clientMsgId,
      body,
    };
  }

  /** Pushes a stored message, again or for the first time. */
  pushMessage(id: ConversationId, seq: number): void {
    const message = this.conversation(id).messages[seq - 1];
    if (message !== undefined) {
      this.push(Opcode.Message, pb.Message.encode(message));
    }
  }

  push(opcode: number, message: BinaryWriter): void {
    if (this.inSession) {
      this.write(opcode, '0', message);
    }
  }

  goodbye(code: number, reconnectAfterMs: number): void {
    this.write(Opcode.Goodbye, '0', pb.Goodbye.encode({ code, message: 'test', reconnectAfterMs }));
  }

  peerMoves(id: ConversationId, delivered: number, read: number, user = PEER): void {
    const conversation = this.conversation(id);
    conversation.delivered.set(user, delivered);
    conversation.read.set(user, read);
    this.push(Opcode.CursorMoved, cursorMoved(id, user, delivered, read));
  }

  changed(id: ConversationId): void {
    const conversation = state(id, this.conversation(id));
    this.push(Opcode.ConversationChanged, pb.ConversationChanged.encode({ conversation }));
  }

  receive(bytes: Uint8Array): void {
    if (bytes.length === 0) {
      this.heartbeats++;
      this.outgoing.push(new Uint8Array(0));
      return;
    }
    const frame = pb.Frame.decode(bytes);
    const { opcode, payload } = frame;
    this.seen.push(opcode);
    if (opcode === Opcode.Send) {
      this.sendsSeen.push(hex(pb.Send.decode(payload).clientMsgId));
    }
    if (this.silent.has(opcode)) {
      return;
    }
    const at = this.refusals.findIndex((refusal) => refusal.opcode === opcode);
    const [refusal] = at < 0 ? [] : this.refusals.splice(at, 1);
    if (refusal !== undefined) {
      this.write(Opcode.Error, frame.request, pb.Error.encode(refusal.error));
    } else {
      this.answer(frame);
    }
  }

  private answer({ opcode, request, payload }: pb.Frame): void {
    switch (opcode) {
      case Opcode.Hello:
        return this.onHello(request, pb.Hello.decode(payload));
      case Opcode.Register:
      case Opcode.Login:
      case Opcode.LoginExternal:
        return this.open(opcode, request);
      case Opcode.Refresh:
        return pb.Refresh.decode(payload).refreshToken === this.refreshToken
          ? this.open(opcode, request)
          : this.refuse(request, 203);
      default:
        return this.inSession
          ? this.answerInSession(opcode, request, payload)
          : this.refuse(request, 104);
    }
  }

  private answerInSession(opcode: number, request: string, payload: Uint8Array): void {
    switch (opcode) {
      case Opcode.Sync:
        return this.write(
          opcode,
          request,
          pb.SyncPage.encode(this.page(pb.SyncRequest.decode(payload))),
        );
      case Opcode.Send:
        return this.onSend(request, pb.Send.decode(payload));
      case Opcode.MoveCursor:
        return this.onMoveCursor(request, pb.MoveCursor.decode(payload));
      case Opcode.History:
        return this.write(
          opcode,
          request,
          pb.HistoryPage.encode(this.history(pb.History.decode(payload))),
        );
      case Opcode.GetProfiles: {
        const profiles = pb.GetProfiles.decode(payload).users.map(profile);
        return this.write(opcode, request, pb.Profiles.encode({ profiles }));
      }
      case Opcode.ListMembers:
        return this.write(
          opcode,
          request,
          pb.Members.encode({ members: this.members, more: false }),
        );
      case Opcode.WatchPresence:
        return this.onWatch(request, pb.WatchPresence.decode(payload).users);
      default: {
        const group = this.groups.shift();
        const reply = group === undefined ? pb.Empty.encode({}) : pb.Group.encode(group);
        return this.write(opcode, request, reply);
      }
    }
  }

  /** All or nothing, as the real one: only people with whom something was said. */
  private onWatch(request: string, users: string[]): void {
    const known = (user: string) => {
      const [low, high] = [ME, user].sort((a, b) => Number(a) - Number(b));
      const said = this.conversations.get(`d:${low}:${high}`)?.messages.length ?? 0;
      return said > 0 && !this.strangers.has(user);
    };
    if (!users.every(known)) {
      return this.refuse(request, 400);
    }
    this.watched = users;
    this.write(Opcode.WatchPresence, request, pb.Presences.encode({ presences: [] }));
    const presences = users.map((user) => ({ user, online: true, lastSeenMs: '0' }));
    if (presences.length > 0) {
      this.push(Opcode.PresenceChanged, pb.Presences.encode({ presences }));
    }
  }

  private onHello(request: string, hello: pb.Hello): void {
    const welcome: pb.Welcome = {
      serverTimeMs: String(this.nowMs),
      server: 'model',
      maxFrameBytes: 1 << 20,
      heartbeatMs: HEARTBEAT_MS,
      session: undefined,
      resumed: undefined,
    };
    if (hello.accessToken !== '') {
      if (hello.accessToken !== this.accessToken) {
        return this.refuse(request, 201);
      }
      this.inSession = true;
      welcome.session = session(undefined);
      welcome.resumed = hello.resume && this.page(hello.resume);
    }
    this.write(Opcode.Hello, request, pb.Welcome.encode(welcome));
  }

  private open(opcode: number, request: string): void {
    this.inSession = true;
    this.tokensIssued++;
    this.accessToken = `access-${this.tokensIssued}`;
    this.refreshToken = `refresh-${this.tokensIssued}`;
    const tokens = {
      accessToken: this.accessToken,
      accessExpiresMs: String(this.nowMs + 900_000),
      refreshToken: this.refreshToken,
      refreshExpiresMs: String(this.nowMs + 9_000_000),
    };
    this.write(opcode, request, pb.Session.encode(session(tokens)));
  }

  private onSend(request: string, send: pb.Send): void {
    const id = idOf(send.conversation);
    const sent = hex(send.clientMsgId);
    const known = this.dedupe.find((entry) => entry.id === id && entry.sent === sent)?.seq;
    const { messages } = this.conversation(id);
    const seq = known ?? messages.length + 1;
    if (known === undefined) {
      messages.push(this.message(id, seq, ME, send.body, send.clientMsgId));
      this.dedupe.push({ id, sent, seq });
      this.dedupe = this.dedupe.slice(-128);
    }
    const ack = {
      messageId: String(seq + 1_000),
      seq: String(seq),
      timeMs: messages[seq - 1]?.timeMs ?? '0',
      level: send.level,
      repeatedSend: known !== undefined,
    };
    this.write(Opcode.Send, request, pb.SendAck.encode(ack));
  }

  private onMoveCursor(request: string, moved: pb.MoveCursor): void {
    const { delivered, read, messages } = this.conversation(idOf(moved.conversation));
    raise(delivered, Math.min(Number(moved.deliveredSeq), messages.length));
    raise(read, Math.min(Number(moved.readSeq), messages.length));
    if (request !== '0') {
      this.write(Opcode.MoveCursor, request, pb.Empty.encode({}));
    }
  }

  private history(ask: pb.History): pb.HistoryPage {
    const { messages, joinedSeq } = this.conversation(idOf(ask.conversation));
    const from = Math.max(Number(ask.fromSeq), joinedSeq);
    const to = ask.toSeq === '0' ? messages.length : Number(ask.toSeq);
    const limit = ask.limit === 0 ? 100 : ask.limit;
    const range = messages.filter(({ seq }) => Number(seq) >= from && Number(seq) <= to);
    return {
      messages: ask.backwards ? range.slice(-limit) : range.slice(0, limit),
      more: range.length > limit,
      firstSeq: String(joinedSeq),
      lastSeq: String(messages.length),
    };
  }

  private page(request: pb.SyncRequest): pb.SyncPage {
    const held = new Map(
      request.held.map((cursor) => [idOf(cursor.conversation), Number(cursor.seq)]),
    );
    const listed = [...this.conversations].filter(
      ([, { messages, group }]) => messages.length > 0 || group !== undefined,
    );
    const from = Number(request.page);
    const to = from + this.pageConversations;
    return {
      conversations: listed.slice(from, to).map(([id, it]) => this.synced(id, it, held.get(id))),
      profiles: [profile(PEER)],
      nextPage: listed.length > to ? String(to) : '0',
      serverTimeMs: String(this.nowMs),
    };
  }

  private synced(
    id: ConversationId,
    conversation: ModelConversation,
    held: number | undefined,
  ): pb.SyncedConversation {
    const { messages } = conversation;
    const missing = held === undefined ? 0 : Math.max(messages.length - held, 0);
    const tooOld = missing > this.tooOldAfter;
    const count = tooOld ? this.tooOldAfter : missing;
    return {
      state: state(id, conversation),
      messages: count === 0 ? [] : messages.slice(-count),
      tooOld,
    };
  }

  private refuse(request: string, code: number): void {
    this.write(Opcode.Error, request, pb.Error.encode(wireError(code, 0)));
  }

  private write(opcode: number, request: string, message: BinaryWriter): void {
    this.outgoing.push(pb.Frame.encode({ opcode, request, payload: message.finish() }).finish());
  }
}

export function wireError(code: number, retryAfterMs: number): pb.Error {
  return { code, message: 'test', retryAfterMs };
}

export function cursorMoved(
  id: ConversationId,
  user: string,
  delivered: number,
  read: number,
): BinaryWriter {
  return pb.CursorMoved.encode({
    conversation: writeConversationId(id),
    user,
    deliveredSeq: String(delivered),
    readSeq: String(read),
  });
}

export function group(id: string, name: string, more: Partial<pb.Group> = {}): pb.Group {
  return {
    id,
    name,
    memberCount: 2,
    historyVisible: false,
    role: 3,
    createdMs: '0',
    dissolved: false,
    lastSeq: '0',
    ...more,
  };
}

function state(id: ConversationId, conversation: ModelConversation): pb.Conversation {
  const { messages, delivered, read, joinedSeq, group: info, gone } = conversation;
  const own = messages.filter(({ sender }) => sender === ME).length;
  const lastOwn =
    own === 0 ? 0 : Number(messages.filter(({ sender }) => sender === ME)[own - 1]?.seq);
  const floor = Math.max(lastOwn, read.get(ME) ?? 0, joinedSeq - 1);
  const known = gone ? 0 : 1;
  return {
    id: writeConversationId(id),
    lastSeq: String(messages.length * known),
    deliveredSeq: String((delivered.get(ME) ?? 0) * known),
    readSeq: String((read.get(ME) ?? 0) * known),
    unread: String(Math.max(messages.length - floor, 0) * known),
    firstSeq: String(joinedSeq * known),
    lastMessage: gone ? undefined : messages[messages.length - 1],
    peerDeliveredSeq: String((delivered.get(PEER) ?? 0) * known),
    peerReadSeq: String((read.get(PEER) ?? 0) * known),
    group: gone ? undefined : info,
    gone,
  };
}

function session(tokens: pb.Tokens | undefined): pb.Session {
  return { userId: ME, name: 'me', displayName: 'Me', deviceId: 'device', tokens };
}

function profile(user: string): pb.Profile {
  return { user, name: `user${user}`, displayName: `User ${user}` };
}

function idOf(id: pb.ConversationId | undefined): ConversationId {
  const read = readConversationId(id);
  if (read === undefined) {
    throw new Error('not a conversation');
  }
  return read;
}

function raise(cursors: Map<string, number>, seq: number): void {
  cursors.set(ME, Math.max(cursors.get(ME) ?? 0, seq));
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
