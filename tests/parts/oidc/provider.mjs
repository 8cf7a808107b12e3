// An OpenID provider for tests: people and groups that tests know, redirects back to any port of this machine, and a few endpoints under /test
// by which a test changes what a real provider changes over time (keys, lifetimes, people).
//
//   node provider.mjs PORT [FOLDER OF node_modules]
//
// OIDC_ISSUER and OIDC_HOST: how it is called, and where it listens, when it is asked from other containers.
//
//   POST /test/rotate               a new signing key; the old one is gone from the key set
//   POST /test/ttl                  {"AccessToken": 5, "IdToken": 5, "RefreshToken": 60, "Session": 60}, in seconds; what is not named stays
//   POST /test/people               {"name": "ann", "groups": ["viewers"], "email": …, "email_verified": …, "password": …, "gone": true}
//   POST /test/clients              metadata of one more client, as in RFC 7591
//   POST /test/down                 {"down": true}: everything but /test answers 503, until {"down": false}
//   POST /test/reset                people, lifetimes and availability as at the start
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import http from 'node:http';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const port = Number(process.argv[2] ?? process.env.PORT ?? 8230);
const folder = process.argv[3] ?? import.meta.dirname ?? '.';
const library = createRequire(`${folder}/`).resolve('oidc-provider');
const { Provider } = await import(pathToFileURL(library));

const issuer = process.env.OIDC_ISSUER ?? `http://127.0.0.1:${port}`;

// ------------------------------------------------------------------------------------------------------------- what tests change

const firstPeople = () =>
  new Map(
    Object.entries({ ann: ['admins'], sam: ['senders'], eve: ['editors'], bob: ['viewers'], zoe: [] }).map(([name, groups]) => [
      name,
      { name, groups, email: `${name}@example.org`, email_verified: true, password: `pw-${name}` },
    ]),
  );

const firstLifetimes = () => ({
  AccessToken: Number(process.env.OIDC_ACCESS_TOKEN_SECONDS ?? 3600),
  IdToken: Number(process.env.OIDC_ID_TOKEN_SECONDS ?? 3600),
  RefreshToken: 14 * 86400,
  Session: 86400,
});

let people = firstPeople();
let lifetimes = firstLifetimes();
let down = false;
const clients = [
  {
    client_id: 'crm',
    client_secret: 'crm-secret',
    client_name: 'EMCRM',
    redirect_uris: [`${issuer}/any`],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'client_secret_basic',
  },
];

// ------------------------------------------------------------------------------------------------------------------ the provider

function newKey() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), kid: randomBytes(6).toString('hex'), alg: 'RS256', use: 'sig' };
}

const onThisMachine = (path) => (uri) => {
  if (!URL.canParse(uri)) return false;
  const url = new URL(uri);
  return url.protocol === 'http:' && ['127.0.0.1', 'localhost', '[::1]'].includes(url.hostname) && path(url.pathname);
};

const kept = new Map();

// What was issued, kept in memory here and not by the library, so that a new instance of the provider goes on where the old one stood.
class Kept {
  constructor(kind) {
    this.kind = kind;
  }
  key = (id) => `${this.kind} ${id}`;
  upsert = async (id, payload, seconds) => void kept.set(this.key(id), { payload, until: seconds ? Date.now() + seconds * 1000 : Infinity });
  find = async (id) => {
    const entry = kept.get(this.key(id));
    return entry && entry.until > Date.now() ? structuredClone(entry.payload) : undefined;
  };
  findByUid = async (uid) => this.first((payload) => payload.uid === uid);
  findByUserCode = async (code) => this.first((payload) => payload.userCode === code);
  first = (wanted) => [...kept].find(([key, { payload }]) => key.startsWith(`${this.kind} `) && wanted(payload))?.[1].payload;
  consume = async (id) => {
    kept.get(this.key(id)).payload.consumed = Math.floor(Date.now() / 1000);
  };
  destroy = async (id) => void kept.delete(this.key(id));
  revokeByGrantId = async (grant) => {
    for (const [key, { payload }] of kept) if (payload.grantId === grant) kept.delete(key);
  };
}

function newProvider(key) {
  const provider = new Provider(issuer, {
    adapter: Kept,
    clients,
    jwks: { keys: [key] },
    cookies: {
      keys: ['a key of the tests'],
      names: { session: 'op_session', interaction: 'op_interaction', resume: 'op_resume' },
    },
    scopes: ['openid', 'offline_access', 'profile', 'email', 'groups'],
    claims: {
      openid: ['sub', 'groups', 'cognito:groups', 'cognito:username'],
      profile: ['name', 'preferred_username'],
      email: ['email', 'email_verified'],
    },
    // What a scope brings is in the ID token too, as other providers do it.
    conformIdTokenClaims: false,
    pkce: { required: () => true },
    features: {
      devInteractions: { enabled: false },
      revocation: { enabled: true },
      introspection: { enabled: true },
      rpInitiatedLogout: {
        enabled: true,
        logoutSource: (ctx, form) => {
          ctx.body = document('Sign out', `${form}<button autofocus type="submit" form="op.logoutForm" name="logout" value="yes">Sign out</button>`);
        },
        postLogoutSuccessSource: (ctx) => {
          ctx.body = document('Signed out', '<p>You are signed out.</p>');
        },
      },
    },
    interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
    // Nobody is asked whether the product may know who they are.
    loadExistingGrant: async (ctx) => {
      const { client, session, provider: op } = ctx.oidc;
      const given = session.grantIdFor(client.clientId);
      const before = given && (await op.Grant.find(given));
      if (before) return before;
      const grant = new op.Grant({ clientId: client.clientId, accountId: session.accountId });
      grant.addOIDCScope('openid profile email groups offline_access');
      await grant.save();
      return grant;
    },
    issueRefreshToken: async (ctx, client) => client.grantTypeAllowed('refresh_token'),
    rotateRefreshToken: true,
    ttl: { Grant: 14 * 86400, Interaction: 3600, ...Object.fromEntries(Object.keys(lifetimes).map((token) => [token, () => lifetimes[token]])) },
    findAccount: async (ctx, id) => {
      const person = people.get(id);
      if (!person) return undefined;
      const { name, groups, email, email_verified } = person;
      return {
        accountId: id,
        claims: async () => ({
          sub: id,
          name: name[0].toUpperCase() + name.slice(1),
          preferred_username: name,
          email,
          email_verified,
          // Cognito leaves the claim out for somebody in no group.
          ...(groups.length ? { groups, 'cognito:groups': groups } : {}),
          'cognito:username': name,
        }),
      };
    },
    renderError: async (ctx, out) => {
      ctx.type = 'html';
      ctx.body = document('Error', `<pre>${Object.entries(out).map(([k, v]) => escape(`${k}: ${v}`)).join('\n')}</pre>`);
    },
  });
  // A test's server has a port that nobody knows before.
  provider.Client.prototype.redirectUriAllowed = onThisMachine((path) => path.endsWith('/callback'));
  provider.Client.prototype.postLogoutRedirectUriAllowed = onThisMachine(() => true);
  return provider;
}

let key = newKey();
let provider = newProvider(key);
let answer = provider.callback();

function replaceProvider() {
  provider = newProvider(key);
  answer = provider.callback();
}

// ------------------------------------------------------------------------------------------------------------------------- pages

const escape = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
const document = (title, body) => `<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>${title}</title></head><body><main><h1>${title}</h1>${body}</main></body></html>`;
const signIn = (fault) =>
  document(
    'Sign in',
    `${fault ? `<p role="alert">${fault}</p>` : ''}<form method="post" autocomplete="off">
      <p><label>Name <input name="login" autofocus></label></p>
      <p><label>Password <input name="password" type="password"></label></p>
      <p><button type="submit">Sign in</button></p></form>`,
  );

async function body(request) {
  let text = '';
  for await (const chunk of request) text += chunk;
  return text;
}

async function interaction(request, response) {
  await provider.interactionDetails(request, response);
  if (request.method !== 'POST') {
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(signIn());
    return;
  }
  const form = new URLSearchParams(await body(request));
  const person = people.get(form.get('login'));
  if (person?.password !== form.get('password')) {
    response.writeHead(401, { 'content-type': 'text/html; charset=utf-8' }).end(signIn('This name and this password do not belong together.'));
    return;
  }
  await provider.interactionFinished(request, response, { login: { accountId: form.get('login') } }, { mergeWithLastSubmission: false });
}

// --------------------------------------------------------------------------------------------------------------------- for tests

const controls = {
  rotate: () => {
    key = newKey();
    replaceProvider();
  },
  ttl: (wanted) => Object.assign(lifetimes, wanted),
  people: ({ gone, ...person }) => {
    if (gone) people.delete(person.name);
    else people.set(person.name, { groups: [], email: `${person.name}@example.org`, email_verified: true, password: `pw-${person.name}`, ...people.get(person.name), ...person });
  },
  clients: (client) => {
    const at = clients.findIndex(({ client_id }) => client_id === client.client_id);
    clients.splice(at < 0 ? clients.length : at, 1, { redirect_uris: [`${issuer}/any`], ...client });
    replaceProvider();
  },
  down: (wanted) => {
    down = wanted.down ?? true;
  },
  reset: () => {
    people = firstPeople();
    lifetimes = firstLifetimes();
    down = false;
  },
};

async function control(request, response) {
  const act = controls[request.url.slice('/test/'.length)];
  if (request.method !== 'POST' || !act) {
    response.writeHead(404).end();
    return;
  }
  act(JSON.parse((await body(request)) || '{}'));
  response.writeHead(204).end();
}

http
  .createServer(async (request, response) => {
    try {
      if (request.url.startsWith('/test/')) await control(request, response);
      else if (down) response.writeHead(503).end('down for a test');
      else if (/^\/interaction\/[\w-]+$/.test(request.url)) await interaction(request, response);
      else await answer(request, response);
    } catch (error) {
      console.error(request.method, request.url, error);
      if (!response.headersSent) response.writeHead(400, { 'content-type': 'text/plain' });
      response.end(String(error.message ?? error));
    }
  })
  .listen(port, process.env.OIDC_HOST ?? '127.0.0.1', () => console.log(`ready: ${issuer}`));
