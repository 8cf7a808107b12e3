// Makes docs/postman/ from the tables in requests/. `--check` changes nothing and fails when what is there is stale.
//
// A request of the tables:
//   request('Take a seat', 'POST /attend/', {
//     about:   what a person who reads the collection should know
//     headers, body (JSON, or a text)
//     status:  200 (default), another one, or a list of them; off: the status where nobody has to sign in
//     token:   a variable with another token than the collection's; null: none
//     signIn:  true: only where people sign in
//     before:  a function that runs before the request
//     save:    { variable: 'path.in.the.answer' }
//     until:   a function; the request is repeated until it is true, for what becomes true a moment later
//     checks:  { 'what is proven': function }; with `json` (the answer) and `pm`; only with the first of several statuses
//   })
import { readFile, mkdir, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { folders } from './requests/index.mjs';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const REPEATS = 150;
const PAUSE = 200;

// A function as it is written in the tables, moved to the left edge.
const source = (f) => {
  const lines = f.toString().split('\n');
  const indent = Math.min(...lines.slice(1).map((line) => line.search(/\S/)).filter((at) => at >= 0));
  return [lines[0], ...lines.slice(1).map((line) => line.slice(indent))].join('\n');
};
const quoted = (text) => `'${text.replaceAll("'", "\\'")}'`;
const script = (listen, text) => ({ listen, script: { type: 'text/javascript', exec: text.trimEnd().split('\n') } });

function beforeScript({ signIn, before }) {
  const lines = [];
  if (signIn) lines.push("// Only where people sign in.", "if (pm.collectionVariables.get('signIn') !== 'on') pm.execution.skipRequest();");
  if (before) lines.push(`(${source(before)})();`);
  return lines.join('\n');
}

function testScript({ status = 200, off, save = {}, until, checks = {} }) {
  const lines = ["const json = /json/.test(pm.response.headers.get('Content-Type')) ? pm.response.json() : undefined;"];
  const statuses = [status].flat();
  lines.push(off ? `const wanted = pm.collectionVariables.get('signIn') === 'on' ? [${statuses}] : [${off}];` : `const wanted = [${statuses}];`);
  const then = [`pm.test('answers ' + wanted.join(' or '), () => pm.expect(pm.response.code).to.be.oneOf(wanted));`];
  const ok = [];
  for (const [name, path] of Object.entries(save)) ok.push(`pm.collectionVariables.set('${name}', json.${path});`);
  for (const [name, check] of Object.entries(checks)) ok.push(`pm.test(${quoted(name)}, ${source(check)});`);
  if (ok.length) then.push(`if (pm.response.code === ${statuses[0]}) {`, ...ok.flatMap((text) => text.split('\n')).map((line) => `  ${line}`), '}');
  if (!until) return [...lines, ...then].join('\n');
  return [
    ...lines,
    '// Becomes true a moment later: the request is repeated until then.',
    "const repeats = Number(pm.collectionVariables.get('repeats') || 0);",
    `const there = wanted.includes(pm.response.code) && (${source(until)})();`,
    `if (!there && repeats < ${REPEATS}) {`,
    "  pm.collectionVariables.set('repeats', repeats + 1);",
    '  pm.execution.setNextRequest(pm.info.requestName);',
    `  setTimeout(() => {}, ${PAUSE});`,
    '} else {',
    "  pm.collectionVariables.set('repeats', 0);",
    "  pm.test('is so in the end', () => pm.expect(there).to.eql(true));",
    ...then.map((line) => `  ${line}`),
    '}',
  ].join('\n');
}

function url(path) {
  const [plain, query] = path.split('?');
  return {
    raw: `{{baseUrl}}${path}`,
    host: ['{{baseUrl}}'],
    path: plain.slice(1).split('/'),
    ...(query && { query: query.split('&').map((pair) => ({ key: pair.slice(0, pair.indexOf('=')), value: pair.slice(pair.indexOf('=') + 1) })) }),
  };
}

function item({ name, send, about, headers = {}, body, token, ...rest }) {
  const [method, path] = send.split(' ');
  const isText = typeof body === 'string';
  const all = { ...(body !== undefined && { 'Content-Type': isText ? 'text/plain' : 'application/json' }), ...headers };
  const auth = token === null ? { type: 'noauth' } : token && { type: 'bearer', bearer: [{ key: 'token', value: token, type: 'string' }] };
  const before = beforeScript(rest);
  return {
    name,
    event: [...(before ? [script('prerequest', before)] : []), script('test', testScript(rest))],
    protocolProfileBehavior: { followRedirects: false },
    request: {
      ...(auth && { auth }),
      method,
      header: Object.entries(all).map(([key, value]) => ({ key, value })),
      ...(body !== undefined && { body: { mode: 'raw', raw: isText ? body : JSON.stringify(body, null, 2), options: { raw: { language: isText ? 'text' : 'json' } } } }),
      url: url(path),
      description: about ?? '',
    },
  };
}

async function collection() {
  const each = (name) => readFile(here(`scripts/${name}`), 'utf8');
  return {
    info: {
      name: 'EMCRM',
      schema: 'https://schema.getpostman.com/json/collection/v2.1.0/collection.json',
      description: await each('about.md'),
    },
    auth: { type: 'bearer', bearer: [{ key: 'token', value: '{{token}}', type: 'string' }] },
    event: [script('test', await each('each-answer.js'))],
    variable: [
      { key: 'baseUrl', value: 'http://127.0.0.1:8080', type: 'string' },
      { key: 'token', value: '', type: 'string' },
    ],
    item: folders.map(({ name, about, requests }) => ({ name, description: about, item: requests.map(item) })),
  };
}

const environment = {
  id: 'emcrm-local',
  name: 'EMCRM on this machine',
  values: [
    { key: 'baseUrl', value: 'http://127.0.0.1:8080', type: 'default', enabled: true },
    { key: 'token', value: '', type: 'secret', enabled: true },
  ],
  _postman_variable_scope: 'environment',
};

const pages = {
  'emcrm.postman_collection.json': await collection(),
  'emcrm.postman_environment.json': environment,
};
const folder = here('../../docs/postman/');
const check = process.argv.includes('--check');
await mkdir(folder, { recursive: true });
for (const [name, value] of Object.entries(pages)) {
  const text = `${JSON.stringify(value, null, 2)}\n`;
  if (!check) await writeFile(folder + name, text);
  else if ((await readFile(folder + name, 'utf8').catch(() => '')) !== text) {
    console.error(`docs/postman/${name} is stale; make it anew: node tests/postman/make.mjs`);
    process.exitCode = 1;
  }
}
