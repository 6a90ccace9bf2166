/** The real server with the built app, on ports of its own, in a directory that is thrown away. */
import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

const BINARY = process.env['HONGYAN_BIN'] ?? resolve(import.meta.dirname, '../../../../../target/debug/hongyan')
const WEB = resolve(import.meta.dirname, '../../dist/build/h5')

/** Two ports that nobody uses at the moment: held at once, so that they differ. */
async function freePorts(): Promise<[number, number]> {
  const [one, other] = await Promise.all([probe(), probe()])
  await Promise.all([one.close(), other.close()])
  return [one.port, other.port]
}

function probe(): Promise<{ port: number; close: () => Promise<void> }> {
  return new Promise((done, failed) => {
    const listener = createServer()
    listener.once('error', failed)
    listener.listen(0, '127.0.0.1', () => {
      const address = listener.address()
      if (typeof address !== 'object' || address === null) return failed(new Error('no port'))
      done({ port: address.port, close: () => new Promise((closed) => listener.close(() => closed())) })
    })
  })
}

/** A server that can be killed and started again on the same ports and data. */
export class TestServer {
  private child: ChildProcess | null = null
  private output = ''

  private constructor(
    private readonly dir: string,
    private readonly webPort: number,
    private readonly socketPort: number,
    private readonly settings: Readonly<Record<string, string>>,
  ) {}

  /** Starts a server; `settings` are environment variables of its configuration. */
  static async start(settings: Readonly<Record<string, string>> = {}): Promise<TestServer> {
    for (const needed of [BINARY, join(WEB, 'index.html')]) {
      if (!existsSync(needed)) throw new Error(`${needed} is missing: build the server (or set HONGYAN_BIN) and run \`npm run build:h5\``)
    }
    const dir = await mkdtemp(join(tmpdir(), 'hongyan-e2e-'))
    const server = new TestServer(dir, ...(await freePorts()), settings)
    await server.restart()
    return server
  }

  /** Where the app is. */
  get page(): string {
    return `http://127.0.0.1:${this.webPort}/`
  }

  /** Where the WebSocket is. */
  get socket(): string {
    return `ws://127.0.0.1:${this.socketPort}/ws`
  }

  /** Starts the server again after `kill`. */
  async restart(): Promise<void> {
    const child = spawn(BINARY, ['serve', '--web', WEB, '--data', join(this.dir, 'data')], {
      env: {
        // Without HONGYAN_BIN and the like: to the server every HONGYAN_ variable is a setting.
        ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('HONGYAN_'))),
        HONGYAN_LISTEN__TCP: '',
        HONGYAN_ADMIN__LISTEN: '',
        HONGYAN_WEB__LISTEN: `127.0.0.1:${this.webPort}`,
        HONGYAN_WEBSOCKET__LISTEN: `127.0.0.1:${this.socketPort}`,
        ...this.settings,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.child = child
    const keep = (chunk: Buffer): void => {
      this.output = (this.output + chunk.toString()).slice(-8_000)
    }
    child.stdout.on('data', keep)
    child.stderr.on('data', keep)
    for (let tries = 0; tries < 300; tries += 1) {
      if (child.exitCode !== null) throw new Error(`the server ended: ${this.output}`)
      const answered = await fetch(`${this.page}hongyan.json`).then((answer) => answer.ok, () => false)
      if (answered) return
      await new Promise((done) => setTimeout(done, 100))
    }
    throw new Error(`the server does not answer: ${this.output}`)
  }

  /** Ends it as a crash would: at once, without a word. */
  async kill(): Promise<void> {
    await this.end('SIGKILL')
  }

  /** Ends it and throws its data away. */
  async stop(): Promise<void> {
    await this.end('SIGTERM')
    await rm(this.dir, { recursive: true, force: true })
  }

  private async end(signal: NodeJS.Signals): Promise<void> {
    const child = this.child
    this.child = null
    if (child === null || child.exitCode !== null) return
    const ended = new Promise((done) => child.once('exit', done))
    const late = setTimeout(() => child.kill('SIGKILL'), 15_000)
    child.kill(signal)
    await ended
    clearTimeout(late)
  }
}
