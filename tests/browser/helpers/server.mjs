// The built binary on a fresh data folder, with a mail server that shows what it took.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { api } from './api.mjs';

const { EMCRM_BIN, EMCRM_MAILDEV, EMCRM_DYNAMODB, EMCRM_OPENSEARCH, EMCRM_TOXIPROXY } = process.env;
// As for the tests in Rust: `aws` is DynamoDB and OpenSearch, anything else what is built in.
export const onAws = process.env.EMCRM_TEST_PAIR === 'aws';

export async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address();
  probe.close();
  await once(probe, 'close');
  return port;
}

// A port that leads to the search cluster and can be shut, so that a test can take the index away.
async function door(upstream) {
  const name = `browser-${randomBytes(4).toString('hex')}`;
  const listen = `127.0.0.1:${await freePort()}`;
  const ask = (path, body) => fetch(EMCRM_TOXIPROXY + path, { method: 'POST', body: JSON.stringify(body) });
  const made = await ask('/proxies', { name, listen, upstream: new URL(upstream).host });
  if (!made.ok) throw new Error(await made.text());
  return {
    address: `http://${listen}`,
    open: (enabled) => ask(`/proxies/${name}`, { enabled }),
    remove: () => fetch(`${EMCRM_TOXIPROXY}/proxies/${name}`, { method: 'DELETE' }),
  };
}

async function engines(aws, own) {
  if (!aws) return { settings: {} };
  const search = await door(EMCRM_OPENSEARCH);
  return {
    search,
    settings: {
      DB_DYNAMODB_ENDPOINT: EMCRM_DYNAMODB,
      DB_MAIN_TABLE_NAME: `${own}_main`,
      DB_EMAIL_TABLE_NAME: `${own}_email`,
      OPENSEARCH_ENDPOINT: search.address,
      OPENSEARCH_INDEX: own,
      APP_SECRET_KEY: own.repeat(3),
    },
  };
}

async function run(args, options) {
  const child = spawn(EMCRM_BIN, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  let answer = '';
  let said = '';
  child.stdout.on('data', (chunk) => (answer += chunk));
  child.stderr.on('data', (chunk) => (said += chunk));
  const [status] = await once(child, 'close');
  if (status !== 0) throw new Error(`emcrm ${args.join(' ')} ended with ${status}: ${said}`);
  return answer;
}

// Starts a server. `prepare` is a list of commands that run on the data before; `prepared` is what they answered. Ends with `await server.stop()`.
export async function startServer({ aws = onAws, settings = {}, prepare = [] } = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'emcrm-browser-'));
  const own = `browser-${randomBytes(5).toString('hex')}`;
  const port = await freePort();
  const beneath = await engines(aws, own);
  const env = {
    APP_NAME: 'Wrenfield Commons',
    APP_DATA_DIR: join(folder, 'data'),
    APP_API_PORT: String(port),
    APP_PUBLIC_URL: `http://127.0.0.1:${port}`,
    MAIL_TRANSPORT: 'smtp',
    MAIL_SMTP_URL: `smtp://${EMCRM_MAILDEV}?connections=8`,
    MAIL_FROM: 'Wrenfield Commons <events@example.org>',
    ...beneath.settings,
    ...settings,
  };
  const options = { cwd: folder, env };
  if (aws) await run(['init-db'], options);
  const prepared = [];
  for (const command of prepare) prepared.push(await run(command, options));

  let child;
  let log;
  const start = async () => {
    log = [];
    child = spawn(EMCRM_BIN, ['serve'], { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [child.stdout, child.stderr]) createInterface(stream).on('line', (line) => log.push(line));
    for (let tries = 0; ; tries++) {
      if (child.exitCode !== null || tries > 300) throw new Error(`the server did not start:\n${log.join('\n')}`);
      // Somebody else may have taken the port, and be silent there.
      if ((await fetch(`http://127.0.0.1:${port}/health`, { signal: AbortSignal.timeout(5_000) }).catch(() => ({}))).status === 200) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  };
  const end = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGTERM');
    await once(child, 'exit');
  };
  await start();
  const address = `http://127.0.0.1:${port}`;
  return {
    address,
    folder,
    prepared,
    search: beneath.search,
    api: api(address),
    log: () => log.join('\n'),
    // A command on its data, while nobody holds them.
    run: (args) => run(args, options),
    // `meanwhile`: what happens to its data while nobody holds them.
    restart: async (meanwhile) => {
      await end();
      await meanwhile?.();
      await start();
    },
    stop: async () => {
      await end();
      await beneath.search?.remove();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
