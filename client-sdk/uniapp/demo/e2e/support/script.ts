/** A client in a few lines, over the JSON sub-protocol: fills conversations faster than a person types. */
import { randomBytes } from 'node:crypto'

import { WebSocket } from 'ws'

interface Reply {
  readonly request?: string
  readonly message?: string
  readonly payload?: Readonly<Record<string, unknown>>
}

const WINDOW = 48

/** A session of an account. */
export class Script {
  private next = 1
  private readonly waiting = new Map<string, (reply: Reply) => void>()
  private user = ''

  private constructor(private readonly socket: WebSocket) {
    socket.on('message', (data) => {
      const reply = JSON.parse(String(data)) as Reply
      const request = reply.request ?? ''
      this.waiting.get(request)?.(reply)
      this.waiting.delete(request)
    })
  }

  /** Connects and makes an account. */
  static async register(url: string, name: string, password: string): Promise<Script> {
    const socket = new WebSocket(url, 'hongyan.v1+json')
    await new Promise((done, failed) => socket.once('open', done).once('error', failed))
    const script = new Script(socket)
    await script.ask('Hello', { client: 'script', device: { id: randomBytes(8).toString('hex') } })
    const session = await script.ask('Register', { name, password })
    script.user = String(session['userId'])
    return script
  }

  /** Sends texts to a person, in order. */
  async sendAll(to: string, texts: readonly string[]): Promise<void> {
    const found = await this.ask('FindUser', { name: to })
    const peer = String((found['profiles'] as { user: string }[])[0]?.user)
    const [low, high] = BigInt(this.user) < BigInt(peer) ? [this.user, peer] : [peer, this.user]
    for (let at = 0; at < texts.length; at += WINDOW) {
      await Promise.all(
        texts.slice(at, at + WINDOW).map((text) =>
          this.ask('Send', {
            conversation: { lowUser: low, highUser: high },
            clientMsgId: randomBytes(16).toString('base64'),
            body: { text },
          }),
        ),
      )
    }
  }

  /** Ends. */
  close(): void {
    this.socket.close()
  }

  private ask(name: string, payload: Readonly<Record<string, unknown>>): Promise<Readonly<Record<string, unknown>>> {
    const request = String(this.next)
    this.next += 1
    return new Promise((done, failed) => {
      this.waiting.set(request, (reply) => {
        if (reply.message === 'Error') failed(new Error(`${name}: ${JSON.stringify(reply.payload)}`))
        else done(reply.payload ?? {})
      })
      this.socket.send(JSON.stringify({ name, request, payload }))
    })
  }
}
