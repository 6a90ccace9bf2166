/**
 * Frames on a byte stream: the preface each way, then each frame behind its
 * length as a varint. WebSocket needs none of this.
 */
import { FRAME_BYTES_MAX } from '../limits.js';
import { varintBytes } from '../wire/writer.js';

/** Takes frames out of the bytes that arrive. */
export class StreamDecoder {
  private buffer = new Uint8Array(0);
  private prefaceDone = false;

  /**
   * Takes bytes in and returns the frames that are whole.
   * @throws Error when the peer does not speak the protocol.
   */
  push(bytes: Uint8Array): Uint8Array[] {
    const buffer = new Uint8Array(this.buffer.length + bytes.length);
    buffer.set(this.buffer);
    buffer.set(bytes, this.buffer.length);
    let at = 0;
    if (!this.prefaceDone) {
      checkPreface(buffer);
      if (buffer.length < PREFACE_BYTES) {
        this.buffer = buffer;
        return [];
      }
      this.prefaceDone = true;
      at = PREFACE_BYTES;
    }
    const frames: Uint8Array[] = [];
    for (
      let length = readLength(buffer, at);
      length !== undefined;
      length = readLength(buffer, at)
    ) {
      const start = at + length.prefix;
      if (start + length.bytes > buffer.length) {
        break;
      }
      at = start + length.bytes;
      frames.push(buffer.slice(start, at));
    }
    this.buffer = buffer.slice(at);
    return frames;
  }
}

/** A frame behind its length. */
export function delimited(frame: Uint8Array): Uint8Array {
  const prefix = varintBytes(frame.length);
  const bytes = new Uint8Array(prefix + frame.length);
  let rest = frame.length;
  for (let at = 0; at < prefix; at++) {
    bytes[at] = (rest & 0x7f) | (at + 1 < prefix ? 0x80 : 0);
    rest >>>= 7;
  }
  bytes.set(frame, prefix);
  return bytes;
}

/** What a client opens with: "HYAN", and versions 1 to 1. */
export const CLIENT_PREFACE: Uint8Array = /* @__PURE__ */ new Uint8Array([
  0x48, 0x59, 0x41, 0x4e, 1, 1, 0, 0,
]);

function checkPreface(buffer: Uint8Array): void {
  const bytes = Math.min(buffer.length, 4);
  for (let at = 0; at < bytes; at++) {
    if (buffer[at] !== CLIENT_PREFACE[at]) {
      throw new Error('what answers is not a Hongyan server');
    }
  }
  if (buffer.length >= PREFACE_BYTES && (buffer[4] !== 1 || buffer[5] !== 1)) {
    throw new Error('the server does not speak version 1');
  }
}

function readLength(
  buffer: Uint8Array,
  at: number,
): { readonly prefix: number; readonly bytes: number } | undefined {
  let bytes = 0;
  for (let prefix = 0; prefix < LENGTH_PREFIX_BYTES_MAX; prefix++) {
    const byte = buffer[at + prefix];
    if (byte === undefined) {
      return undefined;
    }
    bytes |= (byte & 0x7f) << (7 * prefix);
    if (bytes > FRAME_BYTES_MAX) {
      break;
    }
    if (byte < 0x80) {
      return { prefix: prefix + 1, bytes };
    }
  }
  throw new Error('a frame is over the limit');
}

const PREFACE_BYTES = 8;
const LENGTH_PREFIX_BYTES_MAX = 4;
