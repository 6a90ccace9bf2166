/**
 * Unsigned 64-bit integers as decimal text, in two halves of 32 bits: there is
 * no `BigInt` on some devices, and a `number` cannot hold them.
 */

/** The upper and the lower half. */
export interface Halves {
  readonly high: number;
  readonly low: number;
}

/**
 * Reads decimal text.
 * @throws Error when it is not a number from 0 to 2^64 - 1.
 */
export function parseUint64(text: string): Halves {
  if (!/^[0-9]{1,20}$/.test(text)) {
    throw new Error('not an unsigned 64-bit integer');
  }
  if (text.length <= SAFE_DIGITS) {
    const value = Number(text);
    return { high: Math.floor(value / 0x100000000), low: value >>> 0 };
  }
  // Sixteen bits at a time, the lowest first: times 10, plus the next digit.
  const limbs = [0, 0, 0, 0];
  for (let at = 0; at < text.length; at++) {
    let carry = text.charCodeAt(at) - 48;
    for (let index = 0; index < 4; index++) {
      const value = (limbs[index] as number) * 10 + carry;
      limbs[index] = value & 0xffff;
      carry = value >>> 16;
    }
    if (carry !== 0) {
      throw new Error('not an unsigned 64-bit integer');
    }
  }
  const [a = 0, b = 0, c = 0, d = 0] = limbs;
  return { high: ((d << 16) | c) >>> 0, low: ((b << 16) | a) >>> 0 };
}

/** The decimal text of two halves. */
export function formatUint64(high: number, low: number): string {
  if (high < SAFE_HIGH) {
    return String(high * 0x100000000 + low);
  }
  // Sixteen bits at a time, the highest first: divided by 10,000.
  const limbs = [high >>> 16, high & 0xffff, low >>> 16, low & 0xffff];
  let text = '';
  while (limbs.some((limb) => limb !== 0)) {
    let rest = 0;
    for (let index = 0; index < 4; index++) {
      const value = rest * 0x10000 + (limbs[index] as number);
      limbs[index] = Math.floor(value / 10000);
      rest = value % 10000;
    }
    text = String(10000 + rest).slice(1) + text;
  }
  return text.replace(/^0+/, '');
}

/** Any number of so many digits is exact in a `number`. */
const SAFE_DIGITS = 15;
/** With less in the upper half a `number` is exact. */
const SAFE_HIGH = 0x200000;
