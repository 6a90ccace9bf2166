/** A transport to a server in memory, for whole clients without a network. */
import type { Transport, TransportHandler } from '../../src/index.js';
import type { ModelServer } from './model.js';

export class ModelTransport implements Transport {
  reachable = true;
  opened = 0;
  private handler: TransportHandler | undefined;

  constructor(private readonly server: ModelServer) {}

  open(_url: string, handler: TransportHandler) {
    this.opened++;
    this.handler = handler;
    setTimeout(() => {
      if (this.handler !== handler) {
        return;
      }
      if (this.reachable) {
        this.server.accept();
        handler.onOpen();
      } else {
        handler.onEnd({ code: 1006, reason: 'unreachable' });
      }
    }, 1);
    return {
      send: (frame: Uint8Array) => {
        this.server.nowMs = Date.now();
        this.server.receive(frame.slice());
        setTimeout(() => this.flush(), 1);
      },
      bufferedBytes: () => 0,
      close: () => {
        this.handler = undefined;
      },
    };
  }

  /** Delivers what the server has to say. */
  flush(): void {
    for (const frame of this.server.outgoing.splice(0)) {
      this.handler?.onFrame(frame);
    }
  }

  /** The connection breaks. */
  cut(code = 1006): void {
    const { handler } = this;
    this.handler = undefined;
    handler?.onEnd({ code, reason: 'test' });
  }
}
