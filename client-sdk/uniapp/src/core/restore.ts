/** A core that holds what a store kept. */
import { Outbox } from './outbox.js';
import type { StoredState } from './rows.js';
import { deviceRow } from './rows.js';
import type { CoreState } from './state.js';
import { newConv } from './state.js';
import { Timeline } from './timeline.js';

/** Takes over what was kept; a device whose id is new is kept from now on. */
export function restore(core: CoreState, stored: StoredState): void {
  core.account = stored.account;
  core.tokens = stored.tokens;
  core.outbox = new Outbox(core.config.outboxMax, stored.outbox);
  for (const profile of stored.profiles) {
    core.profiles.set(profile.user, profile);
  }
  stored.settings.forEach((settings, id) => {
    core.settings.set(id, settings);
  });
  for (const record of stored.records) {
    const timeline = Timeline.restored(stored.messages.get(record.id) ?? [], record.lastSeq);
    core.heldMessages += timeline.length;
    core.storedMessages += timeline.length;
    core.convs.set(record.id, newConv(record, timeline));
    record.toldSeq = Math.min(record.toldSeq, timeline.hi);
    if (record.toldSeq < timeline.hi && !record.gone) {
      core.missed.set(record.id, 0);
    }
    if (timeline.gap() !== undefined && !record.gone) {
      core.gaps.set(record.id, 0);
    }
  }
  if (stored.deviceId !== core.config.device.id) {
    core.put(deviceRow(core.config.device.id));
    core.outgoing.durable = true;
  }
}
