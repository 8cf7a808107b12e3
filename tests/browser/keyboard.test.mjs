// The main parts without a mouse. What can be operated can be reached by Tab, shows that it has the focus, and answers to Enter.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
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

  // Tab by tab until this has the focus.
  async function tabTo(page, target) {
    const wanted = await target.elementHandle();
    for (let presses = 0; presses < 150; presses++) {
      await page.keyboard.press('Tab');
      const stop = await page.evaluate((wanted) => {
        const focus = document.activeElement;
        if (focus === document.body) return { body: true };
        const style = getComputedStyle(focus);
        const label = focus.closest('label');
        const shown = [style, label && getComputedStyle(label)].some((one) => one && ((one.outlineStyle !== 'none' && parseFloat(one.outlineWidth) > 0) || one.boxShadow !== 'none'));
        const box = focus.getBoundingClientRect();
        // In a frame the focus is on something in its own document.
        return { found: focus === wanted, shown: shown || focus.tagName === 'IFRAME', size: box.width * box.height, html: focus.outerHTML.slice(0, 160) };
      }, wanted);
      if (stop.body) continue;
      assert.ok(stop.size > 0, `the focus is on something that cannot be seen: ${stop.html}`);
      assert.ok(stop.shown, `the focus cannot be seen on ${stop.html}`);
      if (stop.found) return;
    }
    throw new Error(`${target} cannot be reached by Tab on ${page.url()}`);
  }
  const enter = (page) => Promise.all([page.waitForEvent('load'), page.keyboard.press('Enter')]);
  const main = (page) => page.getByRole('main');

  test('the skip link leads to the content', async () => {
    const person = await visitor(server);
    const { page } = person;
    await person.open('/app', { check: false });
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to content');
    await page.keyboard.press('Enter');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
    await person.close();
  });

  test('keys lead to each place, to the search and from row to row', async () => {
    const person = await visitor(server);
    const { page } = person;
    await person.open('/app', { check: false });
    for (const [key, place] of Object.entries({ p: '/app/people', e: '/app/events', c: '/app/campaigns', s: '/app/settings', h: '/app' })) {
      await page.keyboard.press('g');
      await page.keyboard.press(key);
      await page.waitForURL(server.address + place);
      await page.waitForLoadState();
    }
    await page.keyboard.press('g');
    await page.keyboard.press('p');
    await page.waitForURL(/\/app\/people$/);
    await page.waitForLoadState();
    await page.keyboard.press('/');
    await page.keyboard.type('Tanemori');
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
    await page.keyboard.type('Mara Okonjo');
    const found = page.locator('#found').getByRole('button').first();
    await found.waitFor();
    const focused = () => page.evaluate(() => document.activeElement.textContent || document.activeElement.name);
    await page.keyboard.press('ArrowDown');
    assert.match(await focused(), /Mara Okonjo/, 'the arrow leads to the first who was found');
    await page.keyboard.press('ArrowDown');
    assert.doesNotMatch(await focused(), /^who$/);
    await page.keyboard.press('Escape');
    assert.equal(await focused(), 'who', 'and Escape back to the field');
    await page.keyboard.press('ArrowDown');
    assert.ok(await found.evaluate((button) => button === document.activeElement));
    await enter(page);
    await page.getByRole('region', { name: 'Attendees, table' }).getByText('Mara Okonjo').first().waitFor();
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
    assert.ok(await page.evaluate(() => document.querySelector('[popover]:popover-open').contains(document.activeElement)));
    await page.keyboard.press('Escape');
    assert.match(await page.evaluate(() => document.activeElement.textContent), /^Send/);
    await page.keyboard.press('Enter');
    await last.waitFor();
    if (!(await last.evaluate((button) => button === document.activeElement))) await tabTo(page, last);
    await enter(page);
    await page.locator('#progress').getByText(`${num(total)} of ${num(total)} sent`).waitFor({ timeout: 30_000 });
    await person.close();
    assert.ok(seeded);
  });
});
