// Signing in when something is not as it should be: sessions that run out, people whose groups change or who are gone, answers that were made up, a provider
// that changes its keys, lies, or is down. Each time a person sees a page that says what to do, and nobody is signed in who should not be.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { until } from './helpers/api.mjs';
import { pens, startLiar, strangersKey } from './helpers/liar.mjs';
import { startProvider } from './helpers/provider.mjs';
import { startServer } from './helpers/server.mjs';
import { answerFor, arrive, knock, leave, session, signIn, turnedAway } from './helpers/signin.mjs';
import { passes } from './helpers/time.mjs';
import { closeBrowser, visitor } from './helpers/visitor.mjs';

const STALE = /took too long, or it was begun in another window. Begin again/;
const UNTRUSTED = /does not hold, so nobody was signed in/;
const DOWN = /does not answer right now. Try again in a moment/;
const PEOPLE = ['generate', '--users', '30', '--events', '2', '--attendance', '10', '--now'];

// What passes is time in the storage, so it must be a file. Nobody here comes as often as the limit is for.
const start = (issuer, settings = {}) => startServer({ aws: false, settings: { ...signIn(issuer), APP_LIMIT_SIGN_INS: '0', ...settings }, prepare: [PEOPLE] });

const at = (page, { address }, path) => page.waitForURL(({ href }) => href === address + path);

after(closeBrowser);

describe('with a real provider', () => {
  let provider;
  let server;
  before(async () => {
    provider = await startProvider();
    server = await start(provider.address);
  });
  afterEach(() => provider.reset());
  after(async () => {
    await server?.stop();
    await provider?.stop();
  });

  const main = (page) => page.getByRole('main');
  const go = (page, place) => page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: place }).click();
  // What the provider gave last. Another one: it was asked again.
  const token = async (person) => (await (await person.context.request.get(`${server.address}/auth/token`)).json()).access_token;

  describe('sessions that run out', () => {
    let short;
    before(async () => {
      short = await start(provider.address, { AUTH_SESSION_IDLE_MINUTES: '20', AUTH_TOKEN_EXPIRY_HOURS: '1' });
    });
    after(() => short?.stop());

    // The next click leads to the sign-in page, and signing in to where the click would have led.
    async function endsBy(person, click, wanted) {
      const { page } = person;
      await click();
      await page.waitForURL((url) => url.pathname === '/app/signin');
      const back = new URL(page.url()).searchParams.get('return');
      assert.match(back, wanted);
      await person.check();
      await leave(page);
      await at(page, short, back);
      await main(page).getByRole('heading', { level: 1 }).waitFor();
      await person.close();
    }

    for (const script of [true, false]) {
      test(`a session that nobody uses ends, and who signs in again is where the click led, ${script ? 'with' : 'without'} scripts`, async () => {
        const person = await arrive(short, 'eve', '/app/people', { script });
        const { page } = person;
        // The control: in use it goes on, for longer than it may lie idle.
        for (const place of ['Events', 'Campaigns']) {
          await passes(person, 19);
          await go(page, place);
          await main(page).getByRole('heading', { level: 1, name: place }).waitFor();
        }
        // 58 minutes: it is not too old.
        await passes(person, 20);
        await endsBy(person, () => go(page, 'People'), /^\/app\/people$/);
      });
    }

    test('a session that is old ends, however much it is used', async () => {
      const person = await arrive(short, 'eve', '/app/people');
      const { page } = person;
      for (const place of ['Events', 'Campaigns', 'Settings']) {
        await passes(person, 15);
        await go(page, place);
        await main(page).getByRole('heading', { level: 1, name: place }).waitFor();
      }
      await passes(person, 15);
      await endsBy(person, () => go(page, 'Events'), /^\/app\/events$/);
    });

    test('a part of a page that is asked for without a session leads the whole page to the sign-in page', async () => {
      const person = await arrive(short, 'eve', '/app/people');
      await passes(person, 20);
      const search = person.page.getByRole('searchbox', { name: 'Search people' });
      await endsBy(person, () => search.pressSequentially('a'), /^\/app\/people\?q=a&/);
    });
  });

  test('a session outlives its access token, and what it may do is what the provider says now', async () => {
    await provider.ttl({ AccessToken: 1 });
    const person = await arrive(server, 'eve', '/app/events');
    const { page } = person;
    const add = main(page).getByRole('link', { name: 'New event' }).first();
    const refreshed = async () => {
      const before = await token(person);
      await until('the provider to be asked again', async () => (await token(person)) !== before);
    };
    // The control: asked again and again, the provider says the same.
    for (let times = 0; times < 2; times++) {
      await refreshed();
      await page.reload();
      assert.equal(await add.count(), 1);
    }
    await provider.person({ name: 'eve', groups: ['viewers'] });
    await until('the page to offer less', async () => {
      await page.reload();
      return (await add.count()) === 0;
    });
    await page.getByRole('button', { name: /^Account.* viewer$/ }).waitFor();
    await person.check();
    await person.open('/app/events/new', { status: 403 });
    await provider.person({ name: 'eve', groups: ['editors'] });
    await until('the page to offer it again', async () => {
      await page.goto('/app/events');
      return (await add.count()) === 1;
    });
    const held = await session(person);
    await provider.person({ name: 'eve', gone: true });
    await until('the session to be over', async () => {
      await page.goto('/app/events');
      return new URL(page.url()).pathname === '/app/signin';
    });
    await person.check();
    assert.equal(new URL(page.url()).searchParams.get('return'), '/app/events');
    // What the browser still holds is worth nothing.
    assert.equal((await fetch(`${server.address}/auth/me`, { headers: { cookie: `emcrm=${held}` } })).status, 401);
    await person.close();
  });

  test('an answer with a state that was made up signs nobody in, and the same answer unchanged does', async () => {
    const person = await knock(server, '/app/people');
    const { page } = person;
    const answer = await answerFor(person, 'eve');
    for (const [name, value] of [['state', 'made-up'], ['state', ''], ['iss', 'https://evil.example'], ['code', 'made-up']]) {
      const changed = new URL(answer);
      changed.searchParams.set(name, value);
      await page.goto(changed.href);
      // The page is the same each time.
      await turnedAway(person, STALE, { asked: '/app/people', check: value === 'made-up' && name === 'state' });
    }
    await page.goto(answer);
    await at(page, server, '/app/people');
    await person.close();
  });

  test('an answer is good once, and in the browser that asked', async () => {
    const person = await knock(server, '/app/people');
    const { page, context } = person;
    const answer = await answerFor(person, 'eve');
    const asked = (await context.cookies()).filter(({ name }) => name === 'emcrm-sign-in');
    assert.equal(asked.length, 1);
    // In the browser of somebody to whom the address was given, who has begun a sign-in too.
    const other = await knock(server, '/app');
    await answerFor(other, 'bob');
    await other.page.goto(answer);
    await turnedAway(other, STALE, { check: false });
    await other.close();
    await page.goto(answer);
    await at(page, server, '/app/people');
    const held = await session(person);
    // Once more: nothing comes of it, and who is signed in stays so.
    await page.goto(answer);
    await page.getByRole('alert').getByText(STALE).waitFor();
    assert.equal(await session(person), held);
    await page.goto('/app/people');
    await main(page).getByRole('heading', { level: 1, name: 'People' }).waitFor();
    // Also not where the browser is as it was when it asked: then it is the provider that refuses.
    await context.clearCookies({ domain: '127.0.0.1', name: 'emcrm' });
    await context.addCookies(asked);
    await page.goto(answer);
    await turnedAway(person, STALE, { asked: '/app/people', check: false });
    await person.close();
  });

  test('the provider changes its keys: whoever comes signs in, whoever is there stays, without a restart', async () => {
    const ann = await arrive(server, 'ann', '/app');
    await provider.rotate();
    const bob = await arrive(server, 'bob', '/app/events');
    await at(bob.page, server, '/app/events');
    // Once more, before the 5 s are over in which the provider is not asked for its keys again: for somebody new, and for somebody who was there before.
    await provider.rotate();
    const before = await token(ann);
    await passes(ann, 61);
    const [sam] = await Promise.all([
      arrive(server, 'sam', '/app/events'),
      until('the provider to be asked again', async () => (await token(ann)) !== before),
    ]);
    await at(sam.page, server, '/app/events');
    await go(ann.page, 'Events');
    await main(ann.page).getByRole('heading', { level: 1, name: 'Events' }).waitFor();
    await Promise.all([ann.close(), bob.close(), sam.close()]);
  });

  test('the provider is down: who comes is told so, who is signed in goes on working, and afterwards signing in works again', async () => {
    const eve = await arrive(server, 'eve', '/app/people');
    await provider.down(true);
    // A server that has never heard of its provider.
    await server.restart();
    const bob = await knock(server, '/app/events');
    await leave(bob.page);
    await turnedAway(bob, DOWN, { asked: '/app/events' });
    // It is time to ask the provider about her, and nobody answers.
    await passes(eve, 61);
    await go(eve.page, 'Events');
    await main(eve.page).getByRole('heading', { level: 1, name: 'Events' }).waitFor();
    await eve.open('/app/people/new');
    await eve.page.getByLabel('First name').fill('Ida');
    await eve.page.getByLabel('Email').fill('ida@example.org');
    await eve.page.getByRole('button', { name: 'Add person' }).click();
    await eve.page.getByRole('heading', { level: 1, name: 'Ida' }).waitFor();
    await eve.check();
    // Up again, and down in the midst of a sign-in.
    await provider.down(false);
    await bob.page.goto('/app/events');
    const answer = await answerFor(bob, 'bob');
    await provider.down(true);
    await bob.page.goto(answer);
    await turnedAway(bob, DOWN, { asked: '/app/events' });
    // From the page that says so one begins again, to where one wanted to go.
    await provider.down(false);
    await bob.page.goto(answer.replace('code=', 'code=x'));
    await bob.page.getByRole('alert').waitFor();
    await leave(bob.page);
    await at(bob.page, server, '/app/events');
    await eve.page.reload();
    await Promise.all([eve.close(), bob.close()]);
  });
});

describe('with a provider that lies', () => {
  let liar;
  let server;
  before(async () => {
    liar = await startLiar();
    server = await start(liar.address);
  });
  afterEach(() => liar.tell());
  after(async () => {
    await server?.stop();
    liar?.stop();
  });

  const now = () => Math.floor(Date.now() / 1000);
  const claiming = (claims) => ({ token: (draft) => draft.claiming(claims) });
  // Called when the liar is there.
  const groups = {
    'for another sign-in': () => ({
      'the nonce of another one': { ...claiming({ nonce: 'of-another-sign-in' }), words: STALE },
      'no nonce': { ...claiming({ nonce: undefined }), words: STALE },
    }),
    'of another issuer': () => ({
      'in the token': claiming({ iss: 'https://evil.example' }),
      'a path of ours': claiming({ iss: `${liar.address}/other` }),
      'in the answer that the browser brings': { iss: 'https://evil.example', words: STALE },
    }),
    'for another audience': () => ({
      'another client': claiming({ aud: 'another-client' }),
      'nobody': claiming({ aud: undefined }),
      'several, and it does not say to whom it was issued': claiming({ aud: ['crm', 'another-client'] }),
      'several, and it was issued to the other': claiming({ aud: ['crm', 'another-client'], azp: 'another-client' }),
    }),
    'of another time': () => ({
      'it is over': claiming({ iat: now() - 900, exp: now() - 300 }),
      'it is to come': claiming({ nbf: now() + 300 }),
    }),
    'signed in another way': () => ({
      'not at all': { token: (draft) => draft.headed({ alg: 'none' }).signedBy(pens.nothing) },
      'not at all, and it does not say so': { token: (draft) => draft.signedBy(pens.nothing) },
      'with the public key as a secret, as text': { token: (draft) => draft.headed({ alg: 'HS256' }).signedBy(pens.hmac(liar.publicKey.pem)) },
      'with the public key as a secret, as bytes': { token: (draft) => draft.headed({ alg: 'HS256' }).signedBy(pens.hmac(liar.publicKey.der)) },
      'with the public key as a secret, as it is published': { token: (draft) => draft.headed({ alg: 'HS256' }).signedBy(pens.hmac(liar.publicKey.jwk)) },
      'with the right key and another digest': { token: (draft) => draft.headed({ alg: 'RS512' }).signedBy(pens.rsa('sha512', liar.privateKey)) },
      'with the right key and another padding': { token: (draft) => draft.headed({ alg: 'PS256' }).signedBy(pens.pss('sha256', liar.privateKey)) },
      "with a stranger's key": { token: (draft) => draft.signedBy(pens.rsa('sha256', strangersKey())) },
      'with a key that nobody knows': { token: (draft) => draft.headed({ kid: 'k2' }).signedBy(pens.rsa('sha256', strangersKey())) },
      'there is no token': { token: () => undefined },
    }),
  };

  for (const [name, lies] of Object.entries(groups)) {
    test(`a token ${name} signs nobody in, and a true one does`, async () => {
      const person = await visitor(server);
      const { page } = person;
      for (const [how, lie] of Object.entries(lies())) {
        liar.tell(lie);
        await page.goto('/app/people');
        await leave(page);
        // The page is the same each time.
        await turnedAway(person, lie.words ?? UNTRUSTED, { asked: '/app/people', check: how === Object.keys(lies())[0] }).catch((error) => {
          error.message += `\n${how}`;
          throw error;
        });
      }
      // The control: all else is as before.
      liar.tell();
      await page.goto('/app/people');
      await leave(page);
      await at(page, server, '/app/people');
      await page.getByRole('button', { name: /ann@example\.org admin$/ }).waitFor();
      await person.close();
    });
  }
});
