/** Who is to be watched, and how far the server agreed. */
import type { UserId } from '../model/ids.js';

/** The wish, and what became of it. */
export class Watching {
  /** Each person once. */
  wanted: readonly UserId[] = [];
  /** Those of them who are not watched. */
  refused = new Set<UserId>();
  /** Who waits for the result. */
  token: number | undefined;
  /** The server is to be asked, as soon as it can be. */
  due = false;
  asking: Asking | undefined;
  retryAtMs: number | undefined;
  failures = 0;
}

/** A wish on its way. */
export interface Asking {
  /** The server took these. */
  taken: UserId[];
  /** In the request that is on its way, beside those. */
  fresh: UserId[];
  /** Still to be asked for, each set to be taken as a whole if it can be. */
  readonly left: UserId[][];
  /** The server took something: whom it watched before is forgotten. */
  told: boolean;
  readonly refused: Set<UserId>;
  refusedByServer: boolean;
}
