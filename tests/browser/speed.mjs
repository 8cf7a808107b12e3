// How long the server takes for each page among many people:  node speed.mjs [PEOPLE]
// EMCRM_SPEED_DATA is a data folder that `emcrm generate` filled before; without it one is filled here, which takes some minutes for a million people.
// Ends with 1 when a page is slower than it may be, and fails where one is not what it should be.
import assert from 'node:assert/strict';
import { cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from './helpers/api.mjs';
import { startServer } from './helpers/server.mjs';
import { linkIn } from './helpers/smtp.mjs';
import { PAGES } from './pages.mjs';
import { seed, seedForms, seedImport } from './seed.mjs';

const ROUNDS = Number(process.env.EMCRM_SPEED_ROUNDS ?? 40);
const WARM = 5;
// The slowest twentieth of the requests may begin here, in milliseconds: all others take less.
const BUDGET = 50;

const people = Number(process.argv[2] ?? 1_000_000);
// A copy is worked on, so that the folder can be used again.
const filled = process.env.EMCRM_SPEED_DATA;
const data = filled && (await mkdtemp(join(tmpdir(), 'emcrm-speed-')));
if (filled) await cp(filled, data, { recursive: true });
const generate = ['generate', '--now', '--users', String(people), '--events', '500', '--attendance', String(people / 2), '--seed', '7'];
const server = await startServer({ aws: false, settings: { MAIL_TRANSPORT: 'outbox', APP_LIMIT_PUBLIC: '0', ...(data ? { APP_DATA_DIR: data } : {}) }, prepare: data ? [] : [generate] });

// Mails are files, named after whom they are to.
const outbox = join(data || join(server.folder, 'data'), 'outbox');
const linkTo = (address, kind) =>
  until(`a mail to ${address}`, async () => {
    const names = (await readdir(outbox)).filter((name) => name.includes(`-${address}-`));
    const texts = await Promise.all(names.map((name) => readFile(join(outbox, name), 'utf8')));
    return texts.map((text) => linkIn(text, kind)).find(Boolean);
  });

async function measure(path, status) {
  const took = [];
  let bytes;
  for (let round = -WARM; round < ROUNDS; round++) {
    const began = performance.now();
    const answer = await fetch(server.address + path, { headers: { 'accept-encoding': 'gzip' } });
    await answer.arrayBuffer();
    assert.equal(answer.status, status, path);
    if (round >= 0) took.push(performance.now() - began);
    bytes = Number(answer.headers.get('content-length'));
  }
  took.sort((a, b) => a - b);
  const at = (share) => took[Math.min(took.length - 1, Math.floor(took.length * share))];
  return { p50: at(0.5), p95: at(0.95), bytes };
}

try {
  const seeded = await seed(server.api, { plain: true, audience: { company: ['Oakhurl Systems'], maxAttended: 100 } });
  seeded.import = await seedImport(server.address);
  await seedForms(server.address, { plain: true });
  seeded.unsubscribe = await linkTo(seeded.other.email, 'u');
  seeded.place = await linkTo('taker@example.org', 'r');
  const { total } = await server.api.get('/users/?size=1');
  console.log(`${total.toLocaleString('en-GB')} people, ${ROUNDS} requests for each page one after the other\n`);
  console.log('| page | p50 ms | p95 ms | bytes, compressed |\n|---|---|---|---|');
  const slow = [];
  const [file] = await readdir(outbox);
  const pages = [
    ...PAGES.filter(({ route, path }) => path && !route.startsWith('/app/outbox')),
    { path: () => '/app/outbox', name: 'outbox' },
    { path: () => `/app/outbox/${encodeURIComponent(file)}`, name: 'outbox-mail' },
  ];
  for (const { path, name, status = 200 } of pages) {
    const { p50, p95, bytes } = await measure(path(seeded), status);
    console.log(`| ${name} | ${p50.toFixed(1)} | ${p95.toFixed(1)} | ${bytes.toLocaleString('en-GB')} |`);
    if (p95 >= BUDGET) slow.push(name);
  }
  if (slow.length) {
    console.log(`\n${BUDGET} ms or more: ${slow.join(', ')}`);
    process.exitCode = 1;
  }
} finally {
  await server.stop();
  if (data) await rm(data, { recursive: true });
}
