/**
 * UTF-8 without `TextEncoder` and `TextDecoder`, which mini-programs lack on
 * real devices.
 */

/** Bytes that `text` takes as UTF-8; a lone surrogate counts as U+FFFD. */
export function utf8Length(text: string): number {
  let bytes = 0;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit < 0x80) {
      bytes += 1;
    } else if (unit < 0x800) {
      bytes += 2;
    } else if (isPair(text, at)) {
      bytes += 4;
      at++;
    } else {
      bytes += 3;
    }
  }
  return bytes;
}

/** Writes `text` into `target` at `at`; returns the place after it. */
export function utf8Write(text: string, target: Uint8Array, at: number): number {
  let to = at;
  for (let from = 0; from < text.length; from++) {
    let code = text.charCodeAt(from);
    if (code < 0x80) {
      target[to++] = code;
      continue;
    }
    if (code < 0x800) {
      target[to++] = 0xc0 | (code >> 6);
    } else {
      if (isPair(text, from)) {
        code = 0x10000 + ((code - 0xd800) << 10) + (text.charCodeAt(++from) - 0xdc00);
        target[to++] = 0xf0 | (code >> 18);
        target[to++] = 0x80 | ((code >> 12) & 0x3f);
      } else {
        code = code >= 0xd800 && code < 0xe000 ? 0xfffd : code;
        target[to++] = 0xe0 | (code >> 12);
      }
      target[to++] = 0x80 | ((code >> 6) & 0x3f);
    }
    target[to++] = 0x80 | (code & 0x3f);
  }
  return to;
}

/** The UTF-8 bytes of `text`. */
export function utf8Encode(text: string): Uint8Array {
  const bytes = new Uint8Array(utf8Length(text));
  utf8Write(text, bytes, 0);
  return bytes;
}

/**
 * Reads UTF-8 from `start` up to `end`.
 * @throws Error when it is not valid.
 */
export function utf8Decode(bytes: Uint8Array, start = 0, end = bytes.length): string {
  let text = '';
  let units: number[] = [];
  for (let at = start; at < end; ) {
    const first = bytes[at++] as number;
    let code = first;
    if (first >= 0x80) {
      const more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
      if (first < 0xc2 || first > 0xf4 || at + more > end) {
        throw new Error('invalid UTF-8');
      }
      code = first & (0x3f >> more);
      for (let count = 0; count < more; count++) {
        const next = bytes[at++] as number;
        if ((next & 0xc0) !== 0x80) {
          throw new Error('invalid UTF-8');
        }
        code = (code << 6) | (next & 0x3f);
      }
      checkCode(code, more);
    }
    if (code >= 0x10000) {
      units.push(0xd800 + ((code - 0x10000) >> 10), 0xdc00 + ((code - 0x10000) & 0x3ff));
    } else {
      units.push(code);
    }
    if (units.length >= CHUNK_UNITS) {
      text += String.fromCharCode.apply(null, units);
      units = [];
    }
  }
  return text + String.fromCharCode.apply(null, units);
}

/** Cuts `text` to at most `bytesMax` bytes of UTF-8, between characters. */
export function utf8Cut(text: string, bytesMax: number): string {
  if (utf8Length(text) <= bytesMax) {
    return text;
  }
  let bytes = 0;
  let at = 0;
  while (at < text.length) {
    const units = isPair(text, at) ? 2 : 1;
    bytes += utf8Length(text.slice(at, at + units));
    if (bytes > bytesMax) {
      break;
    }
    at += units;
  }
  return text.slice(0, at);
}

function checkCode(code: number, more: number): void {
  const lowest = more === 3 ? 0x10000 : more === 2 ? 0x800 : 0x80;
  if (code < lowest || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) {
    throw new Error('invalid UTF-8');
  }
}

function isPair(text: string, at: number): boolean {
  const high = text.charCodeAt(at);
  const low = text.charCodeAt(at + 1);
  return high >= 0xd800 && high < 0xdc00 && low >= 0xdc00 && low < 0xe000;
}

/** Few enough for the arguments of one call. */
const CHUNK_UNITS = 4096;
