/**
 * Chaos: four TypeScript clients and the Rust client write to each other while
 * connections break, links are slow or deaf, apps go to the background or die,
 * and the server is killed with -9 and restarted. In the end everybody must
 * have the same timelines, nothing lost, nothing doubled, unread exact, and have
 * been told of everything, in order.
 *
 * `npm run chaos -- --minutes 3 --seed 7`
 */
import { type ConversationId, groupConversation } from '../../src/index.js';
import { FlakyLink } from '../support/flakyLink.js';
import { Random } from '../support/random.js';
import { hasRustChat, RustChat } from '../support/rustChat.js';
import { Server } from '../support/server.js';
import { type Counts, Person, sleep } from './person.js';
import { verify } from './verify.js';

function option(name: string, fallback: number): number {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? fallback : Number(process.argv[at + 1]);
}

const seed = option('seed', Math.floor(Math.random() * 2 ** 31));
const endMs = Date.now() + option('minutes', 3) * 60_000;
const random = new Random(seed);
const counts: Counts = {};
console.log(`seed ${seed}`);

const server = await Server.start({ HONGYAN_SESSION__HEARTBEAT_MS: '1000' });
const people: Person[] = [];
for (const name of ['anna', 'bela', 'cleo', 'dora']) {
  people.push(await Person.create(name, server.webSocketPort, random));
}
const rustProxy = await FlakyLink.start(server.tcpPort);
const rust = hasRustChat() ? new RustChat(`127.0.0.1:${rustProxy.port}`, 'rosa') : undefined;
if (rust === undefined) {
  console.log('without the Rust client: it is not built');
}
await rust?.said(/live, signed in/);

const [anna, bela, cleo, dora] = people as [Person, Person, Person, Person];
const users = await Promise.all(
  ['bela', 'cleo', 'dora', ...(rust ? ['rosa'] : [])].map((name) => anna.client.findUser(name)),
);
const made = await anna.client.createGroup(
  'chaos',
  users.map(({ user }) => user),
  {
    historyVisible: true,
  },
);
const group = groupConversation(made.id);
const ids = new Map(users.map(({ name, user }) => [name, user]));
const direct = (person: Person, other: string) => person.client.direct(ids.get(other) ?? '');
/** The group gets most of what is said, so that who is away for long misses more than one sync brings. */
const often = (id: ConversationId) => [id, id, id];
const rooms = new Map<Person, ConversationId[]>([
  [anna, [...often(group), direct(anna, 'bela')]],
  [bela, [...often(group), direct(anna, 'bela')]],
  [cleo, [...often(group), direct(cleo, 'dora')]],
  [dora, [...often(group), direct(cleo, 'dora')]],
]);
while (rust !== undefined && !rust.lines.includes('* chat with chaos')) {
  // The invitation may still be on its way.
  rust.type('/chat chaos');
  await sleep(300);
}

// What a device does not know yet it may take for seen on another one.
await Promise.all([anna.say([direct(anna, 'bela')]), cleo.say([direct(cleo, 'dora')])]);
for (const person of people) {
  const known = () => (rooms.get(person) ?? []).every((id) => person.client.conversation(id));
  while (!known()) {
    await sleep(50);
  }
}

/** So long that more is said than one sync brings. */
const AWAY_MS = 50_000;
const rustSent: string[] = [];
const pending = new Set<Promise<unknown>>();

/** Goes on beside the rest; its end is awaited before the check. */
function beside(work: Promise<unknown>): void {
  pending.add(work);
  work.finally(() => pending.delete(work));
}

/** Makes the server die and come back. */
async function killServer(): Promise<void> {
  await server.kill();
  await sleep(random.below(700));
  await server.boot();
  rust?.type('/resume');
}

async function slow(proxy: FlakyLink, ms: number): Promise<void> {
  proxy.delayMs = 20 + random.below(300);
  await sleep(ms);
  proxy.heal();
}

async function deaf(proxy: FlakyLink, ms: number): Promise<void> {
  proxy.deaf = true;
  await sleep(ms);
  proxy.heal();
}

/** The Rust client loses its connection; after most of a minute more was said than one sync brings. */
async function rustAway(ms: number): Promise<void> {
  rustProxy.closed = true;
  rustProxy.drop();
  await sleep(ms);
  rustProxy.heal();
  rust?.type('/resume');
}

let serverDown: Promise<void> | undefined;
const busy = new Set<Person>();

function hurt(person: Person, what: string, work: () => Promise<void>): void {
  if (busy.has(person)) {
    return;
  }
  busy.add(person);
  counts[what] = (counts[what] ?? 0) + 1;
  beside(work().finally(() => busy.delete(person)));
}

function trouble(): void {
  const person = random.pick(people);
  const ms = 200 + random.below(3_000);
  switch (random.below(8)) {
    case 0:
    case 1:
      return hurt(person, 'drops', async () => person.proxy.drop());
    case 2:
      return hurt(person, 'slow links', () => slow(person.proxy, ms));
    case 3:
      return hurt(person, 'deaf links', () => deaf(person.proxy, ms));
    case 4:
      if (random.chance(3)) {
        return hurt(person, 'long backgrounds', () => person.background(AWAY_MS));
      }
      return hurt(person, 'backgrounds', () => person.background(ms));
    case 5:
      return hurt(person, 'app kills', () => person.kill());
    case 6:
      counts['drops of the Rust client'] = (counts['drops of the Rust client'] ?? 0) + 1;
      return beside(rustAway(random.chance(3) ? AWAY_MS : ms));
    default:
      if (serverDown === undefined) {
        counts['server kills'] = (counts['server kills'] ?? 0) + 1;
        serverDown = killServer().finally(() => {
          serverDown = undefined;
        });
        beside(serverDown);
      }
  }
}

function act(): void {
  const person = random.pick(people);
  const own = rooms.get(person) ?? [];
  const what = random.below(20);
  if (what < 12) {
    beside(person.say(own));
  } else if (what < 15) {
    person.read(own);
  } else if (what < 16 && rust !== undefined) {
    rustSent.push(`rosa-${rustSent.length + 1} 🪿`);
    rust.type(rustSent[rustSent.length - 1] ?? '');
  } else if (random.chance(4)) {
    trouble();
  }
}

/** As a phone does whose network is back; by itself it waits up to 30 s, and again when that fails. */
const nudge = setInterval(() => rust?.type('/resume'), 5_000);

while (Date.now() < endMs) {
  act();
  await sleep(random.below(80));
}
console.log('the trouble is over');
await Promise.all(pending);
console.log('checking');
for (const { proxy } of people) {
  proxy.heal();
}
const problems = await verify({ server, people, rooms, group, rust, rustSent, counts });
console.log(JSON.stringify({ seed, ...counts, problems: problems.length }));
for (const problem of problems.slice(0, 20)) {
  console.error(problem);
}
clearInterval(nudge);
await rust?.stop();
await rustProxy.stop();
await Promise.all(people.map((person) => person.stop()));
await server.stop();
process.exitCode = problems.length === 0 ? 0 : 1;
