// Runs the collection with newman against servers of its own: once where nobody signs in, once with an API token. EMCRM_TEST_PAIR chooses the
// engines, as for all tests. Afterwards every operation must have been answered well at least once.
import { createRequire } from 'node:module';
import { onAws, startServer } from '../browser/helpers/server.mjs';
import { operationOf, operations } from './operations.mjs';

const newman = createRequire(`${process.env.EMCRM_POSTMAN_PACKAGES}/`)('newman');
const collection = new URL('../../docs/postman/emcrm.postman_collection.json', import.meta.url).pathname;

// What only a browser's session or Amazon can have answered well.
const NEVER_WELL = ['GET /auth/callback', 'GET /auth/token', 'POST /auth/refresh', 'POST /mail/events/sns'];

const settings = { MAIL_TRANSPORT: 'outbox', MAIL_SMTP_URL: '' };
const signIn = { AUTH_ENABLED: 'true', AUTH_ISSUER: process.env.EMCRM_OIDC, AUTH_CLIENT_ID: 'crm', AUTH_CLIENT_SECRET: 'crm-secret' };
const WAYS = [
  { name: 'without sign-in', settings },
  { name: 'with an API token', settings: { ...settings, ...signIn }, prepare: [['token', 'create', 'newman', '--grant', 'admin', '--json']] },
];

const known = await operations();
const well = new Set();

function run(address, token) {
  const envVar = [{ key: 'baseUrl', value: address }, { key: 'token', value: token }];
  return new Promise((resolve, reject) => {
    const running = newman.run({ collection, envVar, reporters: [], timeoutRequest: 30_000 }, (error, summary) => (error ? reject(error) : resolve(summary)));
    running.on('request', (error, { request, response }) => {
      const name = operationOf(known, request.method, request.url.getPath());
      if (response?.code < 400) well.add(name);
    });
  });
}

for (const { name, prepare = [], settings: own } of WAYS) {
  const server = await startServer({ settings: own, prepare });
  try {
    const token = prepare.length ? JSON.parse(server.prepared[0]).token : '';
    const { run: { stats, failures, timings } } = await run(server.address, token);
    const seconds = ((timings.completed - timings.started) / 1000).toFixed(1);
    console.log(`${onAws ? 'DynamoDB and OpenSearch' : 'embedded'}, ${name}: ${stats.requests.total} requests, ${stats.assertions.total} assertions, ${failures.length} failed, ${seconds} s`);
    for (const { error, source, parent } of failures) console.log(`  ${parent?.name ?? ''} / ${source?.name ?? ''}: ${error.test ?? error.name}: ${error.message}`);
    if (failures.length) {
      console.log(server.log().split('\n').filter((line) => / (WARN|ERROR) |status=5/.test(line)).join('\n'));
      process.exitCode = 1;
    }
  } finally {
    await server.stop();
  }
}

const missed = known.filter((name) => !well.has(name) && !NEVER_WELL.includes(name));
if (missed.length) {
  console.log(`Never answered with 2xx or 3xx: ${missed.join(', ')}`);
  process.exitCode = 1;
}
