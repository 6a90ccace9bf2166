/** {@link ClientBase}: what there is to see of a client, and what it tells. */
import type { ClientCore } from '../core/clientCore.js';
import type { CoreEvent } from '../core/event.js';
import { ClientError } from '../error.js';
import type { Account, ConversationState, Presence } from '../model/conversation.js';
import type { ClientEvents } from '../model/events.js';
import type { ConversationId, UserId } from '../model/ids.js';
import type { AccountState, Status } from '../model/status.js';
import type { Unsubscribe, Watch } from '../watch.js';
import { Cell } from './cell.js';
import { Driver, type DriverParts } from './driver.js';
import { Emitter } from './emitter.js';
import { Handles } from './handles.js';
import { Shown } from './shown.js';

/** The part of a client that looks and listens; documented in the interface. */
export class ClientBase {
  readonly status: Cell<Status>;
  readonly accountState: Cell<AccountState>;
  readonly deviceId: string;
  protected readonly driver: Driver;
  protected readonly core: ClientCore;
  protected readonly shown: Shown;
  protected readonly handles: Handles;
  private readonly emitter = new Emitter();

  constructor(parts: Omit<DriverParts, 'onEvent' | 'onTurn'>) {
    const onEvent = (event: CoreEvent) => this.onEvent(event);
    this.driver = new Driver({ ...parts, onEvent, onTurn: () => this.shown.schedule() });
    this.core = this.driver.core;
    this.core.setListening(false);
    this.deviceId = parts.config.device.id;
    this.shown = new Shown(this.core);
    this.handles = new Handles(this.core.state);
    this.status = new Cell(() => this.core.state.status);
    this.accountState = new Cell(() => {
      const { account, status, devices } = this.core.state;
      return { account, status, devices };
    });
  }

  get account(): Account | undefined {
    return this.core.state.account;
  }

  get serverAheadMs(): number {
    return this.core.state.serverAheadMs;
  }

  get conversations(): Watch<readonly ConversationState[]> {
    return this.shown.conversations;
  }

  get totalUnread(): Watch<number> {
    return this.shown.totalUnread;
  }

  get presence(): Watch<ReadonlyMap<UserId, Presence>> {
    return this.shown.presence;
  }

  conversation(id: ConversationId): ConversationState | undefined {
    return this.core.conversation(id);
  }

  on<K extends keyof ClientEvents>(
    event: K,
    listener: (value: ClientEvents[K]) => void,
  ): Unsubscribe {
    const look = () => this.core.setListening(this.emitter.has('message'));
    const off = this.emitter.on(event, listener);
    look();
    return () => {
      off();
      look();
    };
  }

  waitLive(): Promise<void> {
    return this.waitStatus((status) => status.kind === 'live');
  }

  protected waitStatus(wanted: (status: Status) => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = (status: Status) => {
        const useless = USELESS_TO_WAIT.includes(status.kind);
        if (wanted(status)) {
          resolve();
        } else if (useless) {
          reject(new ClientError('offline', `there is no session: ${status.kind}`));
        }
        return wanted(status) || useless;
      };
      if (!look(this.status.value)) {
        const off = this.on('status', (status) => {
          if (look(status)) {
            off();
          }
        });
      }
    });
  }

  private onEvent(event: CoreEvent): void {
    switch (event.kind) {
      case 'conversationChanged':
        this.shown.conversationChanged(event.conversation);
        this.handles.conversationChanged(event.conversation);
        break;
      case 'timelineChanged':
        this.shown.timelineChanged(event.conversation);
        break;
      case 'cursorMoved':
        this.emitter.emit('cursorMoved', event.moved);
        break;
      case 'devicesChanged':
        this.accountChanged();
        break;
      case 'disconnected':
        this.emitter.emit('disconnected', event.error);
        break;
      case 'message':
        this.emitter.emit('message', event.message);
        break;
      case 'messagesSkipped':
        this.emitter.emit('messagesSkipped', event.skipped);
        break;
      case 'presence':
        this.shown.presenceChanged(event.presences);
        this.emitter.emit('presence', event.presences);
        break;
      case 'send':
        this.handles.update(event.clientMsgId, event.update);
        this.emitter.emit('send', event);
        break;
      case 'signedIn':
        this.onSignedIn(event.account);
        break;
      case 'status':
        this.onStatus(event.status);
        break;
      case 'storageFailed':
        this.emitter.emit('storageFailed', event.error);
        break;
      default:
      // Replies went to who asked.
    }
  }

  private onSignedIn(account: Account): void {
    for (const id of this.shown.opened()) {
      if ((this.core.state.convs.get(id)?.open ?? 0) === 0) {
        this.driver.run((core, now) => core.openTimeline(now, id));
      }
    }
    this.accountChanged();
    this.emitter.emit('signedIn', account);
  }

  private onStatus(status: Status): void {
    this.status.invalidate();
    this.status.notify();
    this.accountChanged();
    this.emitter.emit('status', status);
  }

  private accountChanged(): void {
    this.accountState.invalidate();
    this.accountState.notify();
  }
}

const USELESS_TO_WAIT: readonly Status['kind'][] = ['authRequired', 'offline', 'signedOut'];
