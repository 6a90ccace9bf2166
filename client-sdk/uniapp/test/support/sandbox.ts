/**
 * The language of a mini-program on a real device: no code from text, no text
 * codec, no BigInt, no `globalThis`, no `crypto`; its own kind of ArrayBuffer;
 * and sockets that lead to a real server. It stands in for the language rules
 * and the socket API, not for WeChat itself: what else a script finds there, its
 * caller defines.
 */
import { type Context, createContext, runInContext } from 'node:vm';
import WebSocket from 'ws';

/** What a script in the sandbox can see. */
export interface Sandbox {
  /** Runs a script. */
  run(script: string): unknown;
  /** Ends it, with its timers and sockets: nothing in it runs any more. */
  close(): void;
}

/** A sandbox with `uni`, `wx` and whatever else. */
export function sandbox(extra: Record<string, unknown> = {}): Sandbox {
  const language = new Language();
  const sockets = new Sockets(language);
  const storage = new Map<string, unknown>();
  const uni = {
    connectSocket: (options: ConnectOptions) => sockets.connect(options),
    getStorageSync: (key: string) => storage.get(key) ?? '',
    setStorageSync: (key: string, value: unknown) => storage.set(key, value),
    removeStorageSync: (key: string) => storage.delete(key),
    getStorageInfoSync: () => ({ keys: [...storage.keys()] }),
    onNetworkStatusChange() {},
    offNetworkStatusChange() {},
  };
  language.define({ uni, wx: {}, ...extra });
  return {
    run: (script) => language.run(script),
    close: () => {
      language.stop();
      sockets.close();
    },
  };
}

/** A context with the language alone, timers and a console. */
export class Language {
  private readonly context: Context;
  private readonly copy: (bytes: Uint8Array) => ArrayBuffer;
  private readonly timers = new Set<NodeJS.Timeout>();
  private stopped = false;

  constructor() {
    const clear = (timer: NodeJS.Timeout) => {
      clearTimeout(timer);
      this.timers.delete(timer);
    };
    const timers = {
      setTimeout: (run: (...args: unknown[]) => void, ms?: number, ...args: unknown[]) => {
        const timer = setTimeout(() => {
          this.timers.delete(timer);
          run(...args);
        }, ms);
        return this.keep(timer);
      },
      setInterval: (run: (...args: unknown[]) => void, ms?: number, ...args: unknown[]) =>
        this.keep(setInterval(run, ms, ...args)),
      clearTimeout: clear,
      clearInterval: clear,
    };
    this.context = createContext(
      { ...timers, console },
      { codeGeneration: { strings: false, wasm: false } },
    );
    this.run('delete this.BigInt; delete this.globalThis; delete this.WebAssembly;');
    this.copy = this.run('(function (bytes) { return new Uint8Array(bytes).buffer; })') as (
      bytes: Uint8Array,
    ) => ArrayBuffer;
  }

  /** Adds global names. */
  define(names: Record<string, unknown>): void {
    Object.assign(this.context, names);
  }

  /** Runs a script; `file` is what its errors name. */
  run(script: string, file = 'sandbox.js'): unknown {
    return runInContext(script, this.context, { filename: file });
  }

  /** A buffer as the script's own `ArrayBuffer`. */
  buffer(bytes: Uint8Array): ArrayBuffer {
    return this.copy(bytes);
  }

  /** Ends all timers, those to come included. */
  stop(): void {
    this.stopped = true;
    for (const timer of this.timers) {
      clearTimeout(timer);
    }
  }

  private keep(timer: NodeJS.Timeout): NodeJS.Timeout {
    this.timers.add(timer);
    if (this.stopped) {
      clearTimeout(timer);
    }
    return timer;
  }
}

/** What `connectSocket` takes. */
export interface ConnectOptions {
  url: string;
  protocols: string[];
  success?(): void;
  fail?(result: unknown): void;
}

/** `connectSocket` on real sockets, as WeChat does it. */
export class Sockets {
  private readonly open = new Set<WebSocket>();

  constructor(private readonly language: Language) {}

  connect(options: ConnectOptions) {
    if (options.success === undefined && options.fail === undefined) {
      throw new Error('without a callback a Promise would come back');
    }
    const socket = new WebSocket(options.url, [...options.protocols]);
    this.open.add(socket);
    socket.on('close', () => this.open.delete(socket));
    socket.binaryType = 'nodebuffer';
    return {
      onOpen: (callback: (result: unknown) => void) => socket.on('open', () => callback({})),
      onMessage: (callback: (result: { data: ArrayBuffer }) => void) =>
        socket.on('message', (data: Buffer) =>
          callback({ data: this.language.buffer(new Uint8Array(data)) }),
        ),
      onError: (callback: (result: unknown) => void) =>
        socket.on('error', (error) => callback({ errMsg: error.message })),
      onClose: (callback: (result: unknown) => void) =>
        socket.on('close', (code, reason) => callback({ code, reason: reason.toString() })),
      send: ({ data, fail }: { data: ArrayBuffer; fail?(result: unknown): void }) => {
        // Read later, as across a native bridge: who did not copy is found out.
        setTimeout(() => {
          socket.send(new Uint8Array(data), (error) => {
            if (error) {
              fail?.({ errMsg: error.message });
              fail?.({ errMsg: 'once more' });
            }
          });
        }, 0);
      },
      close: ({ code }: { code?: number }) => socket.close(code ?? 1000),
    };
  }

  /** Closes what is left. */
  close(): void {
    for (const socket of this.open) {
      socket.removeAllListeners();
      socket.on('error', () => undefined);
      socket.terminate();
    }
  }
}
