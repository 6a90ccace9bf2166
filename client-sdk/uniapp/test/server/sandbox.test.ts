/** The package as a mini-program runs it, up to a login and an echo. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bundle } from '../../scripts/bundle.mjs';
import type { Client } from '../../src/index.js';
import { registered, until } from '../support/clients.js';
import { sandbox } from '../support/sandbox.js';
import { Server } from '../support/server.js';

let server: Server;
let echo: Client;

beforeAll(async () => {
  server = await Server.start();
  echo = await registered(server, 'echo');
  echo.on('message', ({ conversation, body }) => {
    if (body.kind === 'text') {
      echo.sendText(conversation, `echo: ${body.text}`);
    }
  });
});

afterAll(async () => {
  await echo.shutdown();
  await server.stop();
});

const APP = (url: string, name: string) => `
  import { createClient } from '@hongyan/client';
  import { bindUni, uniStore, uniTransport } from '@hongyan/client/uni';
  async function main() {
    const client = await createClient({
      url: ${JSON.stringify(url)}, transport: uniTransport(), store: uniStore(), device: { class: 'phone' },
    });
    bindUni(client);
    await client.register(${JSON.stringify(name)}, 'correct horse');
    await client.waitLive();
    const heard = new Promise((resolve) => client.on('message', resolve));
    const found = await client.findUser('echo');
    const sent = await client.sendText(client.direct(found.user), '你好 👩‍🚀 🪿');
    const stored = await sent.saved();
    const message = await heard;
    const devices = await client.devices();
    await client.shutdown();
    return [stored.messageId, message.body.text, message.messageId, devices[0].id === client.deviceId];
  }
  main().then(done, failed);
`;

test.each([false, true])(
  'a mini-program logs in and hears an echo (minified: %s)',
  async (minify) => {
    const script = await bundle(APP(server.url, minify ? 'small' : 'plain'), { minify });
    expect(script).not.toMatch(
      /\bglobalThis\b|\bBigInt\b|\bTextEncoder\b|\bTextDecoder\b|\beval\(|new Function/,
    );
    let box: ReturnType<typeof sandbox> | undefined;
    const result = await new Promise<unknown[]>((done, failed) => {
      box = sandbox({ done, failed });
      expect(() => box?.run('eval("1")')).toThrow();
      expect(box.run('typeof globalThis + typeof TextEncoder + typeof BigInt')).toBe(
        'undefinedundefinedundefined',
      );
      box.run(script);
    }).finally(() => box?.close());
    expect([...result]).toEqual([
      expect.stringMatching(/^[1-9][0-9]+$/),
      'echo: 你好 👩‍🚀 🪿',
      expect.stringMatching(/^[1-9][0-9]+$/),
      true,
    ]);
  },
);

test('raw TCP in a mini-program', async () => {
  const { connectTcp } = await import('../support/wechatTcp.js');
  const script = await bundle(`
    import { createClient } from '@hongyan/client';
    import { wechatTcpTransport } from '@hongyan/client/wechat';
    async function main() {
      const client = await createClient({
        url: 'tcp://${server.address}', transport: wechatTcpTransport(),
      });
      await client.register('rawtcp', 'correct horse');
      const heard = new Promise((resolve) => client.on('message', resolve));
      const found = await client.findUser('echo');
      await client.sendText(client.direct(found.user), 'x'.repeat(16000));
      const message = await heard;
      await client.shutdown();
      return [message.body.text];
    }
    main().then(done, failed);
  `);
  const sockets = connectTcp();
  const result = await new Promise<unknown[]>((done, failed) => {
    const box = sandbox({ done, failed, wx: { createTCPSocket: sockets.create } });
    box.run(script);
  }).finally(() => sockets.close());
  expect(result[0]).toBe(`echo: ${'x'.repeat(16_000)}`);
  await until(echo.status, (status) => status.kind === 'live');
});
