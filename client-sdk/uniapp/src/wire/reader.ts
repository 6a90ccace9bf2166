/** Reads protobuf's wire format. Bytes from a peer: every step is checked. */
import { formatUint64 } from './int64.js';
import { utf8Decode } from './utf8.js';

/** Bytes that are not what the format says. */
export class WireError extends Error {
  constructor(message: string) {
    super(message);
    Object.setPrototypeOf(this, WireError.prototype);
    this.name = 'WireError';
  }
}

/** A place in a buffer; the methods are those that generated code calls. */
export class BinaryReader {
  readonly len: number;
  pos = 0;
  private readonly buffer: Uint8Array;

  constructor(buffer: Uint8Array) {
    this.buffer = buffer;
    this.len = buffer.length;
  }

  /** A varint; what is above 32 bits is dropped, as the format says. */
  uint32(): number {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.byte();
      if (shift < 32) {
        value |= (byte & 0x7f) << shift;
      }
      if (byte < 0x80) {
        return value >>> 0;
      }
    }
    throw new WireError('a varint is longer than ten bytes');
  }

  int32(): number {
    return this.uint32() | 0;
  }

  bool(): boolean {
    return this.uint64() !== '0';
  }

  uint64(): string {
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.byte();
      const bits = byte & 0x7f;
      if (shift < 28) {
        low |= bits << shift;
      } else if (shift === 28) {
        low |= bits << 28;
        high |= bits >>> 4;
      } else if (shift < 64) {
        high |= bits << (shift - 32);
      }
      if (byte < 0x80) {
        return formatUint64(high >>> 0, low >>> 0);
      }
    }
    throw new WireError('a varint is longer than ten bytes');
  }

  /** A copy: the receive buffer must not live as long as what it carried. */
  bytes(): Uint8Array {
    const end = this.end();
    const value = this.buffer.slice(this.pos, end);
    this.pos = end;
    return value;
  }

  string(): string {
    const end = this.end();
    const value = utf8Decode(this.buffer, this.pos, end);
    this.pos = end;
    return value;
  }

  /** Passes over a field and returns its bytes, with their length if any. */
  skip(wireType: number): Uint8Array {
    const start = this.pos;
    switch (wireType) {
      case 0:
        this.uint32();
        break;
      case 1:
        this.advance(8);
        break;
      case 2:
        this.advance(this.uint32());
        break;
      case 5:
        this.advance(4);
        break;
      default:
        throw new WireError('a group, or an unknown wire type');
    }
    return this.buffer.slice(start, this.pos);
  }

  private end(): number {
    const bytes = this.uint32();
    if (bytes > this.len - this.pos) {
      throw new WireError('a field is longer than what holds it');
    }
    return this.pos + bytes;
  }

  private advance(bytes: number): void {
    if (bytes > this.len - this.pos) {
      throw new WireError('a field is longer than what holds it');
    }
    this.pos += bytes;
  }

  private byte(): number {
    const byte = this.buffer[this.pos];
    if (byte === undefined) {
      throw new WireError('the bytes end inside a field');
    }
    this.pos++;
    return byte;
  }
}
