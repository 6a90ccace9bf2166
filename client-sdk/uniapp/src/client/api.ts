/** {@link Client}: the handle that an app holds. */
import type { ErrorCodeNumber } from '../error.js';
import type {
  Account,
  ConversationSettings,
  ConversationState,
  DeviceState,
  GroupInfo,
  GroupMember,
  Presence,
  PresenceWatch,
  Profile,
} from '../model/conversation.js';
import type { ClientEvents } from '../model/events.js';
import type { ClientMsgId, ConversationId, GroupId, UserId } from '../model/ids.js';
import type { AckLevel, Body, Message, Role, SendState, TimelineView } from '../model/message.js';
import type { AccountState, Status } from '../model/status.js';
import type { Unsubscribe, Watch } from '../watch.js';

/** What `send` takes beside the body. */
export interface SendOptions {
  /** How safe the message must be before it counts as sent (`durable`). */
  readonly level?: AckLevel;
  /** An id of the app's own: 32 hexadecimal digits, never used before. */
  readonly clientMsgId?: ClientMsgId;
}

/** A message of one's own on its way. */
export interface SendHandle {
  readonly clientMsgId: ClientMsgId;
  readonly conversation: ConversationId;
  /** How far it got, now and as it goes on. */
  readonly state: Watch<SendState>;
  /**
   * Resolves when the server has it, over any number of reconnects; rejects
   * when it was refused for good or will not be sent.
   */
  saved(): Promise<Message>;
}

/** An open timeline. Call `close` when its page goes away. */
export interface Timeline {
  readonly conversation: ConversationId;
  /** What to show, now and as it changes. */
  readonly view: Watch<TimelineView>;
  /** Sends text; see {@link Client.sendText}. */
  sendText(text: string, options?: SendOptions): Promise<SendHandle>;
  /** Pages older messages in; see {@link Client.loadOlder}. */
  loadOlder(limit?: number): Promise<number>;
  /** Pages newer messages in; see {@link Client.loadNewer}. */
  loadNewer(limit?: number): Promise<number>;
  /** Shows the newest messages again; see {@link Client.toNewest}. */
  toNewest(): void;
  /** Marks read all that the view shows. */
  markRead(): void;
  /** Gives back the memory that an open conversation may use. */
  close(): void;
}

/** What `updateGroup` changes; what is left out stays as it is. */
export interface GroupUpdate {
  /** 1 to 64 bytes. */
  readonly name?: string;
  /** Whether newcomers see messages from before they joined. */
  readonly historyVisible?: boolean;
}

/** A page of a group's members, ascending by user id. */
export interface GroupMembers {
  readonly members: readonly GroupMember[];
  /** More follow the last one. */
  readonly more: boolean;
}

/** A range of messages, ascending by seq. */
export interface HistoryPage {
  readonly messages: readonly Message[];
  /** More are in the range that was asked for. */
  readonly more: boolean;
}

/** A client: one account on one device. Made by `createClient`. */
export interface Client {
  // Sessions.

  /**
   * Makes an account and opens its first session.
   * @throws ClientError `refused` (NameTaken, RegistrationClosed,
   * InvalidField), `connect`, `invalid` when somebody is signed in; after
   * `timedOut` the account may have been made: try to log in.
   */
  register(name: string, password: string, displayName?: string): Promise<Account>;
  /**
   * Opens a session by name and password.
   * @throws ClientError `refused` (BadCredentials and others), `connect`,
   * `timedOut`, `invalid` when somebody is signed in.
   */
  login(name: string, password: string): Promise<Account>;
  /** Opens a session by a token of an external issuer; throws as `login`. */
  loginExternal(idToken: string): Promise<Account>;
  /**
   * Signs out and forgets the account on this device, the outbox included, in
   * any case.
   * @throws ClientError when the server may not know of it.
   */
  logout(): Promise<void>;
  /**
   * Connects with the kept tokens and waits for the session; also takes the
   * place back after `disconnect` or after another device took it.
   * @throws ClientError `offline` when there are no tokens or they are refused.
   */
  resume(): Promise<Account>;
  /** Closes the connection and stays offline until `resume` or a login. */
  disconnect(): void;
  /** Stops for good; the outbox stays in the store, which is closed. */
  shutdown(): Promise<void>;

  // What there is to see.

  /** How the client stands with the server. */
  readonly status: Watch<Status>;
  /** Who is signed in, how the session is, and the devices as last listed. */
  readonly accountState: Watch<AccountState>;
  /** Who is signed in on this device, with or without a session. */
  readonly account: Account | undefined;
  /** This device's id: made once, kept in the store. */
  readonly deviceId: string;
  /** The server's clock less this one's, as last heard, in milliseconds. */
  readonly serverAheadMs: number;
  /**
   * All conversations: pinned ones first, then by latest activity. Hidden ones
   * are left out.
   */
  readonly conversations: Watch<readonly ConversationState[]>;
  /** Unread messages of all conversations that are not muted. */
  readonly totalUnread: Watch<number>;
  /** How watched people are, by user id. */
  readonly presence: Watch<ReadonlyMap<UserId, Presence>>;
  /** One conversation; `undefined` when nothing is known of it. */
  conversation(id: ConversationId): ConversationState | undefined;
  /** Listens to what happens from now on. */
  on<K extends keyof ClientEvents>(
    event: K,
    listener: (value: ClientEvents[K]) => void,
  ): Unsubscribe;
  /** Waits until the client is in session and up to date; throws `offline` when waiting is of no use. */
  waitLive(): Promise<void>;

  // Messages.

  /**
   * The conversation with a person; it needs no making.
   * @throws ClientError `offline` when nobody is signed in, `invalid` for oneself.
   */
  direct(peer: UserId): ConversationId;
  /** Opens a conversation's timeline. Each call is to be closed. */
  openTimeline(id: ConversationId): Timeline;
  /**
   * Sends text. Resolves when the message is kept on this device; from then on
   * it is sent until the result is definite, also by the next run of the
   * program.
   * @throws ClientError `invalid`, `outboxFull`, `storage`, `offline` when
   * nobody is signed in. The message is not sent then.
   */
  sendText(id: ConversationId, text: string, options?: SendOptions): Promise<SendHandle>;
  /** Sends any body; as `sendText`. */
  send(id: ConversationId, body: Body, options?: SendOptions): Promise<SendHandle>;
  /** Sends a failed message again, under the same id. */
  retry(id: ClientMsgId): Promise<SendHandle>;
  /** Forgets a failed message. */
  discard(id: ClientMsgId): Promise<void>;
  /**
   * Marks read up to `seq` (left out: the newest): at once on this device, on
   * the server as soon as it can be reached.
   */
  markRead(id: ConversationId, seq?: number): void;
  /**
   * Pages at most `limit` (100, at most 500) older messages into the timeline;
   * resolves to how many came. Zero: this is the beginning. An open timeline
   * that has no room for more gives up its newest messages instead and says
   * `hasNewer`; all who have it open see the same.
   * @throws ClientError `windowFull` when it is not open, and what a request
   * can meet.
   */
  loadOlder(id: ConversationId, limit?: number): Promise<number>;
  /**
   * Pages at most `limit` (100, at most 500) newer messages into a timeline that
   * says `hasNewer`; resolves to how many came. Zero: these are the newest.
   * @throws ClientError as a request.
   */
  loadNewer(id: ConversationId, limit?: number): Promise<number>;
  /** Shows the newest messages in a timeline that says `hasNewer`, at once. */
  toNewest(id: ConversationId): void;
  /**
   * Reads messages with `fromSeq <= seq <= toSeq` (0: the newest) past the
   * timeline, at most `limit`, from the upper end when `backwards`.
   */
  history(
    id: ConversationId,
    fromSeq: number,
    toSeq: number,
    limit?: number,
    backwards?: boolean,
  ): Promise<HistoryPage>;
  /** Changes what this device alone keeps of a conversation. */
  setConversation(id: ConversationId, settings: Partial<ConversationSettings>): void;

  // People.

  /** Finds a person by exact name. @throws ClientError `refused` (NoSuchUser). */
  findUser(name: string): Promise<Profile>;
  /** A person's names, from this device or else from the server. */
  profile(user: UserId): Promise<Profile>;
  /** Names for ids in the same order; those that nobody has are left out. */
  profiles(users: readonly UserId[]): Promise<Profile[]>;
  /** A person's names if this device knows them; the server is not asked. */
  knownProfile(user: UserId): Profile | undefined;
  /**
   * Watches who is on line, instead of whom was watched before: at most 500.
   * The wish stands over reconnects; `presence` tells how they are.
   */
  watchPresence(users: readonly UserId[]): Promise<PresenceWatch[]>;

  // Groups.

  /**
   * Makes a group of this user and `members` (at most 1,000). Asks again under
   * the same id when the connection breaks, so that one group is made.
   */
  createGroup(
    name: string,
    members: readonly UserId[],
    options?: { readonly historyVisible?: boolean },
  ): Promise<GroupInfo>;
  /** Adds people (at most 1,000); those who are in it are passed over. */
  inviteMembers(group: GroupId, users: readonly UserId[]): Promise<GroupInfo>;
  /** Leaves a group. @throws ClientError `refused` (OwnerCannotLeave). */
  leaveGroup(group: GroupId): Promise<void>;
  /** Removes a member. */
  removeMember(group: GroupId, user: UserId): Promise<GroupInfo>;
  /** Gives a member a role. Naming a new owner makes this user an admin. */
  setRole(group: GroupId, user: UserId, role: Exclude<Role, 'unknown'>): Promise<GroupInfo>;
  /** Renames a group or changes its history rule. */
  updateGroup(group: GroupId, update: GroupUpdate): Promise<GroupInfo>;
  /** Ends a group: nobody can send any more. */
  dissolveGroup(group: GroupId): Promise<void>;
  /** Members with a user id above `after`, at most `limit` (100, at most 500). */
  listMembers(group: GroupId, after?: UserId, limit?: number): Promise<GroupMembers>;

  // The account.

  /** The account's devices. */
  devices(): Promise<DeviceState[]>;
  /** Signs a device of the account out, at once. */
  revokeDevice(deviceId: string): Promise<void>;
  /** Changes the password and signs every other device out. */
  changePassword(oldPassword: string, newPassword: string): Promise<void>;
  /** Closes the account for good. */
  deactivate(password: string): Promise<void>;

  // The platform.

  /**
   * Tells whether the app is in the foreground. Coming back connects at once
   * when the connection is gone, and asks the server at once whether it is
   * still there when it seems not to be.
   */
  setForeground(foreground: boolean): void;
  /** `setForeground(true)`: for `onShow`. */
  onShow(): void;
  /** `setForeground(false)`: for `onHide`. */
  onHide(): void;
  /** The network changed or came back: connects at once, once. */
  networkChanged(): void;
  /** Ends the wait for the next attempt: for a "reconnect now" button. */
  reconnectNow(): void;

  // The rest of the protocol.

  /**
   * Sends any request and resolves to the reply's payload: for what has no
   * method of its own. `@hongyan/client/pb` encodes and decodes.
   * @throws ClientError `refused`; `offline` and `tooManyRequests` when nothing
   * was sent; `timedOut` when the result is not known.
   */
  request(opcode: number, payload: Uint8Array): Promise<Uint8Array>;
}

/** The number of an error code, as `ErrorCode` lists them. */
export type { ErrorCodeNumber };
