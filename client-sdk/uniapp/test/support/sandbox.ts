/**
 * The language of a mini-program on a real device: no code from text, no text
 * codec, no BigInt, no `globalThis`, no `crypto`; its own kind of ArrayBuffer;
 * and `uni` and `wx` with sockets that lead to a real server. It stands in for
 * the language rules and the socket API, not for WeChat itself.
 */
import { createContext, runInContext } from 'node:vm';
import WebSocket from 'ws';

/** What a script in the sandbox can see. */
export interface Sandbox {
  /** Runs a script. */
  run(script: string): unknown;
  /** Closes the sockets that are left. */
  close(): void;
}

export function sandbox(extra: Record<string, unknown> = {}): Sandbox {
  const sockets = new Set<WebSocket>();
  const storage = new Map<string, unknown>();
  const uni = {
    connectSocket: (options: ConnectOptions) => connectSocket(options, sockets, toSandbox),
    getStorageSync: (key: string) => storage.get(key) ?? '',
    setStorageSync: (key: string, value: unknown) => storage.set(key, value),
    removeStorageSync: (key: string) => storage.delete(key),
    getStorageInfoSync: () => ({ keys: [...storage.keys()] }),
    onNetworkStatusChange() {},
    offNetworkStatusChange() {},
  };
  const context = createContext(
    { uni, wx: {}, setTimeout, clearTimeout, console, ...extra },
    { codeGeneration: { strings: false, wasm: false } },
  );
  runInContext('delete this.BigInt; delete this.globalThis; delete this.WebAssembly;', context);
  const copy = runInContext(
    '(function (bytes) { return new Uint8Array(bytes).buffer; })',
    context,
  ) as (bytes: Uint8Array) => ArrayBuffer;
  function toSandbox(bytes: Uint8Array): ArrayBuffer {
    return copy(bytes);
  }
  return {
    run: (script) => runInContext(script, context),
    close: () => {
      for (const socket of sockets) {
        socket.terminate();
      }
    },
  };
}

interface ConnectOptions {
  url: string;
  protocols: string[];
  success?(): void;
  fail?(result: unknown): void;
}

/** `uni.connectSocket` on a real socket, as WeChat does it. */
function connectSocket(
  options: ConnectOptions,
  sockets: Set<WebSocket>,
  toSandbox: (bytes: Uint8Array) => ArrayBuffer,
) {
  if (options.success === undefined && options.fail === undefined) {
    throw new Error('without a callback a Promise would come back');
  }
  const socket = new WebSocket(options.url, [...options.protocols]);
  sockets.add(socket);
  socket.binaryType = 'nodebuffer';
  return {
    onOpen: (callback: (result: unknown) => void) => socket.on('open', () => callback({})),
    onMessage: (callback: (result: { data: ArrayBuffer }) => void) =>
      socket.on('message', (data: Buffer) => callback({ data: toSandbox(new Uint8Array(data)) })),
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
