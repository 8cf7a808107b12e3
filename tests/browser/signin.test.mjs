// Where people sign in: with a real provider, in a browser. Who may do what shows in what a page offers.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { withoutDefences } from './helpers/defences.mjs';
import { startServer } from './helpers/server.mjs';
import { closeBrowser, visitor } from './helpers/visitor.mjs';

const { EMCRM_OIDC } = process.env;

describe('signing in', () => {
  let server;
  before(async () => {
    await fetch(`${EMCRM_OIDC}/test/reset`, { method: 'POST' });
    server = await startServer({
      settings: {
        AUTH_ENABLED: 'true', AUTH_ISSUER: EMCRM_OIDC, AUTH_CLIENT_ID: 'crm', AUTH_CLIENT_SECRET: 'crm-secret',
        AUTH_ROLES: 'admins=admin,senders=sender,editors=editor,viewers=viewer',
      },
    });
  });
  after(async () => {
    await closeBrowser();
    await server?.stop();
  });

  // Goes to a page, is sent to the provider, and comes back to it.
  async function arrive(name, path, { script = true } = {}) {
    const person = await visitor(server, { script });
    const { page } = person;
    // Without a session a page answers by the way to sign in.
    person.allow(/^answer: 401 GET/);
    // Somebody without a role is told so, by the status too.
    if (name === 'zoe') person.allow(/^answer: 403 GET/);
    await page.goto(path);
    await page.waitForURL(/\/app\/signin/);
    await person.check();
    await page.getByRole('main').getByRole('link').or(page.getByRole('main').getByRole('button')).first().click();
    await page.waitForURL(/\/interaction\//);
    await page.getByLabel('Name').fill(name);
    await page.getByLabel('Password').fill(`pw-${name}`);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.waitForURL((url) => url.origin === server.address);
    await page.waitForLoadState();
    return person;
  }

  for (const script of [true, false]) {
    test(`somebody signs in, comes back to the page that was asked for, and signs out, ${script ? 'with' : 'without'} scripts`, async () => {
      const person = await arrive('ann', '/app?from=somewhere', { script });
      const { page } = person;
      assert.equal(page.url(), `${server.address}/app?from=somewhere`);
      await person.check();
      await page.getByRole('button', { name: /^Account/ }).click();
      await page.getByRole('button', { name: 'Sign out' }).click();
      // At the provider, too.
      await page.waitForURL((url) => url.href.startsWith(EMCRM_OIDC) || url.pathname === '/app/signin');
      if (page.url().startsWith(EMCRM_OIDC)) {
        await page.getByRole('button', { name: 'Sign out' }).click();
        await page.waitForURL((url) => url.origin === server.address);
      }
      await page.goto('/app');
      await page.waitForURL(/\/app\/signin/);
      await person.close();
    });
  }

  for (const script of [true, false]) {
    test(`a session that ends while somebody writes loses nothing of what was written, ${script ? 'with' : 'without'} scripts`, async () => {
      const person = await arrive('ann', '/app/campaigns/new', { script });
      const { page } = person;
      const [subject, body] = [`Written ${script}`, 'Hello {{ user.firstName }},\n\n<b>come</b> & "see".'];
      await page.getByLabel('Subject', { exact: true }).fill(subject);
      await page.getByLabel('Body', { exact: true }).fill(body);
      await page.context().clearCookies();
      person.allow(/^answer: 40[13] POST \/app\/campaigns/, /Response Status Error Code 401/);
      const press = (name) => Promise.all([page.waitForEvent('load'), page.getByRole('button', { name }).first().click()]);
      await press('Save draft');
      await page.getByRole('heading', { name: 'You were signed out' }).waitFor();
      await person.check();
      const [tab] = await Promise.all([page.context().waitForEvent('page'), page.getByRole('link', { name: 'Sign in in a new tab' }).click()]);
      await tab.getByRole('main').getByRole('link', { name: /login page/ }).click();
      await tab.waitForURL(/\/interaction\/|\/app\/signedin/);
      if (/interaction/.test(tab.url())) {
        await tab.getByLabel('Name').fill('ann');
        await tab.getByLabel('Password').fill('pw-ann');
        await tab.getByRole('button', { name: 'Sign in' }).click();
      }
      await tab.getByRole('heading', { name: 'You are signed in' }).waitFor();
      await tab.close();
      await press(/go on/);
      await page.getByRole('heading', { name: 'This was not saved yet' }).waitFor();
      await person.check();
      await press('Send it');
      await page.waitForURL(/\/app\/campaigns\/[^/]+\/edit/);
      assert.equal(await page.getByLabel('Subject', { exact: true }).inputValue(), subject);
      assert.equal(await page.getByLabel('Body', { exact: true }).inputValue(), body);
      await person.close();
    });
  }

  test('what a provider says of somebody is a text like any other', async () => {
    const email = '<svg onload=ran(-1)>';
    const body = JSON.stringify({ name: 'mal', groups: ['admins'], email });
    await fetch(`${EMCRM_OIDC}/test/people`, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
    const person = await arrive('mal', '/app');
    const { page } = person;
    await person.check();
    for (const path of ['/app/settings', '/app/settings/audit']) {
      await person.open(path);
      assert.ok((await page.getByRole('main').textContent()).includes(email), path);
    }
    // The control: where it is not escaped and nothing else stops it, it runs, and is noticed.
    await withoutDefences(person, {});
    await page.goto('/app');
    assert.ok(person.faults.some((fault) => fault.includes('a text ran as a script: -1')));
    person.faults.length = 0;
    await person.close();
  });

  test('a viewer is offered nothing that would be refused', async () => {
    const person = await arrive('bob', '/app');
    const { page } = person;
    await person.check();
    for (const path of ['/app', '/app/people', '/app/events', '/app/campaigns']) {
      await person.open(path);
      assert.equal(await page.getByRole('main').getByRole('link', { name: /^(new|add|import|mail these)/i }).count(), 0, path);
    }
    await person.open('/app/events/new', { status: 403 });
    await person.close();
  });

  test('somebody without a role is told so', async () => {
    const person = await arrive('zoe', '/app');
    person.allow(/^answer: 403/);
    await person.page.getByText('This needs the role Viewer').waitFor();
    await person.page.getByRole('link', { name: 'Sign out' }).waitFor();
    await person.check();
    await person.close();
  });
});
