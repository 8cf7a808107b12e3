// Where people sign in: with a real provider, in a browser. Who may do what shows in what a page offers.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { withoutDefences } from './helpers/defences.mjs';
import { startServer } from './helpers/server.mjs';
import { arrive, signIn } from './helpers/signin.mjs';
import { closeBrowser } from './helpers/visitor.mjs';

const { EMCRM_OIDC } = process.env;

describe('signing in', () => {
  let server;
  before(async () => {
    await fetch(`${EMCRM_OIDC}/test/reset`, { method: 'POST' });
    server = await startServer({ settings: signIn(EMCRM_OIDC), prepare: [['generate', '--users', '30', '--events', '2', '--attendance', '10', '--now']] });
  });
  after(async () => {
    await closeBrowser();
    await server?.stop();
  });

  for (const script of [true, false]) {
    test(`somebody signs in, comes back to the page that was asked for, and signs out, ${script ? 'with' : 'without'} scripts`, async () => {
      const person = await arrive(server, 'ann', '/app?from=somewhere', { script, check: true });
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
      const person = await arrive(server, 'ann', '/app/campaigns/new', { script });
      const { page } = person;
      const [subject, body] = [`Written ${script}`, 'Hello {{ user.firstName }},\n\n<b>come</b> & "see".'];
      await page.getByLabel('Subject', { exact: true }).fill(subject);
      await page.getByLabel('Body', { exact: true }).fill(body);
      person.allow(/^answer: 40[13] POST \/app\/campaigns/, /Response Status Error Code 401/);
      await page.context().clearCookies();
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
    const person = await arrive(server, 'mal', '/app');
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
    const person = await arrive(server, 'bob', '/app');
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
    const person = await arrive(server, 'zoe', '/app');
    person.allow(/^answer: 403/);
    await person.page.getByText('This needs the role Viewer').waitFor();
    await person.page.getByRole('link', { name: 'Sign out' }).waitFor();
    await person.check();
    await person.close();
  });
});
