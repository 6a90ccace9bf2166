/**
 * Raw TCP of WeChat mini-programs (`wx.createTCPSocket`), for
 * `tcp://host:5100`. WeChat allows it to addresses on its list or on the local
 * network, and bars some ports; 5100 is free. It has no TLS.
 */

import { CLIENT_PREFACE, delimited, StreamDecoder } from './framing.js';
import { copyBuffer, EndGuard, endOf, NO_CLOSE_CODE } from './guard.js';
import type { Transport } from './transport.js';

/** As much of WeChat's TCP socket as is used. */
export interface WechatTcpSocket {
  connect(options: { address: string; port: number }): void;
  write(data: ArrayBuffer): void;
  close(): void;
  onConnect(callback: (result: unknown) => void): void;
  onMessage(callback: (result: { message: ArrayBuffer }) => void): void;
  onError(callback: (result: unknown) => void): void;
  onClose(callback: (result: unknown) => void): void;
}

declare const wx: { createTCPSocket(): WechatTcpSocket };

/** Connects by `wx.createTCPSocket` to `tcp://host:port`. */
export function wechatTcpTransport(): Transport {
  return {
    open(url, handler) {
      const guard = new EndGuard(handler);
      const place = /^tcp:\/\/([^/:]+):([0-9]+)\/?$/.exec(url);
      if (place === null) {
        const reason = 'the address is not tcp://host:port';
        setTimeout(() => guard.end({ code: NO_CLOSE_CODE, reason }), 0);
        return { send() {}, bufferedBytes: () => 0, close: () => guard.end({ code: 0, reason }) };
      }
      return connect(place[1] as string, Number(place[2]), guard);
    },
  };
}

function connect(address: string, port: number, guard: EndGuard) {
  const socket = wx.createTCPSocket();
  const decoder = new StreamDecoder();
  const close = (reason: string) => {
    guard.end({ code: 0, reason });
    socket.close();
  };
  socket.onConnect(() => {
    socket.write(copyBuffer(CLIENT_PREFACE));
    guard.open();
  });
  socket.onMessage(({ message }) => {
    try {
      for (const frame of decoder.push(new Uint8Array(message))) {
        guard.frame(frame);
      }
    } catch (error) {
      close(String(error));
    }
  });
  socket.onError((result) => guard.end(endOf(result, 'the connection failed')));
  socket.onClose((result) => guard.end(endOf(result, 'the connection broke')));
  socket.connect({ address, port });
  return {
    send(frame: Uint8Array) {
      if (guard.isOpen) {
        socket.write(copyBuffer(delimited(frame)));
      }
    },
    bufferedBytes: () => 0,
    close: () => close('closed here'),
  };
}
