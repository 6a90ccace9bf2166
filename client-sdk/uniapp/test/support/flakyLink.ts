/** A TCP proxy that a test can make slow, deaf or broken. */
import { connect, createServer, type Server, type Socket } from 'node:net';

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
  /** Bytes were swallowed: what would come next does not follow. */
  torn: boolean;
}

/** Stands between one client and a server. */
export class FlakyLink {
  /** Every piece waits so long, each way. */
  delayMs = 0;
  /**
   * Takes everything and passes nothing on, and says nothing of it. A
   * connection that lost bytes so ends with it: TCP never goes on behind a hole.
   */
  deaf = false;
  /** Refuses new connections. */
  closed = false;
  port = 0;
  private readonly pairs = new Set<Pair>();
  private readonly listener: Server;

  private constructor(private readonly target: number) {
    this.listener = createServer((client) => this.accept(client));
  }

  static async start(target: number): Promise<FlakyLink> {
    const proxy = new FlakyLink(target);
    await new Promise<void>((done) => {
      proxy.listener.listen(0, '127.0.0.1', done);
    });
    const address = proxy.listener.address();
    proxy.port = typeof address === 'object' && address !== null ? address.port : 0;
    return proxy;
  }

  /** Breaks all connections, with what is on its way. */
  drop(): void {
    this.breakThose(() => true);
  }

  /** Passes everything on at once again. */
  heal(): void {
    this.delayMs = 0;
    this.deaf = false;
    this.closed = false;
    this.breakThose(({ torn }) => torn);
  }

  stop(): Promise<void> {
    this.drop();
    return new Promise((done) => {
      this.listener.close(() => done());
    });
  }

  private breakThose(which: (pair: Pair) => boolean): void {
    for (const pair of [...this.pairs].filter(which)) {
      this.pairs.delete(pair);
      pair.client.destroy();
      pair.server.destroy();
    }
  }

  private accept(client: Socket): void {
    if (this.closed) {
      client.destroy();
      return;
    }
    const server = connect(this.target, '127.0.0.1');
    const pair: Pair = { client, server, torn: false };
    this.pairs.add(pair);
    const end = () => {
      this.pairs.delete(pair);
      client.destroy();
      server.destroy();
    };
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      this.pipe(pair, from, to);
      from.on('error', end).on('close', end);
    }
  }

  /** In order, whatever the delays are. */
  private pipe(pair: Pair, from: Socket, to: Socket): void {
    let before: Promise<void> = Promise.resolve();
    from.on('data', (data) => {
      if (this.deaf) {
        pair.torn = true;
        return;
      }
      const wait = new Promise<void>((done) => {
        setTimeout(done, this.delayMs);
      });
      before = before.then(() => wait).then(() => void (to.writable && to.write(data)));
    });
  }
}
