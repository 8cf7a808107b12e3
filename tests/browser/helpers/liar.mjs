// An OpenID provider that says what a test wants. A real one cannot be made to lie; this one asks nobody who they are and gives whatever it is told to give.
import { constants, createHash, createHmac, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';

const base64 = (value) => Buffer.from(value).toString('base64url');
const newKeys = () => generateKeyPairSync('rsa', { modulusLength: 2048 });
const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };

// A token that is not written down yet. Each change leaves the rest as it was.
class Draft {
  constructor(header, claims, pen) {
    Object.assign(this, { header, claims, pen });
  }
  // Claims that are undefined are left out.
  claiming = (claims) => new Draft(this.header, { ...this.claims, ...claims }, this.pen);
  headed = (header) => new Draft({ ...this.header, ...header }, this.claims, this.pen);
  // What makes the signature out of the text.
  signedBy = (pen) => new Draft(this.header, this.claims, pen);
  write() {
    const text = `${base64(JSON.stringify(this.header))}.${base64(JSON.stringify(this.claims))}`;
    return `${text}.${base64(this.pen(text))}`;
  }
}

export const pens = {
  rsa: (hash, key) => (text) => sign(hash, Buffer.from(text), key),
  pss: (hash, key) => (text) => sign(hash, Buffer.from(text), { key, ...pss }),
  hmac: (secret) => (text) => createHmac('sha256', secret).update(text).digest(),
  nothing: () => '',
};

export const strangersKey = () => newKeys().privateKey;

// `tell(lie)` says how the next answers lie, until `tell()`: `token` takes the draft of an ID token and gives another one, or undefined for none at all;
// `iss` stands in the answer that the browser brings back.
export async function startLiar() {
  const { publicKey, privateKey } = newKeys();
  const jwk = { ...publicKey.export({ format: 'jwk' }), kid: 'k1', alg: 'RS256', use: 'sig' };
  const codes = new Map();
  let issuer;
  let lie = {};

  const idToken = ({ nonce, client }) => {
    const now = Math.floor(Date.now() / 1000);
    const claims = { iss: issuer, aud: client, sub: 'ann', nonce, iat: now, exp: now + 600, email: 'ann@example.org', groups: ['admins'] };
    const honest = new Draft({ alg: 'RS256', typ: 'JWT', kid: jwk.kid }, claims, pens.rsa('sha256', privateKey));
    return (lie.token ? lie.token(honest) : honest)?.write();
  };

  const pages = {
    '/.well-known/openid-configuration': () => ({
      issuer,
      authorization_endpoint: `${issuer}/authorize`,
      token_endpoint: `${issuer}/token`,
      jwks_uri: `${issuer}/keys`,
      response_types_supported: ['code'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['RS256'],
    }),
    '/keys': () => ({ keys: [jwk] }),
  };

  const authorize = (query) => {
    const code = randomBytes(16).toString('hex');
    codes.set(code, { nonce: query.get('nonce'), client: query.get('client_id'), challenge: query.get('code_challenge') });
    const back = new URL(query.get('redirect_uri'));
    back.search = new URLSearchParams({ code, state: query.get('state'), iss: lie.iss ?? issuer });
    return back.href;
  };

  // It lies in its tokens only: a code is good once, and for whoever began.
  const redeem = (form) => {
    const asked = codes.get(form.get('code'));
    codes.delete(form.get('code'));
    const proof = createHash('sha256').update(form.get('code_verifier') ?? '').digest('base64url');
    if (asked?.challenge !== proof) return { error: 'invalid_grant' };
    return { access_token: randomBytes(16).toString('hex'), token_type: 'Bearer', expires_in: 600, id_token: idToken(asked) };
  };

  const server = http.createServer(async (request, response) => {
    const url = new URL(request.url, issuer);
    const answer = (value, status = 200) => response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    if (url.pathname === '/authorize') return response.writeHead(303, { location: authorize(url.searchParams) }).end();
    if (url.pathname === '/token') {
      let form = '';
      for await (const chunk of request) form += chunk;
      const given = redeem(new URLSearchParams(form));
      return answer(given, given.error ? 400 : 200);
    }
    const page = pages[url.pathname];
    return page ? answer(page()) : answer({}, 404);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  issuer = `http://127.0.0.1:${server.address().port}`;
  return {
    address: issuer,
    // As everybody can read them.
    publicKey: { pem: publicKey.export({ type: 'spki', format: 'pem' }), der: publicKey.export({ type: 'spki', format: 'der' }), jwk: JSON.stringify(jwk) },
    privateKey,
    tell: (next = {}) => {
      lie = next;
    },
    stop: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
