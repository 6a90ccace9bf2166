/** Writes protobuf's wire format. */
import { parseUint64 } from './int64.js';
import { utf8Length, utf8Write } from './utf8.js';

/** A buffer that grows; the methods are those that generated code calls. */
export class BinaryWriter {
  private buffer = new Uint8Array(INITIAL_BYTES);
  private length = 0;
  /** Where the contents of messages that are not joined yet begin. */
  private readonly open: number[] = [];

  /** What was written, in a buffer of its own. */
  finish(): Uint8Array {
    return this.buffer.slice(0, this.length);
  }

  /** Begins a message inside this one. */
  fork(): this {
    this.open.push(this.length);
    return this;
  }

  /** Ends it: its length goes before it. */
  join(): this {
    const start = this.open.pop() ?? 0;
    const bytes = this.length - start;
    const prefix = varintBytes(bytes);
    this.reserve(prefix);
    this.buffer.copyWithin(start + prefix, start, this.length);
    this.length = start;
    this.uint32(bytes);
    this.length += bytes;
    return this;
  }

  /** Bytes as they are. */
  raw(bytes: Uint8Array): this {
    this.reserve(bytes.length);
    this.buffer.set(bytes, this.length);
    this.length += bytes.length;
    return this;
  }

  uint32(value: number): this {
    this.reserve(5);
    let rest = value >>> 0;
    while (rest > 0x7f) {
      this.buffer[this.length++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.buffer[this.length++] = rest;
    return this;
  }

  /** Negative values take ten bytes, as the format says. */
  int32(value: number): this {
    return value < 0 ? this.halves(0xffffffff, value >>> 0) : this.uint32(value);
  }

  bool(value: boolean): this {
    return this.uint32(value ? 1 : 0);
  }

  uint64(value: string): this {
    const { high, low } = parseUint64(value);
    return this.halves(high, low);
  }

  bytes(value: Uint8Array): this {
    return this.uint32(value.length).raw(value);
  }

  string(value: string): this {
    const bytes = utf8Length(value);
    this.uint32(bytes);
    this.reserve(bytes);
    this.length = utf8Write(value, this.buffer, this.length);
    return this;
  }

  private halves(high: number, low: number): this {
    let [upper, lower] = [high, low];
    this.reserve(10);
    while (upper !== 0 || lower > 0x7f) {
      this.buffer[this.length++] = (lower & 0x7f) | 0x80;
      lower = ((lower >>> 7) | (upper << 25)) >>> 0;
      upper >>>= 7;
    }
    this.buffer[this.length++] = lower;
    return this;
  }

  private reserve(bytes: number): void {
    const wanted = this.length + bytes;
    if (wanted <= this.buffer.length) {
      return;
    }
    const larger = new Uint8Array(Math.max(wanted, this.buffer.length * 2));
    larger.set(this.buffer.subarray(0, this.length));
    this.buffer = larger;
  }
}

/** Bytes that a length takes. */
export function varintBytes(value: number): number {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x200000 ? 3 : value < 0x10000000 ? 4 : 5;
}

const INITIAL_BYTES = 128;
