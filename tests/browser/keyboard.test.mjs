// The main parts without a mouse. What can be operated can be reached by Tab, shows that it has the focus, and answers to Enter.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { enter, getsFocus, look, opened, pressBoth, tabTo } from './helpers/keys.mjs';
import { startServer } from './helpers/server.mjs';
import { closeBrowser, visitor } from './helpers/visitor.mjs';
import { seed } from './seed.mjs';
import { num } from './walk.mjs';

describe('keyboard', () => {
  let server;
  let seeded;
  before(async () => {
    server = await startServer();
    seeded = await seed(server.api, { plain: true });
  });
  after(async () => {
    await closeBrowser();
    await server?.stop();
  });

  const main = (page) => page.getByRole('main');

  test('the skip link leads to the content', async () => {
    const person = await visitor(server);
    const { page } = person;
    await person.open('/app', { check: false });
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to content');
    await page.keyboard.press('Enter');
    await getsFocus(page.locator('#main'), 'the content has the focus');
    await person.close();
  });

  for (const [rule, noticed] of [
    ['*:focus, *:focus-within { outline: none !important; box-shadow: none !important; }', /the focus cannot be seen/],
    ['* { outline: 2px solid red !important; box-shadow: none !important; }', /the same with the focus and without/],
  ]) {
    test(`the control: with ${rule} the focus is missed`, async () => {
      const person = await visitor(server);
      const { page } = person;
      await page.route('**/*.css', async (route) => {
        const response = await route.fetch();
        await route.fulfill({ response, body: `${await response.text()}\n${rule}` });
      });
      await person.open('/app/people', { check: false });
      await assert.rejects(tabTo(page, main(page).getByRole('link', { name: 'Add person' })), noticed);
      await person.close();
    });
  }

  test('keys lead to each place, to the search and from row to row', async () => {
    const person = await visitor(server);
    const { page } = person;
    await person.open('/app', { check: false });
    for (const [key, place] of Object.entries({ p: '/app/people', e: '/app/events', c: '/app/campaigns', s: '/app/settings', h: '/app' })) {
      await pressBoth(page, 'g', key);
      await page.waitForURL(server.address + place);
      await page.waitForLoadState();
    }
    // Where a box looks for one thing only, the key leads to the search for everything.
    await person.open('/app/settings/suppressions', { check: false });
    await page.keyboard.press('/');
    await page.waitForURL(/\/app\/search$/);
    await page.waitForLoadState();
    await getsFocus(page.getByRole('searchbox'), 'the search has the focus');
    await page.keyboard.press('Escape');
    await pressBoth(page, 'g', 'p');
    await page.waitForURL(/\/app\/people$/);
    await page.waitForLoadState();
    await page.keyboard.press('/');
    await look(page, 'Tanemori');
    await page.locator('#results').getByText(/^\s*8 people/).first().waitFor();
    assert.equal(await page.evaluate(() => document.activeElement.value), 'Tanemori', 'the field that is typed in is not replaced');
    await page.keyboard.press('Escape');
    await page.keyboard.press('j');
    await page.keyboard.press('j');
    await page.keyboard.press('k');
    await enter(page);
    assert.match(await page.getByRole('heading', { level: 1 }).textContent(), /Tanemori/);
    await person.close();
  });

  test('an event is made, and a person added to it', async () => {
    const person = await visitor(server);
    const { page } = person;
    await person.open('/app/events', { check: false });
    await tabTo(page, main(page).getByRole('link', { name: /new event/i }).first());
    await enter(page);
    if ((await page.evaluate(() => document.activeElement.id)) !== 'title') await tabTo(page, page.getByLabel('Title', { exact: true }));
    await page.keyboard.type('By keyboard alone');
    for (const [label, value] of [['Starts', '2031-05-08T18:00'], ['Ends', '2031-05-08T21:00']]) {
      await tabTo(page, page.getByLabel(label));
      // How a date is typed depends on the language of the browser, which is not what is tested here.
      await page.getByLabel(label).fill(value);
    }
    await tabTo(page, page.getByLabel('Capacity'));
    await page.keyboard.type('3');
    await page.keyboard.press('Control+Enter');
    await page.waitForURL(/\/app\/events\/(?!new)[^/]+$/);
    await page.waitForLoadState();
    const adder = page.getByLabel('Add a person by name or address');
    await tabTo(page, adder);
    await look(page, 'Mara Okonjo');
    const options = page.getByRole('listbox', { name: 'People found' }).getByRole('option');
    await options.first().waitFor();
    assert.match(await options.first().textContent(), /Mara Okonjo/);
    const state = () =>
      adder.evaluate((field) => ({
        focused: field === document.activeElement,
        open: field.getAttribute('aria-expanded') === 'true' && Boolean(document.getElementById(field.getAttribute('aria-controls'))?.checkVisibility()),
        active: [...document.querySelectorAll('[role=option]')].findIndex((option) => option.id === field.getAttribute('aria-activedescendant')),
        selected: [...document.querySelectorAll('[role=option]')].map((option) => option.getAttribute('aria-selected')).indexOf('true'),
        caret: field.selectionStart,
      }));
    const last = (await options.count()) - 1;
    assert.ok(last >= 1);
    const length = 'Mara Okonjo'.length;
    const steps = [
      [null, { open: true, active: -1, caret: length }],
      ['ArrowDown', { open: true, active: 0, caret: length }],
      ['ArrowDown', { open: true, active: 1, caret: length }],
      ['ArrowUp', { open: true, active: 0, caret: length }],
      ['ArrowUp', { open: true, active: -1, caret: length }],
      ['ArrowUp', { open: true, active: last, caret: length }],
      ['Home', { open: true, active: -1, caret: 0 }],
      ['ArrowDown', { open: true, active: 0, caret: 0 }],
      ['End', { open: true, active: -1, caret: length }],
      ['Escape', { open: false, active: -1, caret: length }],
      ['ArrowDown', { open: true, active: 0, caret: length }],
    ];
    for (const [key, wanted] of steps) {
      if (key) await page.keyboard.press(key);
      // The focus never leaves the field: what is active is told by an attribute.
      assert.deepEqual(await state(), { focused: true, selected: wanted.active, ...wanted }, `after ${key}`);
    }
    await person.check();
    await page.keyboard.press('Tab');
    assert.equal((await state()).open, false, 'the list closes behind somebody who goes on');
    assert.equal(await page.evaluate(() => document.activeElement.closest('[role=listbox]')), null, 'and is no stop on the way');
    await page.keyboard.press('Shift+Tab');
    assert.equal((await state()).open, true);
    await page.keyboard.press('ArrowDown');
    await enter(page);
    await page.getByRole('region', { name: 'Attendees, table' }).getByText('Mara Okonjo').first().waitFor();
    await person.close();
  });

  test('the owner of an event is found and taken', async () => {
    const person = await visitor(server);
    const { page } = person;
    await person.open('/app/events/new', { check: false });
    const owner = page.getByRole('combobox', { name: 'Find the owner by name or address' });
    await owner.focus();
    await look(page, 'nobody is called this');
    await page.locator('#owner-found').getByText('Nobody is found').waitFor();
    // There is nothing to take, and the form is not sent by the way.
    await page.keyboard.press('Enter');
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Enter');
    assert.match(page.url(), /\/app\/events\/new$/);
    await owner.fill('');
    await look(page, 'Priya Ramanath');
    await page.getByRole('option', { name: /Priya Ramanath/ }).first().waitFor();
    await person.check();
    await page.keyboard.press('ArrowDown');
    await enter(page);
    await page.getByRole('button', { name: 'Take Priya Ramanath away as owner' }).waitFor();
    await page.getByRole('combobox', { name: 'Find a host by name or address' }).focus();
    await look(page, 'Callum');
    await page.getByRole('option', { name: /Callum/ }).first().waitFor();
    await page.keyboard.press('ArrowDown');
    await enter(page);
    const host = page.locator('#hosts .chip');
    await host.getByText('Callum').waitFor();
    assert.equal(await host.evaluate((chip) => getComputedStyle(chip).textDecorationLine), 'none', 'who is taken does not look taken away');
    await person.close();
  });

  test('a campaign is written, reviewed and sent', async () => {
    const person = await visitor(server);
    const { page } = person;
    const { total } = await server.api.post('/search/query_users?size=1', { company: 'Nimbarra' });
    await person.open('/app/people?company=Nimbarra', { check: false });
    await tabTo(page, main(page).getByRole('link', { name: `Mail these ${num(total)} people` }));
    await enter(page);
    await tabTo(page, page.getByLabel('Subject', { exact: true }));
    await page.keyboard.type('Typed without a mouse');
    await tabTo(page, page.getByLabel('Body', { exact: true }));
    await page.keyboard.type('Hello there.');
    await tabTo(page, page.getByRole('button', { name: 'Save and review' }).last());
    await enter(page);
    await tabTo(page, page.getByRole('button', { name: `Send ${num(total)} mails…` }));
    await page.keyboard.press('Enter');
    const last = page.getByRole('dialog').getByRole('button', { name: `Send ${num(total)} mails` });
    await last.waitFor();
    // What opens has the focus inside, and Escape gives it back.
    await opened(page);
    await page.keyboard.press('Escape');
    await getsFocus(page.getByRole('button', { name: `Send ${num(total)} mails…` }), 'who closes the dialog is where it was opened');
    await page.keyboard.press('Enter');
    await last.waitFor();
    await opened(page);
    if (!(await last.evaluate((button) => button === document.activeElement))) await tabTo(page, last);
    await enter(page);
    await page.locator('#progress').getByText(`${num(total)} of ${num(total)} sent`).waitFor({ timeout: 60_000 });
    await person.close();
    assert.ok(seeded);
  });
});
