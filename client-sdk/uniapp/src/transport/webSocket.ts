/** The `WebSocket` of browsers and of Node. */
import { copyBuffer, EndGuard, endOf, NO_CLOSE_CODE, SUBPROTOCOL } from './guard.js';
import type { Transport, TransportConnection } from './transport.js';

/** As much of a WebSocket as is used; that of `ws` fits. */
export interface WebSocketLike {
  binaryType: string;
  readonly bufferedAmount: number;
  onopen: unknown;
  onmessage: unknown;
  onerror: unknown;
  onclose: unknown;
  send(data: ArrayBuffer): void;
  close(code?: number): void;
}

/** Makes WebSockets. */
export type WebSocketConstructor = new (url: string, protocols: string[]) => WebSocketLike;

/**
 * Connects by `WebSocket`. Node before version 22 has none: pass that of the
 * package `ws`.
 */
export function webSocketTransport(
  options: { readonly WebSocket?: WebSocketConstructor } = {},
): Transport {
  return {
    open(url, handler) {
      const Socket = options.WebSocket ?? platformSocket();
      const guard = new EndGuard(handler);
      if (Socket === undefined) {
        return failed(guard, 'this platform has no WebSocket; pass one to webSocketTransport');
      }
      try {
        return connect(new Socket(url, [SUBPROTOCOL]), guard);
      } catch (error) {
        return failed(guard, String(error));
      }
    },
  };
}

function connect(socket: WebSocketLike, guard: EndGuard): TransportConnection {
  socket.binaryType = 'arraybuffer';
  socket.onopen = () => guard.open();
  socket.onmessage = (event: { data: unknown }) => {
    if (event.data instanceof ArrayBuffer) {
      guard.frame(new Uint8Array(event.data));
    }
  };
  // The close that follows says more; where none does, the handshake times out.
  socket.onerror = () => {};
  socket.onclose = (event: unknown) => guard.end(endOf(event, 'the connection broke'));
  return {
    send(frame) {
      if (guard.isOpen) {
        socket.send(copyBuffer(frame));
      }
    },
    bufferedBytes: () => socket.bufferedAmount,
    close() {
      try {
        socket.close(1000);
      } finally {
        guard.end({ code: 1000, reason: 'closed here' });
      }
    },
  };
}

function failed(guard: EndGuard, reason: string): TransportConnection {
  // Later, as with any other transport: the caller is not ready yet.
  setTimeout(() => guard.end({ code: NO_CLOSE_CODE, reason }), 0);
  return { send() {}, bufferedBytes: () => 0, close: () => guard.end({ code: 1000, reason }) };
}

function platformSocket(): WebSocketConstructor | undefined {
  return typeof WebSocket === 'undefined'
    ? undefined
    : (WebSocket as unknown as WebSocketConstructor);
}
