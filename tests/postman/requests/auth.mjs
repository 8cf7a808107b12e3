import { folder, problem, request } from './table.mjs';

/* global pm, json */
const me = { checks: { 'is this token': () => pm.expect(json.grant).to.eql('admin') }, off: 404 };

export const auth = folder('Auth', 'Signing in. Where nobody has to (`AUTH_ENABLED=false`), all of it but the status answers 404, and the requests without a token are skipped. Run with a token of the grant `admin`.', [
  request('Without a token', 'GET /users/', {
    signIn: true,
    token: null,
    status: 401,
    checks: { 'says what it asks for': () => pm.expect(pm.response.headers.get('WWW-Authenticate')).to.match(/^Bearer /) },
  }),
  request('With a wrong token', 'GET /users/', { signIn: true, token: 'emcrm_wrong', status: 401 }),
  request('Who am I?', 'GET /auth/me', me),
  request('Who am I, by an older name', 'GET /auth/user', me),
  request('Who am I, by another older name', 'GET /auth/userinfo', me),
  request('To the page that signs in', 'GET /auth/login?return=/app', { token: null, status: 303, off: 404, checks: { 'of the issuer': () => pm.expect(pm.response.headers.get('Location')).to.match(/^https?:/) } }),
  request('Back from it, without having been there', 'GET /auth/callback?code=x&state=y', { token: null, status: [400, 403], off: 404 }),
  request('The session of this browser', 'GET /auth/session', { off: 404, checks: { 'a token has none': () => pm.expect(json.authenticated).to.eql(false) } }),
  request('Renew the session', 'POST /auth/refresh', { status: 400, off: 404, checks: problem('no_session') }),
  request("The issuer's token of the session", 'GET /auth/token', { status: 400, off: 404, checks: problem('no_session') }),
  request('To the page that signs out', 'GET /auth/logout', { token: null, status: 303, off: 404 }),
  request('Sign out', 'POST /auth/logout', { token: null, off: 404, about: 'Without a session nothing happens.' }),
]);

export const tokens = folder('Tokens', 'Tokens of programs, and the audit trail.', [
  request('Make a token', 'POST /tokens', {
    about: '`grant` is `viewer`, `editor`, `sender`, `admin` or `checkin:{event id}`. The token itself is only in this answer.',
    body: { name: 'Postman {{run}}', grant: 'viewer', days: 1 },
    save: { viewer: 'id', viewerToken: 'token' },
    checks: { 'looks like one': () => pm.expect(json.token).to.match(/^emcrm_[0-9a-f]{32}_[A-Za-z0-9]{40}$/) },
  }),
  request('A token that may do everything twice', 'POST /tokens', { body: { name: 'x', grant: 'emperor' }, status: 422, checks: problem('validation_error') }),
  request('All tokens', 'GET /tokens', {
    checks: {
      'ours among them, without itself': () => {
        const ours = json.items.find((token) => token.id === pm.collectionVariables.get('viewer'));
        pm.expect(ours.grant).to.eql('viewer');
        pm.expect(ours).to.not.have.property('token');
      },
    },
  }),
  request('It may see', 'GET /users/{{anna}}', {
    signIn: true,
    token: '{{viewerToken}}',
    checks: { 'and is told its limit': () => pm.expect(Number(pm.response.headers.get('RateLimit-Limit'))).to.be.above(0) },
  }),
  request('It may not change', 'PATCH /users/{{anna}}', { signIn: true, token: '{{viewerToken}}', body: { city: 'Hull' }, status: 403 }),
  request('It may not see the audit trail', 'GET /audit', { signIn: true, token: '{{viewerToken}}', status: 403 }),
  request('Revoke it', 'DELETE /tokens/{{viewer}}'),
  request('It may nothing more', 'GET /users/{{anna}}', { signIn: true, token: '{{viewerToken}}', status: 401 }),
  request('Revoke what is not there', 'DELETE /tokens/nothing', { status: 404, checks: problem('token_not_found') }),
  request('Who did what', 'GET /audit?object=user%23{{anna}}&size=5', {
    about: 'Newest first; entries are put into the trail within seconds.',
    until: () => json.total > 0,
    checks: { 'to this person': () => pm.expect(json.items.every((entry) => [entry.object, entry.also].includes('user#' + pm.collectionVariables.get('anna')))).to.eql(true) },
  }),
]);
