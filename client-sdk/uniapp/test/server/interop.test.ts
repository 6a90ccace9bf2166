/** The Rust client over TCP and this one over WebSocket, byte for byte. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Client, Message } from '../../src/index.js';
import { Opcode } from '../../src/index.js';
import { writeConversationId } from '../../src/model/wire.js';
import * as pb from '../../src/pb.js';
import { hexDecode } from '../../src/wire/hex.js';
import { utf8Encode } from '../../src/wire/utf8.js';
import { registered, until } from '../support/clients.js';
import { RustChat } from '../support/rustChat.js';
import { Server } from '../support/server.js';

let server: Server;
let typescript: Client;
let rust: RustChat;

beforeAll(async () => {
  server = await Server.start();
  typescript = await registered(server, 'typescript');
  rust = new RustChat(server.address, 'rusty');
  await rust.said(/live, signed in as rusty/);
});

afterAll(async () => {
  await rust.stop();
  await typescript.shutdown();
  await server.stop();
});

const TEXT = '你好，鸿雁 👩‍🚀🪿 «quoted» \u{1f1e8}\u{1f1f3} e\u0301 \u202elater';

/** A message as the server has it, with its encoded body. */
async function stored(message: Message): Promise<pb.Message> {
  const ask = {
    conversation: writeConversationId(message.conversation),
    fromSeq: String(message.seq),
    toSeq: String(message.seq),
    limit: 1,
    backwards: false,
  };
  const reply = await typescript.request(Opcode.History, pb.History.encode(ask).finish());
  const [found] = pb.HistoryPage.decode(reply).messages;
  return found as pb.Message;
}

test('what the Rust client sends is read byte for byte', async () => {
  const heard = new Promise<Message>((done) => typescript.on('message', done));
  rust.type('/chat typescript');
  await rust.said(/chat with typescript/);
  rust.type(TEXT);
  const message = await heard;
  expect(message.body).toEqual({ kind: 'text', text: TEXT });
  const { body } = await stored(message);
  const text = utf8Encode(TEXT);
  expect(Buffer.from(body)).toEqual(Buffer.from([0x0a, text.length, ...text]));
  expect(message.newerBody).toBeUndefined();
  expect(message.messageId).toMatch(/^[1-9][0-9]{9,19}$/);
  expect(message.sender).toBe((await typescript.findUser('rusty')).user);
});

test('what this client sends is read by the Rust client, and its marks come back', async () => {
  const peer = await typescript.findUser('rusty');
  const id = typescript.direct(peer.user);
  const sent = await typescript.sendText(id, 'back to you 🪿 再见');
  await rust.said(/^typescript: back to you 🪿 再见$/);
  const message = await sent.saved();
  expect(
    Buffer.from((await stored(message)).body)
      .toString('utf8')
      .slice(2),
  ).toBe('back to you 🪿 再见');
  await until(sent.state, ({ kind }) => kind === 'read' || kind === 'delivered');
  typescript.markRead(id);
  await rust.said(/✓✓✓ read: /);
});

test('what neither version knows survives both ways', async () => {
  const peer = await typescript.findUser('rusty');
  const id = typescript.direct(peer.user);
  // A text with a field 99 behind it, as a newer client might write.
  const text = utf8Encode('with more behind it');
  const body = Uint8Array.from([0x0a, text.length, ...text, 0x98, 0x06, 0x07]);
  const send = {
    conversation: writeConversationId(id),
    clientMsgId: hexDecode('00112233445566778899aabbccddeeff') ?? new Uint8Array(),
    body,
    level: 0,
  } as const;
  const reply = await typescript.request(Opcode.Send, pb.Send.encode(send).finish());
  const { seq } = pb.SendAck.decode(reply);
  await rust.said(/with more behind it/);
  const page = await typescript.history(id, Number(seq), Number(seq));
  expect(page.messages[0]).toMatchObject({
    seq: Number(seq),
    clientMsgId: '00112233445566778899aabbccddeeff',
    body: { kind: 'text', text: 'with more behind it' },
  });
  expect(Buffer.from(page.messages[0]?.newerBody ?? [])).toEqual(Buffer.from(body));
});

test('a group of both, made by the Rust client', async () => {
  rust.type('/group 鸿雁 typescript');
  const [state] = (
    await until(typescript.conversations, (list) => list.some(({ title }) => title === '鸿雁'))
  ).filter(({ title }) => title === '鸿雁');
  expect(state?.group).toMatchObject({ memberCount: 2, role: 'member' });
  if (state !== undefined) {
    await (await typescript.sendText(state.id, 'hello, group')).saved();
    await rust.said(/hello, group/);
  }
});
