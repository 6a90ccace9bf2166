/** What the core is told once, at the start. */
import type { Tuning } from '../client/options.js';
import type { DeviceClass } from '../model/conversation.js';

/** Settings of a core. */
export interface CoreConfig extends Tuning {
  /** Name and version of the software. */
  readonly client: string;
  readonly device: { readonly id: string; readonly class: DeviceClass; readonly name: string };
  /** Messages that the store keeps of all conversations. */
  readonly storedMessagesMax: number;
}

/** The defaults of everything that is not about the device. */
export const TUNING: Tuning = {
  requestTimeoutMs: 15_000,
  handshakeTimeoutMs: 15_000,
  backoffBaseMs: 500,
  backoffMaxMs: 30_000,
  stableAfterMs: 30_000,
  gapGraceMs: 300,
  missedMax: 10_000,
  outboxMax: 10_000,
  requestsMax: 1_024,
  timelineWindow: 200,
  timelineWindowOpen: 5_000,
  messagesMax: 50_000,
};
