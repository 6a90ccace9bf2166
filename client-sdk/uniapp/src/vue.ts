/**
 * A thin layer for Vue: what a client shows, as refs that end with the
 * component.
 *
 * @packageDocumentation
 */
import type { ShallowRef } from 'vue';
import { getCurrentScope, onScopeDispose, shallowRef } from 'vue';
import type { Client, Timeline } from './client/api.js';
import type { ConversationState } from './model/conversation.js';
import type { ClientEvents } from './model/events.js';
import type { ConversationId } from './model/ids.js';
import type { TimelineView } from './model/message.js';
import type { Status } from './model/status.js';
import type { Unsubscribe, Watch } from './watch.js';

/** A ref that follows a watched value until the scope ends. */
export function useWatch<T>(watch: Watch<T>): Readonly<ShallowRef<T>> {
  const ref = shallowRef(watch.value) as ShallowRef<T>;
  atEnd(
    watch.subscribe((value) => {
      ref.value = value;
    }),
  );
  return ref;
}

/** How the client stands with the server. */
export function useStatus(client: Client): Readonly<ShallowRef<Status>> {
  return useWatch(client.status);
}

/** The conversation list. */
export function useConversations(
  client: Client,
): Readonly<ShallowRef<readonly ConversationState[]>> {
  return useWatch(client.conversations);
}

/** An open timeline, closed when the scope ends, and its view. */
export function useTimeline(
  client: Client,
  id: ConversationId,
): { readonly timeline: Timeline; readonly view: Readonly<ShallowRef<TimelineView>> } {
  const timeline = client.openTimeline(id);
  const view = useWatch(timeline.view);
  atEnd(() => timeline.close());
  return { timeline, view };
}

/** Listens until the scope ends. */
export function useEvent<K extends keyof ClientEvents>(
  client: Client,
  event: K,
  listener: (value: ClientEvents[K]) => void,
): void {
  atEnd(client.on(event, listener));
}

function atEnd(end: Unsubscribe): void {
  if (getCurrentScope() !== undefined) {
    onScopeDispose(end);
  }
}
