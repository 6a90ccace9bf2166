/**
 * `uni.connectSocket`, on H5, WeChat mini-programs and App. The name `uni` must
 * stand here as it is: the H5 build drops what is reached by an alias.
 *
 * The platforms' quirks are dealt with here and nowhere else:
 * - App names a socket by the current millisecond, so two opens are kept apart.
 * - App's socket says that it is closed until it is open, so nobody asks it.
 * - App tells an error and no close; others tell both; `send` can fail twice.
 * - WeChat closes as 1000 «interrupted» in the background: a loss like others.
 * - Without a callback a Promise comes back instead of a task.
 */
import { copyBuffer, EndGuard, endOf, SUBPROTOCOL } from './guard.js';
import type { Transport, TransportConnection } from './transport.js';

/** As much of a socket task as is used. */
export interface UniSocketTask {
  onOpen(callback: (result: unknown) => void): void;
  onMessage(callback: (result: { data: unknown }) => void): void;
  onError(callback: (result: unknown) => void): void;
  onClose(callback: (result: unknown) => void): void;
  send(options: { data: ArrayBuffer; fail(result: unknown): void }): void;
  close(options: { code?: number; fail?(): void }): void;
}

declare const uni: {
  connectSocket(options: {
    url: string;
    protocols: string[];
    success(): void;
    fail(result: unknown): void;
  }): UniSocketTask;
};

/** Connects by `uni.connectSocket`. */
export function uniTransport(): Transport {
  return {
    open(url, handler) {
      const guard = new EndGuard(handler);
      let task: UniSocketTask | undefined;
      const connect = () => {
        if (!guard.isEnded) {
          task = openTask(url, guard);
        }
      };
      const waitMs = apart();
      if (waitMs > 0) {
        setTimeout(connect, waitMs);
      } else {
        connect();
      }
      return connection(guard, () => task);
    },
  };
}

function openTask(url: string, guard: EndGuard): UniSocketTask | undefined {
  try {
    const task = uni.connectSocket({
      url,
      protocols: [SUBPROTOCOL],
      success() {},
      fail: (result) => guard.end(endOf(result, 'cannot connect')),
    });
    task.onOpen(() => guard.open());
    task.onMessage(({ data }) => {
      if (data instanceof ArrayBuffer || isForeignBuffer(data)) {
        guard.frame(new Uint8Array(data as ArrayBuffer));
      }
    });
    task.onError((result) => guard.end(endOf(result, 'the connection failed')));
    task.onClose((result) => guard.end(endOf(result, 'the connection broke')));
    return task;
  } catch (error) {
    setTimeout(() => guard.end(endOf(error, 'cannot connect')), 0);
    return undefined;
  }
}

function connection(guard: EndGuard, task: () => UniSocketTask | undefined): TransportConnection {
  return {
    send(frame) {
      if (guard.isOpen) {
        task()?.send({
          data: copyBuffer(frame),
          fail: (result) => guard.end(endOf(result, 'cannot send')),
        });
      }
    },
    // The platforms do not say.
    bufferedBytes: () => 0,
    close() {
      try {
        task()?.close({ code: 1000, fail() {} });
      } catch {
        // It is gone already; that is what was wanted.
      }
      guard.end({ code: 1000, reason: 'closed here' });
    },
  };
}

/** Milliseconds to wait so that no two sockets open in the same one. */
function apart(): number {
  const now = Date.now();
  // A clock that was set back must not keep anybody waiting.
  const clockWentBack = lastOpenMs - now > APART_MS_MAX;
  const at = clockWentBack ? now : Math.max(now, lastOpenMs + 2);
  lastOpenMs = at;
  return at - now;
}

let lastOpenMs = 0;
const APART_MS_MAX = 100;

/** A buffer of another JavaScript context, as some webviews pass them. */
function isForeignBuffer(data: unknown): boolean {
  return Object.prototype.toString.call(data) === '[object ArrayBuffer]';
}
