/** The platforms' sockets: one open, whole frames, one end, whatever they do. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { CLIENT_PREFACE, delimited, StreamDecoder } from '../../src/transport/framing.js';
import type { TransportEnd } from '../../src/transport/transport.js';
import { type UniSocketTask, uniTransport } from '../../src/transport/uniSocket.js';
import { webSocketTransport } from '../../src/transport/webSocket.js';
import { wechatTcpTransport } from '../../src/transport/wechatTcp.js';

function listener() {
  const told: (string | TransportEnd)[] = [];
  return {
    told,
    onOpen: () => told.push('open'),
    onFrame: (frame: Uint8Array) => told.push(`frame ${[...frame].join()}`),
    onEnd: (end: TransportEnd) => told.push(end),
  };
}

/** A socket task that a test plays. */
class FakeTask implements UniSocketTask {
  open: (result: unknown) => void = () => {};
  message: (result: { data: unknown }) => void = () => {};
  error: (result: unknown) => void = () => {};
  closed: (result: unknown) => void = () => {};
  readonly sent: { data: ArrayBuffer; fail(result: unknown): void }[] = [];
  closes = 0;
  onOpen(callback: (result: unknown) => void) {
    this.open = callback;
  }
  onMessage(callback: (result: { data: unknown }) => void) {
    this.message = callback;
  }
  onError(callback: (result: unknown) => void) {
    this.error = callback;
  }
  onClose(callback: (result: unknown) => void) {
    this.closed = callback;
  }
  send(options: { data: ArrayBuffer; fail(result: unknown): void }) {
    this.sent.push(options);
  }
  close() {
    this.closes++;
  }
}

describe('uni.connectSocket', () => {
  let tasks: { task: FakeTask; options: Record<string, unknown>; atMs: number }[] = [];

  beforeEach(() => {
    vi.useFakeTimers();
    tasks = [];
    vi.stubGlobal('uni', {
      connectSocket(options: Record<string, unknown>) {
        const task = new FakeTask();
        tasks.push({ task, options, atMs: Date.now() });
        return task;
      },
    });
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  function opened() {
    const told = listener();
    const connection = uniTransport().open('wss://host/ws', told);
    vi.advanceTimersByTime(200);
    const { task, options } = tasks.at(-1) as (typeof tasks)[number];
    return { told: told.told, connection, task, options };
  }

  test('names the sub-protocol and passes a callback', () => {
    const { options } = opened();
    expect(options).toMatchObject({ url: 'wss://host/ws', protocols: ['hongyan.v1'] });
    expect(options.success).toBeTypeOf('function');
  });

  test('an error without a close is an end (App)', () => {
    const { told, task, connection } = opened();
    task.open({});
    task.error({ errMsg: 'reset' });
    expect(told).toEqual(['open', { code: 1006, reason: 'reset' }]);
    connection.send(new Uint8Array([1]));
    expect(task.sent).toEqual([]);
  });

  test('an error and a close are one end (H5), and nothing comes after', () => {
    const { told, task } = opened();
    task.open({});
    task.closed({ code: 4604, reason: 'replaced' });
    task.error({ errMsg: 'late' });
    task.message({ data: new ArrayBuffer(1) });
    task.open({});
    expect(told).toEqual(['open', { code: 4604, reason: 'replaced' }]);
  });

  test('a send that fails twice is one end', () => {
    const { told, task, connection } = opened();
    task.open({});
    connection.send(new Uint8Array([1, 2]));
    task.sent[0]?.fail({ errMsg: 'code 10002' });
    task.sent[0]?.fail({ errMsg: 'code 602001' });
    expect(told).toEqual(['open', { code: 1006, reason: 'code 10002' }]);
  });

  test('two opens in one millisecond are kept apart (App)', () => {
    uniTransport().open('wss://host/ws', listener());
    uniTransport().open('wss://host/ws', listener());
    uniTransport().open('wss://host/ws', listener());
    vi.advanceTimersByTime(200);
    expect(new Set(tasks.map(({ atMs }) => atMs)).size).toBe(3);
  });

  test('an attempt that is closed before its turn opens nothing', () => {
    uniTransport().open('wss://host/ws', listener());
    const told = listener();
    uniTransport().open('wss://host/ws', told).close();
    vi.advanceTimersByTime(200);
    expect(tasks.length).toBe(1);
    expect(told.told).toEqual([{ code: 1000, reason: 'closed here' }]);
  });

  test('what is sent is a copy, and only the bytes of the frame', () => {
    const { task, connection } = opened();
    task.open({});
    const large = new Uint8Array([9, 1, 2, 9]);
    connection.send(large.subarray(1, 3));
    large.fill(0);
    expect([...new Uint8Array(task.sent[0]?.data ?? new ArrayBuffer(0))]).toEqual([1, 2]);
  });

  test('interrupted in the background is a loss with its code', () => {
    const { told, task } = opened();
    task.open({});
    task.closed({ code: 1000, reason: 'interrupted' });
    expect(told.at(-1)).toEqual({ code: 1000, reason: 'interrupted' });
  });

  test('a platform that refuses at once is an end', () => {
    vi.stubGlobal('uni', {
      connectSocket() {
        throw new Error('url not in domain list');
      },
    });
    const told = listener();
    uniTransport().open('wss://host/ws', told);
    vi.advanceTimersByTime(200);
    expect(told.told).toEqual([{ code: 1006, reason: 'url not in domain list' }]);
  });

  test('closing tells the end once', () => {
    const { told, task, connection } = opened();
    task.open({});
    connection.close();
    connection.close();
    task.closed({ code: 1000 });
    expect(told).toEqual(['open', { code: 1000, reason: 'closed here' }]);
    expect(task.closes).toBeGreaterThan(0);
  });
});

test('without a WebSocket the attempt ends, and says why', async () => {
  const told = listener();
  vi.stubGlobal('WebSocket', undefined);
  webSocketTransport().open('ws://host/ws', told);
  await new Promise((done) => setTimeout(done, 1));
  vi.unstubAllGlobals();
  expect(told.told).toMatchObject([{ code: 1006, reason: expect.stringContaining('WebSocket') }]);
});

test('an address that is none ends the attempt', async () => {
  const told = listener();
  wechatTcpTransport().open('ws://host', told);
  await new Promise((done) => setTimeout(done, 1));
  expect(told.told).toMatchObject([{ reason: expect.stringContaining('tcp://host:port') }]);
});

describe('frames on a stream', () => {
  const frames = [[], [1], Array(127).fill(7), Array(128).fill(8), Array(70_000).fill(9)].map(
    (bytes) => Uint8Array.from(bytes),
  );
  const stream = Buffer.concat([CLIENT_PREFACE, ...frames.map(delimited)]);

  test.each([1, 2, 7, 1_000, 1_000_000])('come whole from pieces of %i bytes', (size) => {
    const decoder = new StreamDecoder();
    const found: Uint8Array[] = [];
    for (let at = 0; at < stream.length; at += size) {
      found.push(...decoder.push(new Uint8Array(stream.subarray(at, at + size))));
    }
    expect(found).toEqual(frames);
  });

  test('a stranger, another version and a frame over the limit are refused', () => {
    expect(() => new StreamDecoder().push(Buffer.from('HTTP/1.1 400'))).toThrow('Hongyan');
    const versions = CLIENT_PREFACE.slice();
    versions[4] = 2;
    versions[5] = 3;
    expect(() => new StreamDecoder().push(versions)).toThrow('version');
    const decoder = new StreamDecoder();
    decoder.push(CLIENT_PREFACE);
    expect(() => decoder.push(Uint8Array.from([0xff, 0xff, 0xff, 0x7f]))).toThrow('limit');
    const endless = new StreamDecoder();
    endless.push(CLIENT_PREFACE);
    expect(() => endless.push(Uint8Array.from([0x80, 0x80, 0x80, 0x80]))).toThrow('limit');
  });
});
