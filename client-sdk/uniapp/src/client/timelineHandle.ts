/** An open timeline, as the app holds it. */
import type { ConversationId } from '../model/ids.js';
import type { TimelineView } from '../model/message.js';
import type { Watch } from '../watch.js';
import type { Client, SendHandle, SendOptions, Timeline } from './api.js';

export class TimelineHandle implements Timeline {
  private closed = false;

  constructor(
    private readonly client: Client,
    readonly conversation: ConversationId,
    readonly view: Watch<TimelineView>,
    private readonly onClose: () => void,
  ) {}

  sendText(text: string, options?: SendOptions): Promise<SendHandle> {
    return this.client.sendText(this.conversation, text, options);
  }

  loadOlder(limit?: number): Promise<number> {
    return this.client.loadOlder(this.conversation, limit);
  }

  loadNewer(limit?: number): Promise<number> {
    return this.client.loadNewer(this.conversation, limit);
  }

  toNewest(): void {
    this.client.toNewest(this.conversation);
  }

  markRead(): void {
    const { items } = this.view.value;
    for (let at = items.length - 1; at >= 0; at--) {
      const seq = items[at]?.seq;
      if (seq !== undefined) {
        return this.client.markRead(this.conversation, seq);
      }
    }
  }

  close(): void {
    if (!this.closed) {
      this.closed = true;
      this.onClose();
    }
  }
}
