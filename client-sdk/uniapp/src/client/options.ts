/** What a client is told at the start. */
import type { DeviceClass } from '../model/conversation.js';
import type { LocalStore } from '../store/store.js';
import type { Transport } from '../transport/transport.js';

/** Settings of a client. */
export interface ClientOptions {
  /**
   * Where the server is: `ws://host:5200/ws` or `wss://…` for WebSocket,
   * `tcp://host:5100` for a TCP transport.
   */
  readonly url: string;
  /**
   * How to connect. Left out: the platform's `WebSocket`. In uni-app:
   * `uniTransport()` of `@hongyan/client/uni`.
   */
  readonly transport?: Transport;
  /** Where state outlives the program. Left out: nowhere. */
  readonly store?: LocalStore;
  /** The device, as the user's list of devices shows it. */
  readonly device?: {
    readonly class?: DeviceClass;
    /** At most 64 bytes, longer is cut. */
    readonly name?: string;
    /** Only for a client without a store: otherwise the store keeps one. */
    readonly id?: string;
  };
  /**
   * Gives a token of an external issuer (OIDC). It is asked when nobody is
   * signed in and when the kept tokens have expired or are refused; the client
   * then signs in by itself, and the outbox stays. When it throws it is asked
   * again with a growing delay, while the client is in the foreground.
   */
  readonly tokenProvider?: () => Promise<string>;
  /** Name and version of the app, at most 64 bytes; for the server's log. */
  readonly appName?: string;
  /** `false`: stay offline until `resume` or a login. */
  readonly autoStart?: boolean;
  /** Limits and times; the defaults are right for most. */
  readonly tuning?: Partial<Tuning>;
}

/** Limits and times of a client; times are in milliseconds. */
export interface Tuning {
  /** How long a request waits for its reply (15,000). */
  readonly requestTimeoutMs: number;
  /** How long opening a session may take (15,000). */
  readonly handshakeTimeoutMs: number;
  /** First delay of the back-off; doubles with each failure (500). */
  readonly backoffBaseMs: number;
  /** Longest delay of the back-off (30,000). */
  readonly backoffMaxMs: number;
  /** A session of this length starts the back-off over (30,000). */
  readonly stableAfterMs: number;
  /** How long a missing message may still be on its way (300). */
  readonly gapGraceMs: number;
  /**
   * Messages of a conversation that were missed and that no timeline holds: so
   * many are read to tell `message` of them. Older ones are skipped (10,000).
   */
  readonly missedMax: number;
  /** Messages in the outbox, failed ones included (10,000). */
  readonly outboxMax: number;
  /** Requests of the app that wait for a reply (1,024). */
  readonly requestsMax: number;
  /** Messages kept of a conversation that is not open (200). */
  readonly timelineWindow: number;
  /** Messages kept, and shown at a time, of a conversation that is open (5,000). */
  readonly timelineWindowOpen: number;
  /** Messages kept of all conversations (50,000). */
  readonly messagesMax: number;
}
