/** What must be true once everything works again. */
import type { Client, ConversationId, Message } from '../../src/index.js';
import { client, PASSWORD } from '../support/clients.js';
import type { RustChat } from '../support/rustChat.js';
import type { Server } from '../support/server.js';
import { type Counts, type Person, sleep } from './person.js';

interface End {
  readonly server: Server;
  readonly people: readonly Person[];
  readonly rooms: ReadonlyMap<Person, readonly ConversationId[]>;
  readonly group: ConversationId;
  readonly rust: RustChat | undefined;
  readonly rustSent: readonly string[];
  readonly counts: Counts;
}

/** Returns what is wrong. */
export async function verify(end: End): Promise<string[]> {
  const problems: string[] = [];
  await settle(end, problems);
  await rustSettles(end);
  const truth = new Map<ConversationId, Message[]>();
  for (const person of end.people) {
    // A device that holds nothing: all it knows is the server's.
    const witness = await client(end.server);
    await witness.login(person.name, PASSWORD);
    await witness.waitLive();
    for (const id of new Set(end.rooms.get(person))) {
      if (!truth.has(id)) {
        truth.set(id, await history(witness, id));
      }
      await compare(person, witness, id, truth.get(id) ?? [], problems);
    }
    await witness.logout();
    await witness.shutdown();
  }
  checkTexts(end, truth, problems);
  checkTold(end, truth, problems);
  await checkRust(end, truth.get(end.group) ?? [], problems);
  return problems;
}

/** Waits until everybody is live and has sent everything. */
async function settle(end: End, problems: string[]): Promise<void> {
  const ready = ({ client: it }: Person) =>
    it.status.value.kind === 'live' && it.conversations.value.every(({ pending }) => pending === 0);
  for (let round = 0; round < SETTLE_ROUNDS; round++) {
    if (end.people.every(ready)) {
      // What was said last is on its way to the others.
      await sleep(2_000);
      if (end.people.every(ready)) {
        return;
      }
    }
    await sleep(250);
  }
  for (const person of end.people) {
    const { status, conversations } = person.client;
    const pending = conversations.value.reduce((sum, it) => sum + it.pending, 0);
    problems.push(`${person.name} is ${status.value.kind} with ${pending} messages unsent`);
  }
}

/** Waits until what the Rust client was given is stored: it may take 30 s to connect again. */
async function rustSettles(end: End): Promise<void> {
  const [person] = end.people;
  if (end.rust === undefined || person === undefined) {
    return;
  }
  const witness = await client(end.server);
  await witness.login(person.name, PASSWORD);
  await witness.waitLive();
  for (let round = 0; round < RUST_ROUNDS; round++) {
    const messages = await history(witness, end.group);
    const texts = new Set(messages.map(({ body }) => (body.kind === 'text' ? body.text : '')));
    if (end.rustSent.every((text) => texts.has(text))) {
      break;
    }
    await sleep(1_000);
  }
  await witness.logout();
  await witness.shutdown();
}

async function history(witness: Client, id: ConversationId): Promise<Message[]> {
  const all: Message[] = [];
  for (let more = true; more; ) {
    const page = await witness.history(id, all.length + 1, 0, 500);
    all.push(...page.messages);
    more = page.more;
  }
  return all;
}

async function compare(
  person: Person,
  witness: Client,
  id: ConversationId,
  truth: readonly Message[],
  problems: string[],
): Promise<void> {
  const where = `${person.name} in ${id}`;
  const timeline = person.client.openTimeline(id);
  while (timeline.view.value.hasOlder && (await timeline.loadOlder(500)) > 0) {}
  const { items } = timeline.view.value;
  const held = items.map(({ message }) => line(message));
  const wanted = truth.map(line);
  if (held.join('\n') !== wanted.join('\n')) {
    const at = wanted.findIndex((text, index) => text !== held[index]);
    problems.push(`${where}: ${held.length} lines, not ${wanted.length}; they differ at ${at}`);
  }
  const shown = person.client.conversation(id)?.unread;
  const exact = witness.conversation(id)?.unread;
  if (shown !== exact) {
    problems.push(`${where}: ${shown} unread, not ${exact}`);
  }
  timeline.close();
}

function line(message: Message | undefined): string {
  return message === undefined
    ? 'pending'
    : `${message.seq} ${message.messageId} ${message.clientMsgId} ${JSON.stringify(message.body)}`;
}

function checkTexts(end: End, truth: ReadonlyMap<ConversationId, Message[]>, problems: string[]) {
  const sent = end.people.flatMap((person) => person.sent);
  for (const text of end.rustSent) {
    sent.push({ conversation: end.group, text });
  }
  let lost = 0;
  let doubled = 0;
  for (const [conversation, messages] of truth) {
    const found = new Map<string, number>();
    for (const { body } of messages) {
      if (body.kind === 'text') {
        found.set(body.text, (found.get(body.text) ?? 0) + 1);
      }
    }
    for (const it of sent.filter((one) => one.conversation === conversation)) {
      lost += found.has(it.text) ? 0 : 1;
    }
    doubled += [...found.values()].filter((times) => times > 1).length;
  }
  Object.assign(end.counts, { sent: sent.length, lost, doubled });
  if (lost > 0 || doubled > 0) {
    problems.push(`${lost} lost, ${doubled} doubled`);
  }
}

/**
 * Events told each person of everything that others said: each once and in order
 * in every run of the program, and nothing was skipped.
 */
function checkTold(end: End, truth: ReadonlyMap<ConversationId, Message[]>, problems: string[]) {
  let all = 0;
  for (const person of end.people) {
    const { name, client: it, told } = person;
    for (const id of new Set(end.rooms.get(person))) {
      const runs = told.map(({ messages }) => messages.filter((one) => one.conversation === id));
      for (const [run, messages] of runs.entries()) {
        if (messages.some(({ seq }, at) => seq <= (messages[at - 1]?.seq ?? 0))) {
          problems.push(`${name} in ${id}: told twice or out of order in run ${run}`);
        }
      }
      const heard = new Set(runs.flat().map(line));
      const others = (truth.get(id) ?? []).filter(
        ({ sender, body }) => sender !== it.account?.user && body.kind === 'text',
      );
      const missing = others.filter((message) => !heard.has(line(message)));
      all += others.length;
      if (missing.length > 0) {
        const seqs = ranges(missing.map(({ seq }) => seq));
        problems.push(`${name} in ${id}: ${missing.length} of ${others.length} not told (${seqs})`);
      }
    }
    for (const skipped of told.flatMap((run) => run.skipped)) {
      problems.push(`${name}: skipped ${JSON.stringify(skipped)}`);
    }
  }
  end.counts.told = all;
}

/** The Rust client told each text of the group once, in the same order. */
async function checkRust(end: End, truth: readonly Message[], problems: string[]): Promise<void> {
  if (end.rust === undefined) {
    return;
  }
  const wanted = truth.flatMap(({ body }) => (body.kind === 'text' ? [body.text] : []));
  const told = () =>
    (end.rust?.lines ?? []).flatMap((it) => /^(?:you|\w+): (\w+-\d+ 🪿)$/.exec(it)?.[1] ?? []);
  for (let round = 0; round < SETTLE_ROUNDS && told().length < wanted.length; round++) {
    await sleep(100);
  }
  const lines = told();
  const twice = lines.length - new Set(lines).size;
  const missing = wanted.flatMap((text, at) => (lines.includes(text) ? [] : [at]));
  // Its own texts are told when they are written, the others' as they come.
  const others = (texts: readonly string[]) => texts.filter((it) => !it.startsWith('rosa-'));
  const present = others(wanted).filter((text) => lines.includes(text));
  const inOrder = others(lines).join('\n') === present.join('\n');
  if (missing.length > 0 || twice > 0 || !inOrder) {
    problems.push(
      `the Rust client: ${missing.length} of ${wanted.length} texts not told (${ranges(missing)}), ` +
        `${twice} told twice, ${inOrder ? 'in order' : 'out of order'}`,
    );
  }
}

/** 1-3, 7-7 */
function ranges(numbers: readonly number[]): string {
  const starts = numbers.filter((it) => !numbers.includes(it - 1));
  const ends = numbers.filter((it) => !numbers.includes(it + 1));
  return starts.map((it, at) => `${it}-${ends[at]}`).join(', ');
}

const SETTLE_ROUNDS = 400;
const RUST_ROUNDS = 60;
