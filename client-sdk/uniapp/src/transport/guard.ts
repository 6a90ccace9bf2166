/**
 * One end for every connection. Platforms tell errors and closes in any number
 * and order: error without close (App), both (browsers), `fail` twice (send on
 * a closed socket), close before open. The first counts, the rest is dropped.
 */
import type { TransportEnd, TransportHandler } from './transport.js';

/** Passes on to a handler what a handler may be told. */
export class EndGuard {
  private opened = false;
  private ended = false;

  constructor(private readonly handler: TransportHandler) {}

  get isOpen(): boolean {
    return this.opened && !this.ended;
  }

  get isEnded(): boolean {
    return this.ended;
  }

  open(): void {
    if (!this.opened && !this.ended) {
      this.opened = true;
      this.handler.onOpen();
    }
  }

  frame(frame: Uint8Array): void {
    if (this.isOpen) {
      this.handler.onFrame(frame);
    }
  }

  end(end: TransportEnd): void {
    if (!this.ended) {
      this.ended = true;
      this.handler.onEnd(end);
    }
  }
}

/** The close code of a connection that ended without one. */
export const NO_CLOSE_CODE = 1006;

/** What a close event says, whatever it is. */
export function endOf(event: unknown, fallback: string): TransportEnd {
  const { code, reason, message, errMsg } = (event ?? {}) as Record<string, unknown>;
  const text = [reason, message, errMsg].find((part) => typeof part === 'string' && part !== '');
  return {
    code: typeof code === 'number' ? code : NO_CLOSE_CODE,
    reason: typeof text === 'string' ? text : fallback,
  };
}

/**
 * The bytes of a view in a buffer of their own: platforms send the whole
 * buffer that a view lies in, and may read it only later.
 */
export function copyBuffer(bytes: Uint8Array): ArrayBuffer {
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
}

/** The sub-protocol that names the version. */
export const SUBPROTOCOL = 'hongyan.v1';
