/** A real server for tests: the binary that HONGYAN_BIN names, on loopback. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const BINARY =
  process.env.HONGYAN_BIN ?? resolve(import.meta.dirname, '../../../../target/debug/hongyan');

/** Settings beside the addresses, as environment variables. */
export type Settings = Record<string, string>;

/** A running server; stop it. It keeps its ports over restarts. */
export class Server {
  tcpPort = 0;
  webSocketPort = 0;
  private process: ChildProcess | undefined;

  private constructor(
    private readonly dir: string,
    private readonly settings: Settings,
  ) {}

  static async start(settings: Settings = {}): Promise<Server> {
    if (!existsSync(BINARY)) {
      throw new Error(`no server at ${BINARY}; build it, or set HONGYAN_BIN`);
    }
    const dir = mkdtempSync(join(tmpdir(), 'hongyan-sdk-'));
    const server = new Server(dir, settings);
    [server.tcpPort, server.webSocketPort] = await freePorts();
    await server.boot();
    return server;
  }

  get url(): string {
    return `ws://127.0.0.1:${this.webSocketPort}/ws`;
  }

  get address(): string {
    return `127.0.0.1:${this.tcpPort}`;
  }

  /** kill -9, as a crash. */
  async kill(): Promise<void> {
    await this.end('SIGKILL');
  }

  async boot(): Promise<void> {
    const child = spawn(BINARY, ['--data', join(this.dir, 'data'), 'serve'], {
      env: {
        PATH: process.env.PATH,
        HONGYAN_LISTEN__TCP: this.address,
        HONGYAN_WEBSOCKET__LISTEN: `127.0.0.1:${this.webSocketPort}`,
        HONGYAN_ADMIN__LISTEN: '',
        HONGYAN_LIMITS__CONNECTIONS_MAX: '1000',
        HONGYAN_LIMITS__REQUESTS_PER_SECOND: '0',
        HONGYAN_SESSION__DRAIN_SPREAD_MS: '500',
        HONGYAN_LOG__LEVEL: 'warn',
        ...this.settings,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.process = child;
    let output = '';
    await new Promise<void>((done, failed) => {
      const look = (chunk: Buffer) => {
        output += chunk.toString();
        if (output.includes('websocket ws://')) {
          done();
        }
      };
      child.stdout.on('data', look);
      child.stderr.on('data', look);
      child.once('exit', (code) => failed(new Error(`the server ended (${code}): ${output}`)));
    });
  }

  async stop(): Promise<void> {
    await this.end('SIGTERM');
    rmSync(this.dir, { recursive: true, force: true });
  }

  private end(signal: NodeJS.Signals): Promise<void> {
    const child = this.process;
    return new Promise((done) => {
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) {
        done();
        return;
      }
      child.once('exit', () => done());
      child.kill(signal);
    });
  }
}

/** Two ports that nobody uses at the moment: held at once, so that they differ. */
async function freePorts(): Promise<[number, number]> {
  const [one, other] = await Promise.all([probe(), probe()]);
  await Promise.all([one.close(), other.close()]);
  return [one.port, other.port];
}

function probe(): Promise<{ port: number; close: () => Promise<void> }> {
  return new Promise((done, failed) => {
    const listener = createServer();
    listener.once('error', failed);
    listener.listen(0, '127.0.0.1', () => {
      const address = listener.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      done({ port, close: () => new Promise((closed) => listener.close(() => closed())) });
    });
  });
}
