/** Messages of one's own on their way: what `send` resolves to. */
import { sendStates } from '../core/receipts.js';
import type { CoreState } from '../core/state.js';
import { ClientError } from '../error.js';
import type { SendUpdate } from '../model/events.js';
import type { ClientMsgId, ConversationId } from '../model/ids.js';
import type { Body, Message, SendAck, SendState } from '../model/message.js';
import type { SendHandle } from './api.js';
import { Cell } from './cell.js';

/** What becomes of one message. */
class Handle implements SendHandle {
  readonly state: Cell<SendState>;
  private end: Message | ClientError | undefined;
  private ack: SendAck | undefined;
  private waiting: { resolve(message: Message): void; reject(error: ClientError): void }[] = [];

  constructor(
    private readonly core: CoreState,
    readonly clientMsgId: ClientMsgId,
    readonly conversation: ConversationId,
    private readonly body: Body,
  ) {
    this.state = new Cell(() => this.compute());
  }

  saved(): Promise<Message> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ resolve, reject });
      this.settle();
    });
  }

  update(update: SendUpdate): void {
    if (update.kind === 'saved') {
      this.ack = update.ack;
      const { messageId, seq, timeMs } = update.ack;
      const { conversation, clientMsgId, body } = this;
      const sender = this.core.me;
      const rest = { sender, timeMs, clientMsgId, body, newerBody: undefined };
      this.end = { conversation, seq, messageId, ...rest };
    } else if (update.kind === 'sending') {
      this.end = undefined;
    } else {
      this.end = update.error;
    }
    this.settle();
    this.changed();
  }

  /** Those who wait learn nothing more; what is in the outbox stays there. */
  close(error: ClientError): void {
    this.end ??= error;
    this.settle();
  }

  changed(): void {
    this.state.invalidate();
    this.state.notify();
  }

  private settle(): void {
    const { end } = this;
    if (end === undefined) {
      return;
    }
    for (const { resolve, reject } of this.waiting.splice(0)) {
      if (end instanceof ClientError) {
        reject(end);
      } else {
        resolve(end);
      }
    }
  }

  private compute(): SendState {
    const { ack, end } = this;
    if (ack === undefined) {
      return end instanceof ClientError ? { kind: 'failed', error: end } : { kind: 'sending' };
    }
    const conv = this.core.convs.get(this.conversation);
    const me = this.core.me;
    const state = conv && me !== undefined ? sendStates(conv, me)(ack.seq) : undefined;
    return state === undefined || state.kind === 'saved'
      ? { kind: 'saved', level: ack.level }
      : state;
  }
}

interface Keeping {
  readonly resolve: (handle: SendHandle) => void;
  readonly reject: (error: ClientError) => void;
  readonly handle: Handle;
}

/** The handles that the app may still hold. */
export class Handles {
  private readonly keeping = new Map<ClientMsgId, Keeping>();
  /** The newest handles, oldest first. */
  private readonly handles = new Map<ClientMsgId, Handle>();

  constructor(private readonly core: CoreState) {}

  /** Resolves when the message is kept on this device; call before sending it. */
  expect(id: ClientMsgId, conversation: ConversationId, body: Body): Promise<SendHandle> {
    return new Promise((resolve, reject) => {
      const handle = new Handle(this.core, id, conversation, body);
      this.keeping.set(id, { resolve, reject, handle });
    });
  }

  /** The message was not taken after all. */
  forget(id: ClientMsgId): void {
    this.keeping.delete(id);
  }

  update(id: ClientMsgId, update: SendUpdate): void {
    const keeping = this.keeping.get(id);
    if (keeping !== undefined) {
      this.keeping.delete(id);
      if (update.kind === 'dropped') {
        return keeping.reject(update.error);
      }
      this.keep(keeping.handle);
      keeping.handle.update(update);
      return keeping.resolve(keeping.handle);
    }
    this.handles.get(id)?.update(update);
  }

  /** The client is shut down: nobody will tell what becomes of them. */
  close(): void {
    const error = new ClientError('closed', 'the client is closed');
    this.keeping.forEach(({ reject }) => {
      reject(error);
    });
    this.keeping.clear();
    this.handles.forEach((handle) => {
      handle.close(error);
    });
    this.handles.clear();
  }

  /** Cursors of a conversation moved. */
  conversationChanged(id: ConversationId): void {
    this.handles.forEach((handle) => {
      if (handle.conversation === id) {
        handle.state.invalidate();
        if (handle.state.watched) {
          handle.state.notify();
        }
      }
    });
  }

  private keep(handle: Handle): void {
    this.handles.delete(handle.clientMsgId);
    this.handles.set(handle.clientMsgId, handle);
    for (const [id, oldest] of this.handles) {
      const excess = this.handles.size > HANDLES_MAX;
      if (!excess) {
        break;
      }
      // What is still on its way is in the outbox, which has its own limit.
      if (this.core.outbox.entry(oldest.clientMsgId) !== undefined) {
        break;
      }
      this.handles.delete(id);
    }
  }
}

/** Handles that follow the other side's cursors. */
const HANDLES_MAX = 1_000;
