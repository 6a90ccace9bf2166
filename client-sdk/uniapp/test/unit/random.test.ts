/**
 * Everything that can go wrong, in any order, against the model: nothing that
 * was shown as sending is lost, nothing is doubled, order holds, unread is what
 * the server says, and everything that others said is told, once and in order.
 */
import { expect, test } from 'vitest';
import type { ClientMsgId } from '../../src/index.js';
import { ErrorCode, Opcode } from '../../src/index.js';
import { writeBody } from '../../src/model/wire.js';
import * as pb from '../../src/pb.js';
import { DIRECT, ME, PEER, wireError } from '../support/model.js';
import { Random } from '../support/random.js';
import { World } from '../support/world.js';

class Run {
  readonly world = World.live();
  private readonly said: [ClientMsgId, string][] = [];
  private promised: string[] = [];
  private refused = false;
  private restarted = false;
  private powerCut = false;

  constructor(private readonly random: Random) {
    const { world } = this;
    // A sync leaves out what is more than this.
    world.server.tooOldAfter = 50;
    // The conversation is known on this device, so that nothing in it counts as
    // seen on another one.
    world.server.say(DIRECT, PEER, 'theirs', true);
    world.run();
  }

  step(): void {
    const { world, random } = this;
    const last = world.server.conversation(DIRECT).messages.length;
    switch (random.below(31)) {
      case 0:
      case 1:
        world.settle();
        world.deliverToServer();
        return world.cut();
      case 2:
        return world.cut();
      case 3:
      case 4:
        world.server.say(DIRECT, PEER, 'theirs', false);
        return;
      case 5:
      case 6:
        return world.core.markRead(world.nowMs, DIRECT, random.below(40));
      case 7:
        return world.server.peerMoves(DIRECT, last, last);
      case 8:
      case 9:
      case 10:
      case 11:
        world.server.say(DIRECT, PEER, 'theirs', true);
        return;
      case 12:
        return this.restart(true);
      case 13:
        return world.server.pushMessage(DIRECT, 1 + random.below(40));
      case 14:
        this.refused = true;
        world.server.refusals.push({ opcode: Opcode.Send, error: wireError(ErrorCode.Busy, 700) });
        return;
      case 15:
        return this.restart(false);
      case 16:
        world.server.say(DIRECT, ME, 'mine, elsewhere', true);
        return;
      case 17:
        for (let count = 0; count < 70; count++) {
          this.say();
        }
        return;
      case 18:
      case 19:
      case 20:
        return world.pass(1 + random.below(20_000));
      case 21:
        return world.server.push(Opcode.SyncNeeded, pb.SyncNeeded.encode({}));
      case 22:
      case 23:
      case 24:
      case 25:
        return world.run();
      case 26:
        world.cut();
        for (let count = 0; count < 260; count++) {
          world.server.say(DIRECT, PEER, 'theirs', false);
        }
        return;
      default:
        return this.say();
    }
  }

  private say(): void {
    const text = `mine ${this.said.length + 1}`;
    this.said.push([this.world.send(DIRECT, text), text]);
  }

  private restart(powerCut: boolean): void {
    this.restarted = true;
    this.powerCut ||= powerCut;
    this.notePromises();
    this.world.restart(powerCut);
  }

  /** Remembers what the app has been told so far. */
  private notePromises(): void {
    const sending = new Set(
      this.world.events.flatMap((event) =>
        event.kind === 'send' && event.update.kind === 'sending' ? [event.clientMsgId] : [],
      ),
    );
    this.promised = this.said.flatMap(([id, text]) => (sending.has(id) ? [text] : []));
  }

  check(label: string): void {
    const { world } = this;
    world.settle();
    this.notePromises();
    world.server.refusals.length = 0;
    // Long enough for every back-off, grace and retry.
    world.pass(200_000);
    // The server owes this where it dropped pushes.
    world.server.push(Opcode.SyncNeeded, pb.SyncNeeded.encode({}));
    world.pass(10_000);
    expect(world.status.kind, label).toBe('live');
    expect(world.core.state.outbox.length, label).toBe(0);
    this.checkServer(label);
    this.checkTimeline(label);
  }

  private checkServer(label: string): void {
    const { messages } = this.world.server.conversation(DIRECT);
    const stored = messages
      .filter(({ sender }) => sender === ME)
      .map(({ body }) => pb.Body.decode(body).text ?? '')
      .filter((text) => text !== 'mine, elsewhere');
    expect(new Set(stored).size, `${label}: nothing is doubled`).toBe(stored.length);
    const lost = this.promised.filter((text) => !stored.includes(text));
    expect(lost, `${label}: nothing is lost`).toEqual([]);
    if (!this.refused) {
      const numbers = stored.map((text) => Number(text.slice('mine '.length)));
      expect(numbers, `${label}: order holds`).toEqual([...numbers].sort((a, b) => a - b));
    }
  }

  private checkTimeline(label: string): void {
    const { world } = this;
    const { messages, read } = world.server.conversation(DIRECT);
    const view = world.view();
    expect(view.catchingUp, label).toBe(false);
    const held = view.items.flatMap(({ message }) => message ?? []);
    expect(held.length, label).toBe(view.items.length);
    held.forEach(({ seq, body }, at) => {
      expect(seq, `${label}: no gap`).toBe((held[0]?.seq ?? 0) + at);
      expect(Buffer.from(writeBody(body)), label).toEqual(
        Buffer.from(messages[seq - 1]?.body ?? []),
      );
    });
    expect(held.at(-1)?.seq ?? 0, label).toBe(messages.length);
    const own = messages.filter(({ sender }) => sender === ME).at(-1)?.seq ?? '0';
    const floor = Math.max(Number(own), read.get(ME) ?? 0);
    expect(world.unread(), `${label}: unread is the server's`).toBe(messages.length - floor);
    const told = world.events.flatMap((event) =>
      event.kind === 'message' ? [event.message.seq] : [],
    );
    const once = [...new Set(told)].sort((a, b) => a - b);
    if (!this.restarted) {
      expect(told, `${label}: each is told once, in order`).toEqual(once);
    }
    if (!this.powerCut) {
      const ofOthers = messages.filter(({ sender }) => sender !== ME).map(({ seq }) => Number(seq));
      const untold = ofOthers.filter((seq) => !once.includes(seq));
      expect(untold, `${label}: others said, and nobody told`).toEqual([]);
    }
  }
}

test('nothing is lost or doubled, whatever happens', () => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = new Random(seed);
    const run = new Run(random);
    for (let count = 1 + random.below(60); count > 0; count--) {
      run.step();
    }
    run.check(`seed ${seed}`);
  }
});
