// The provider of the tests does what the tests of signing in rely on: a whole login, refresh with rotation, a new key, signing out.
// EMCRM_OIDC says where it runs.
import assert from 'node:assert/strict';
import { createHash, createPublicKey, randomBytes, verify } from 'node:crypto';
import { after, test } from 'node:test';

const issuer = process.env.EMCRM_OIDC;
const callback = 'http://127.0.0.1:54321/auth/callback';
const basic = `Basic ${Buffer.from('crm:crm-secret').toString('base64')}`;
const json = async (path) => (await fetch(issuer + path)).json();

const control = async (name, value = {}) => {
  const answer = await fetch(`${issuer}/test/${name}`, { method: 'POST', body: JSON.stringify(value) });
  assert.equal(answer.status, 204);
};
after(() => control('reset'));

// A browser without a screen: keeps cookies, follows redirects until one leaves the provider.
class Visitor {
  cookies = new Map();
  async go(url, options = {}) {
    for (let hop = 0; hop < 10; hop++) {
      const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
      const answer = await fetch(url, { redirect: 'manual', ...options, headers: { ...options.headers, cookie } });
      for (const line of answer.headers.getSetCookie()) {
        const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
        if (value) this.cookies.set(name, value);
        else this.cookies.delete(name);
      }
      const next = answer.headers.get('location');
      if (!next) return { url, answer, text: await answer.text() };
      url = new URL(next, url).href;
      options = {};
      if (!url.startsWith(issuer)) return { url, left: new URL(url) };
    }
    throw new Error(`too many redirects at ${url}`);
  }
  post = (url, fields) => this.go(url, { method: 'POST', body: new URLSearchParams(fields) });
}

async function signIn(visitor, name, password = `pw-${name}`) {
  const verifier = randomBytes(32).toString('base64url');
  const nonce = randomBytes(8).toString('hex');
  const query = new URLSearchParams({
    client_id: 'crm', redirect_uri: callback, response_type: 'code', scope: 'openid profile email groups', state: 'a state', nonce,
    code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256',
  });
  const asked = await visitor.go(`${issuer}/auth?${query}`);
  const came = asked.left ? asked : await visitor.post(asked.url, { login: name, password });
  return { ...came, verifier, nonce };
}

const token = async (fields) => {
  const answer = await fetch(`${issuer}/token`, { method: 'POST', headers: { authorization: basic }, body: new URLSearchParams(fields) });
  return { status: answer.status, ...(await answer.json()) };
};
const redeem = ({ left, verifier }) => token({ grant_type: 'authorization_code', code: left.searchParams.get('code'), redirect_uri: callback, code_verifier: verifier });

async function claimsOf(idToken) {
  const [head, claims, signature] = idToken.split('.');
  const { kid } = JSON.parse(Buffer.from(head, 'base64url'));
  const { keys } = await json('/jwks');
  const jwk = keys.find((key) => key.kid === kid);
  assert.ok(jwk, 'the key of the token is in the key set');
  const signed = verify('sha256', Buffer.from(`${head}.${claims}`), createPublicKey({ key: jwk, format: 'jwk' }), Buffer.from(signature, 'base64url'));
  assert.ok(signed, 'the signature is good');
  return JSON.parse(Buffer.from(claims, 'base64url'));
}

test('a person signs in, and the ID token says who and in which groups', async () => {
  const came = await signIn(new Visitor(), 'ann');
  assert.equal(came.left.origin + came.left.pathname, callback);
  assert.equal(came.left.searchParams.get('state'), 'a state');
  const tokens = await redeem(came);
  const claims = await claimsOf(tokens.id_token);
  const { iat, exp, at_hash, auth_time, sid, ...said } = claims;
  assert.equal(exp - iat, 3600);
  assert.deepEqual(said, {
    iss: issuer, aud: 'crm', sub: 'ann', nonce: came.nonce, name: 'Ann', preferred_username: 'ann', email: 'ann@example.org', email_verified: true,
    groups: ['admins'], 'cognito:groups': ['admins'], 'cognito:username': 'ann',
  });
  const me = await (await fetch(`${issuer}/me`, { headers: { authorization: `Bearer ${tokens.access_token}` } })).json();
  assert.equal(me.email, 'ann@example.org');
});

test('somebody in no group has no claim of groups', async () => {
  const claims = await claimsOf((await redeem(await signIn(new Visitor(), 'zoe'))).id_token);
  assert.ok(!('groups' in claims) && !('cognito:groups' in claims));
});

test('a wrong password, a wrong verifier and a used code are refused', async () => {
  assert.equal((await signIn(new Visitor(), 'bob', 'wrong')).answer.status, 401);
  const came = await signIn(new Visitor(), 'bob');
  assert.equal((await redeem({ ...came, verifier: 'x'.repeat(43) })).error, 'invalid_grant');
  const second = await signIn(new Visitor(), 'bob');
  assert.equal((await redeem(second)).status, 200);
  assert.equal((await redeem(second)).error, 'invalid_grant');
});

test('a refresh token is good once and brings what is true now', async () => {
  const first = await redeem(await signIn(new Visitor(), 'eve'));
  await control('people', { name: 'eve', groups: ['viewers'] });
  const second = await token({ grant_type: 'refresh_token', refresh_token: first.refresh_token });
  assert.deepEqual((await claimsOf(second.id_token)).groups, ['viewers']);
  assert.notEqual(second.refresh_token, first.refresh_token);
  assert.equal((await token({ grant_type: 'refresh_token', refresh_token: first.refresh_token })).error, 'invalid_grant');
});

test('lifetimes can be chosen', async () => {
  await control('ttl', { AccessToken: 7, IdToken: 8 });
  const tokens = await redeem(await signIn(new Visitor(), 'sam'));
  const claims = await claimsOf(tokens.id_token);
  assert.equal(tokens.expires_in, 7);
  assert.equal(claims.exp - claims.iat, 8);
});

test('after a new key the old one is gone, and logins go on', async () => {
  const visitor = new Visitor();
  const before = await redeem(await signIn(visitor, 'bob'));
  const old = (await json('/jwks')).keys[0].kid;
  await control('rotate');
  assert.ok((await json('/jwks')).keys.every(({ kid }) => kid !== old));
  const again = await signIn(visitor, 'bob', 'not asked for');
  assert.ok(again.left, 'the session at the provider lives on');
  await claimsOf((await redeem(again)).id_token);
  assert.equal((await token({ grant_type: 'refresh_token', refresh_token: before.refresh_token })).status, 200);
});

test('signing out at the provider leads back and ends its session', async () => {
  const visitor = new Visitor();
  const { id_token } = await redeem(await signIn(visitor, 'ann'));
  const asked = await visitor.go(`${issuer}/session/end?${new URLSearchParams({ id_token_hint: id_token, post_logout_redirect_uri: 'http://127.0.0.1:54321/bye', state: 's' })}`);
  const xsrf = /name="xsrf" value="([^"]+)"/.exec(asked.text)[1];
  const done = await visitor.post(/action="([^"]+)"/.exec(asked.text)[1], { xsrf, logout: 'yes' });
  assert.equal(done.url, 'http://127.0.0.1:54321/bye?state=s');
  assert.ok(!(await signIn(visitor, 'ann', 'wrong')).left);
});

test('redirects to other machines are refused, and an unavailable provider is unavailable', async () => {
  const elsewhere = new URLSearchParams({ client_id: 'crm', redirect_uri: 'http://example.org/auth/callback', response_type: 'code', scope: 'openid', code_challenge: 'x'.repeat(43), code_challenge_method: 'S256' });
  assert.equal((await new Visitor().go(`${issuer}/auth?${elsewhere}`)).answer.status, 400);
  await control('down');
  assert.equal((await fetch(`${issuer}/jwks`)).status, 503);
  await control('down', { down: false });
  assert.equal((await fetch(`${issuer}/jwks`)).status, 200);
});

test('another client can be added', async () => {
  await control('clients', { client_id: 'other', client_secret: 'other-secret', grant_types: ['authorization_code'], response_types: ['code'], token_endpoint_auth_method: 'client_secret_post' });
  const query = new URLSearchParams({ client_id: 'other', redirect_uri: callback, response_type: 'code', scope: 'openid', code_challenge: 'x'.repeat(43), code_challenge_method: 'S256' });
  assert.equal((await new Visitor().go(`${issuer}/auth?${query}`)).answer.status, 200);
});
