/** `wx.createTCPSocket` on Node's sockets: a stand-in for the platform's API. */
import { connect, type Socket } from 'node:net';

export function connectTcp() {
  const sockets = new Set<Socket>();
  return {
    create() {
      let socket: Socket | undefined;
      const listeners: ((socket: Socket) => void)[] = [];
      const on = (listen: (socket: Socket) => void) => {
        listeners.push(listen);
      };
      return {
        connect({ address, port }: { address: string; port: number }) {
          const opened = connect(port, address);
          socket = opened;
          sockets.add(opened);
          for (const listen of listeners) {
            listen(opened);
          }
        },
        write: (data: ArrayBuffer) => socket?.write(new Uint8Array(data)),
        close: () => socket?.end(),
        onConnect: (callback: (result: unknown) => void) => on((it) => it.on('connect', callback)),
        // In small pieces, so that frames come cut.
        onMessage: (callback: (result: { message: ArrayBuffer }) => void) =>
          on((it) =>
            it.on('data', (data) => {
              for (let at = 0; at < data.length; at += 1_000) {
                const piece = new Uint8Array(data.subarray(at, at + 1_000));
                callback({ message: piece.buffer as ArrayBuffer });
              }
            }),
          ),
        onError: (callback: (result: unknown) => void) =>
          on((it) => it.on('error', (error) => callback({ errMsg: error.message }))),
        onClose: (callback: (result: unknown) => void) =>
          on((it) => it.on('close', () => callback({}))),
      };
    },
    close() {
      for (const socket of sockets) {
        socket.destroy();
      }
    },
  };
}
