// Signing in by a browser: what leads to the provider of the tests, through its form, and back.
import assert from 'node:assert/strict';
import { visitor } from './visitor.mjs';

// Settings of a server whose people sign in with a provider of the tests.
export const signIn = (issuer) => ({
  AUTH_ENABLED: 'true', AUTH_ISSUER: issuer, AUTH_CLIENT_ID: 'crm', AUTH_CLIENT_SECRET: 'crm-secret',
  AUTH_ROLES: 'admins=admin,senders=sender,editors=editor,viewers=viewer',
});

// Somebody new asks for a page, and is at the page that leads to the provider.
export async function knock(server, path, { script = true, check = false } = {}) {
  const person = await visitor(server, { script });
  const { page } = person;
  // Without a session a page answers by the way to sign in.
  person.allow(/^answer: 401 GET/);
  await page.goto(path);
  await page.waitForURL(/\/app\/signin/);
  if (check) await person.check();
  return person;
}

// From there to the provider.
export const leave = (page) => page.getByRole('main').getByRole('link').or(page.getByRole('main').getByRole('button')).first().click();

// From there through the provider's form.
export async function login(page, name) {
  await leave(page);
  await page.waitForURL(/\/interaction\//);
  await page.getByLabel('Name').fill(name);
  await page.getByLabel('Password').fill(`pw-${name}`);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

// Goes to a page, is sent to the provider, and comes back to it.
export async function arrive(server, name, path, options) {
  const person = await knock(server, path, options);
  const { page } = person;
  // Somebody without a role is told so, by the status too.
  if (name === 'zoe') person.allow(/^answer: 403 GET/);
  await login(page, name);
  await page.waitForURL((url) => url.origin === server.address);
  await page.waitForLoadState();
  return person;
}

// Signs in at the provider, but is not sent back: the address of the answer, which a test brings back as it likes.
export async function answerFor(person, name) {
  const { page, context, server } = person;
  await leave(page);
  await page.waitForURL(/\/interaction\//);
  let answer = await context.request.post(page.url(), { form: { login: name, password: `pw-${name}` }, maxRedirects: 0 });
  for (let hop = 0; hop < 5; hop++) {
    const next = new URL(answer.headers().location, answer.url()).href;
    if (next.startsWith(`${server.address}/auth/callback?`)) return next;
    answer = await context.request.get(next, { maxRedirects: 0 });
  }
  throw new Error(`the provider never sent us back; it answered ${answer.status()} at ${answer.url()}`);
}

export const session = async (person) => (await person.context.cookies(person.server.address)).find(({ name }) => name === 'emcrm')?.value;

// At a page that says why nobody was signed in, and nobody is. From there one begins again, on the way to the page that was asked for.
export async function turnedAway(person, words, { asked = '/app', check = true } = {}) {
  const { page } = person;
  await page.waitForURL(/\/app\/signin/);
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  assert.match(await page.getByRole('alert').textContent(), words);
  const again = await page.getByRole('main').getByRole('link').getAttribute('href');
  assert.equal(again, `/auth/login?return=${encodeURIComponent(asked)}`);
  if (check) await person.check();
  assert.equal(await session(person), undefined, 'a session all the same');
  await page.goto('/app');
  await page.waitForURL(/\/app\/signin\?return=%2Fapp$/);
  person.calm();
}
