/** {@link HongyanClient}: the client behind the interface. */
import type { ClientCore } from '../core/clientCore.js';
import type { Credentials } from '../core/credentials.js';
import { ClientError } from '../error.js';
import { ErrorCode } from '../errorCode.js';
import { Session } from '../gen/auth.js';
import { HistoryPage } from '../gen/conversation.js';
import { CLIENT_ID_BYTES } from '../limits.js';
import type {
  Account,
  ConversationSettings,
  DeviceState,
  GroupInfo,
  PresenceWatch,
  Profile,
} from '../model/conversation.js';
import type { ClientMsgId, ConversationId, GroupId, UserId } from '../model/ids.js';
import { directConversation } from '../model/ids.js';
import type { Body, Role } from '../model/message.js';
import { readBody } from '../model/wire.js';
import { hexEncode } from '../wire/hex.js';
import type {
  Client,
  GroupMembers,
  GroupUpdate,
  HistoryPage as Page,
  SendHandle,
  SendOptions,
  Timeline,
} from './api.js';
import { ClientBase } from './clientBase.js';
import type { DriverParts } from './driver.js';
import { randomBytes } from './random.js';
import { decode, RequestSet } from './requests.js';
import { ProviderSignIn } from './signIn.js';
import { TimelineHandle } from './timelineHandle.js';

/** The client behind the interface; its methods are documented there. */
export class HongyanClient extends ClientBase implements Client {
  private readonly requests: RequestSet;
  private readonly signIn: ProviderSignIn | undefined;

  constructor(
    parts: Omit<DriverParts, 'onEvent' | 'onTurn'>,
    tokenProvider?: () => Promise<string>,
  ) {
    super(parts);
    this.requests = new RequestSet((opcode, payload) => this.request(opcode, payload));
    if (tokenProvider !== undefined) {
      const signIn = new ProviderSignIn(tokenProvider, (idToken) => this.loginExternal(idToken));
      this.on('status', (status) => signIn.onStatus(status));
      this.signIn = signIn;
    }
  }

  /** Connects when there are tokens, or asks for credentials. */
  start(): void {
    this.driver.run((core, now) => core.start(now));
  }

  // Sessions.

  register(name: string, password: string, displayName = ''): Promise<Account> {
    return this.authenticate({ kind: 'register', name, password, displayName });
  }

  login(name: string, password: string): Promise<Account> {
    return this.authenticate({ kind: 'password', name, password });
  }

  loginExternal(idToken: string): Promise<Account> {
    return this.authenticate({ kind: 'external', idToken });
  }

  private async authenticate(credentials: Credentials): Promise<Account> {
    const payload = await this.driver.ask<Uint8Array>((core, now, token) =>
      core.authenticate(now, token, credentials),
    );
    const { userId: user, name, displayName } = decode(Session, payload);
    return { user, name, displayName };
  }

  async logout(): Promise<void> {
    await this.driver.ask<Uint8Array>((core, now, token) => core.logout(now, token));
  }

  async resume(): Promise<Account> {
    this.driver.run((core, now) => core.start(now));
    await this.waitStatus((status) => status.kind === 'syncing' || status.kind === 'live');
    if (this.account === undefined) {
      throw new ClientError('offline', 'nobody is signed in');
    }
    return this.account;
  }

  disconnect(): void {
    this.driver.run((core, now) => core.stop(now));
  }

  async shutdown(): Promise<void> {
    this.signIn?.stop();
    await this.driver.shutdown();
    this.handles.close();
  }

  // Messages.

  direct(peer: UserId): ConversationId {
    if (this.account === undefined) {
      throw new ClientError('offline', 'nobody is signed in');
    }
    const id = directConversation(this.account.user, peer);
    if (id === undefined) {
      throw new ClientError('invalid', 'this is yourself');
    }
    return id;
  }

  openTimeline(id: ConversationId): Timeline {
    const { cell, first } = this.shown.open(id);
    if (first) {
      this.driver.run((core, now) => core.openTimeline(now, id));
    }
    return new TimelineHandle(this, id, cell, () => {
      if (this.shown.close(id)) {
        this.driver.run((core, now) => core.closeTimeline(now, id));
      }
    });
  }

  sendText(id: ConversationId, text: string, options?: SendOptions): Promise<SendHandle> {
    return this.send(id, { kind: 'text', text }, options);
  }

  async send(id: ConversationId, body: Body, options: SendOptions = {}): Promise<SendHandle> {
    const { level = 'durable', clientMsgId = hexEncode(randomBytes(CLIENT_ID_BYTES)) } = options;
    return this.keep(clientMsgId, id, body, (core, now) =>
      core.send(now, { clientMsgId, conversation: id, body, level }),
    );
  }

  async retry(id: ClientMsgId): Promise<SendHandle> {
    const entry = this.core.state.outbox.entry(id);
    if (entry === undefined) {
      throw new ClientError('invalid', 'no failed message has this id');
    }
    const { body } = readBody(entry.body);
    return this.keep(id, entry.conversation, body, (core, now) => core.retry(now, id));
  }

  private keep(
    id: ClientMsgId,
    conversation: ConversationId,
    body: Body,
    command: (core: ClientCore, now: number) => unknown,
  ): Promise<SendHandle> {
    const known = this.core.state.outbox.entry(id);
    if (known !== undefined && known.failedCode === undefined) {
      throw new ClientError('invalid', 'the client message id was used before');
    }
    const kept = this.handles.expect(id, conversation, body);
    try {
      this.driver.run(command);
    } catch (error) {
      this.handles.forget(id);
      throw error;
    }
    return kept;
  }

  async discard(id: ClientMsgId): Promise<void> {
    this.driver.run((core, now) => core.discard(now, id));
  }

  markRead(id: ConversationId, seq?: number): void {
    const upTo = seq ?? this.core.state.convs.get(id)?.record.lastSeq ?? 0;
    this.driver.run((core, now) => core.markRead(now, id, upTo));
  }

  async loadOlder(id: ConversationId, limit = 100): Promise<number> {
    const payload = await this.driver.ask<Uint8Array>((core, now, token) =>
      core.loadOlder(now, token, id, limit),
    );
    return decode(HistoryPage, payload).messages.length;
  }

  async loadNewer(id: ConversationId, limit = 100): Promise<number> {
    const payload = await this.driver.ask<Uint8Array>((core, now, token) =>
      core.loadNewer(now, token, id, limit),
    );
    return decode(HistoryPage, payload).messages.length;
  }

  toNewest(id: ConversationId): void {
    this.driver.run((core, now) => core.toNewest(now, id));
  }

  history(
    id: ConversationId,
    fromSeq: number,
    toSeq: number,
    limit = 0,
    backwards = false,
  ): Promise<Page> {
    return this.requests.history(id, fromSeq, toSeq, limit, backwards);
  }

  setConversation(id: ConversationId, settings: Partial<ConversationSettings>): void {
    this.driver.run((core, now) => core.setSettings(now, id, settings));
  }

  // People.

  findUser(name: string): Promise<Profile> {
    return this.requests.findUser(name);
  }

  async profile(user: UserId): Promise<Profile> {
    const [found] = await this.profiles([user]);
    if (found === undefined) {
      throw new ClientError('refused', 'the server knows nobody of this id', ErrorCode.NoSuchUser);
    }
    return found;
  }

  async profiles(users: readonly UserId[]): Promise<Profile[]> {
    const unknown = users.filter((user) => this.knownProfile(user) === undefined);
    const asked = await this.requests.profiles([...new Set(unknown)]);
    const found = new Map(asked.map((profile) => [profile.user, profile]));
    return users
      .map((user) => this.knownProfile(user) ?? found.get(user))
      .filter((profile) => profile !== undefined);
  }

  knownProfile(user: UserId): Profile | undefined {
    return this.core.state.profiles.get(user);
  }

  watchPresence(users: readonly UserId[]): Promise<PresenceWatch[]> {
    const asked = this.driver.ask<PresenceWatch[]>((core, now, token) =>
      core.watchPresence(now, token, users),
    );
    this.shown.keepPresences(new Set(this.core.state.watching.wanted));
    return asked;
  }

  // Groups.

  async createGroup(
    name: string,
    members: readonly UserId[],
    options: { readonly historyVisible?: boolean } = {},
  ): Promise<GroupInfo> {
    const id = randomBytes(CLIENT_ID_BYTES);
    const create = () =>
      this.requests.createGroup(id, name, members, options.historyVisible ?? false);
    for (let attempt = 1; attempt < CREATE_ATTEMPTS; attempt++) {
      try {
        return await create();
      } catch (error) {
        if (!(error instanceof ClientError) || error.kind !== 'timedOut') {
          throw error;
        }
        await this.waitLive();
      }
    }
    return create();
  }

  inviteMembers(group: GroupId, users: readonly UserId[]): Promise<GroupInfo> {
    return this.requests.inviteMembers(group, users);
  }

  leaveGroup(group: GroupId): Promise<void> {
    return this.requests.leaveGroup(group);
  }

  removeMember(group: GroupId, user: UserId): Promise<GroupInfo> {
    return this.requests.removeMember(group, user);
  }

  setRole(group: GroupId, user: UserId, role: Exclude<Role, 'unknown'>): Promise<GroupInfo> {
    return this.requests.setRole(group, user, role);
  }

  updateGroup(group: GroupId, update: GroupUpdate): Promise<GroupInfo> {
    return this.requests.updateGroup(group, update);
  }

  dissolveGroup(group: GroupId): Promise<void> {
    return this.requests.dissolveGroup(group);
  }

  listMembers(group: GroupId, after: UserId = '0', limit = 0): Promise<GroupMembers> {
    return this.requests.listMembers(group, after, limit);
  }

  // The account.

  devices(): Promise<DeviceState[]> {
    return this.requests.devices();
  }

  revokeDevice(deviceId: string): Promise<void> {
    return this.requests.revokeDevice(deviceId);
  }

  changePassword(oldPassword: string, newPassword: string): Promise<void> {
    return this.requests.changePassword(oldPassword, newPassword);
  }

  deactivate(password: string): Promise<void> {
    return this.requests.deactivate(password);
  }

  // The platform.

  setForeground(foreground: boolean): void {
    this.signIn?.setForeground(foreground);
    if (foreground) {
      this.driver.run((core, now) => core.probe(now, FOREGROUND_PROBE_MS));
    }
  }

  onShow(): void {
    this.setForeground(true);
  }

  onHide(): void {
    this.setForeground(false);
  }

  networkChanged(): void {
    this.driver.run((core, now) => core.probe(now, NETWORK_PROBE_MS));
  }

  reconnectNow(): void {
    this.driver.run((core, now) => core.reconnectNow(now));
  }

  request(opcode: number, payload: Uint8Array): Promise<Uint8Array> {
    return this.driver.ask((core, now, token) => core.request(now, token, opcode, payload));
  }
}

const CREATE_ATTEMPTS = 3;
/** How long a connection that may be gone has to show a sign of life. */
const FOREGROUND_PROBE_MS = 5_000;
const NETWORK_PROBE_MS = 3_000;
