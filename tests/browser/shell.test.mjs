// What every page of the application has around it: what was just done, and the colours that somebody chose. And what is left of it on paper.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startServer } from './helpers/server.mjs';
import { closeBrowser, visitor } from './helpers/visitor.mjs';

const EVENT = { title: 'Rust evening', slug: 'rust-evening', startAt: '2031-05-08T18:00:00', endAt: '2031-05-08T21:00:00', timezone: 'Europe/Berlin', venue: 'Room 3' };
// As long as app.js says.
const TOAST_MS = 8000;

after(closeBrowser);

describe('around every page', () => {
  let server;
  let event;
  before(async () => {
    server = await startServer();
    event = await server.api.post('/events/', EVENT);
  });
  after(() => server?.stop());

  const press = (page, name) => Promise.all([page.waitForEvent('load'), page.getByRole('button', { name }).last().click()]);
  const toast = (page) => page.getByRole('status').locator('.toast');
  const someone = async (firstName, attended) => {
    const user = await server.api.post('/users/', { firstName, lastName: 'Toast', email: `${firstName}@toast.example` });
    if (attended) await server.api.post('/attend/', { user_id: user.id, event_id: event.id, attended });
    return user;
  };
  const onList = (user) => server.api.get(`/attend/${user.id}/${event.id}`).then(({ attended }) => attended, () => null);

  for (const script of [true, false]) {
    const how = script ? 'with scripts' : 'without scripts';

    test(`what was done is told once, and can be taken back, ${how}`, async () => {
      const user = await someone(`Told${script}`, 'here');
      const person = await visitor(server, { script });
      const { page } = person;
      await person.open(`/app/events/${event.id}`, { check: false });
      // The region is there before anything is told in it.
      assert.equal(await page.locator('#toasts[role=status][aria-live=polite]').count(), 1);
      assert.equal(await toast(page).count(), 0);
      await press(page, `Take Told${script} Toast off the list`);
      assert.match(await toast(page).textContent(), new RegExp(`^Told${script} Toast is off the list`));
      // Somebody is at it, so it stays however long the look at the page takes.
      await page.getByRole('button', { name: 'Undo', exact: true }).focus();
      await person.check();
      assert.equal(await onList(user), null);
      await press(page, 'Undo');
      assert.equal((await toast(page).textContent()).trim(), `Told${script} Toast is back on the list`, 'there is nothing to take back here');
      assert.equal(await onList(user), 'here', 'checked in, as before');
      await page.reload();
      assert.equal(await toast(page).count(), 0, 'a toast is told once');
      await person.close();
    });
  }

  test('a toast goes after eight seconds, and stays while somebody is at it', async () => {
    for (const [at, how] of [['nobody', async () => {}], ['a pointer', (page) => toast(page).hover()], ['the focus', (page) => page.getByRole('button', { name: 'Undo', exact: true }).focus()]]) {
      await someone(at.replaceAll(' ', '-'), 'yes');
      const person = await visitor(server);
      const { page } = person;
      // It stands still but for what is run, however slow the machine is.
      await page.clock.install({ time: 0 });
      await page.clock.pauseAt(1000);
      await person.open(`/app/events/${event.id}`, { check: false });
      await press(page, `Take ${at.replaceAll(' ', '-')} Toast off the list`);
      await page.clock.runFor(TOAST_MS / 2);
      assert.equal(await toast(page).count(), 1, 'long enough to be read');
      await how(page);
      await page.clock.runFor(TOAST_MS);
      assert.equal(await toast(page).count(), at === 'nobody' ? 0 : 1, `${at} is at it`);
      // Nobody is at it any more.
      await page.mouse.move(5, 5);
      await page.evaluate(() => document.activeElement.blur());
      await page.clock.runFor(1500);
      assert.equal(await toast(page).count(), 0, `${at} has left it`);
      await person.close();
    }
  });

  test('a toast is read out: it comes into its region after the page did', async () => {
    await someone('Heard', 'yes');
    const person = await visitor(server);
    const { page } = person;
    // What a reader of the screen hears of a region is what changes in it once it is there.
    await page.addInitScript(() => {
      addEventListener('load', () => {
        window.heard = [];
        const region = document.getElementById('toasts');
        new MutationObserver((changes) => window.heard.push(...changes.flatMap(({ addedNodes }) => [...addedNodes].map((node) => node.textContent)))).observe(region, { childList: true, characterData: true, subtree: true });
      });
    });
    await person.open(`/app/events/${event.id}`, { check: false });
    await press(page, 'Take Heard Toast off the list');
    await page.waitForFunction(() => window.heard.length > 0);
    assert.deepEqual(await page.evaluate(() => window.heard), ['Heard Toast is off the list']);
    await person.close();
  });

  // The colour behind everything, as a number between 0 for black and 255 for white.
  const lightness = (page) =>
    page.evaluate(() => {
      const canvas = new OffscreenCanvas(1, 1).getContext('2d');
      const colour = [document.body, document.documentElement].map((node) => getComputedStyle(node).backgroundColor).find((colour) => colour !== 'rgba(0, 0, 0, 0)') ?? 'white';
      canvas.fillStyle = colour;
      canvas.fillRect(0, 0, 1, 1);
      return canvas.getImageData(0, 0, 1, 1).data[1];
    });
  const scheme = async (page) => ((await lightness(page)) > 128 ? 'light' : 'dark');
  const choose = async (page, name) => {
    await page.locator('.account').click();
    await press(page, name);
  };

  test('colours are as chosen on every page, and as the system has them where nobody chose', async () => {
    const person = await visitor(server);
    const { page } = person;
    const system = (colorScheme) => page.emulateMedia({ colorScheme });
    await person.open('/app/people', { check: false });
    assert.equal(await scheme(page), 'light');
    await system('dark');
    assert.equal(await scheme(page), 'dark', 'at once, without loading anything');
    await system('light');

    await choose(page, 'Dark');
    assert.equal(new URL(page.url()).pathname, '/app/people', 'whoever chooses stays where they were');
    assert.equal(await scheme(page), 'dark');
    await page.reload();
    assert.equal(await scheme(page), 'dark');
    for (const path of ['/app', `/app/events/${event.id}`, `/app/events/${event.id}/door`, '/app/nothing-is-here']) {
      // It stands in the page as it comes, so that nothing is shown before it is known.
      person.allow(/^answer: 404 GET \/app\/nothing/);
      const document = await (await page.goto(path)).text();
      assert.match(document, /<html[^>]* data-theme="dark"/, path);
      assert.equal(await scheme(page), 'dark', path);
    }
    await person.open('/app', { check: false });
    await page.locator('.account').click();
    await page.getByRole('button', { name: 'Dark (current)' }).waitFor();
    await page.keyboard.press('Escape');

    await system('dark');
    await choose(page, 'Light');
    assert.equal(await scheme(page), 'light', 'what was chosen beats the system');

    await choose(page, 'As the system');
    assert.equal(await scheme(page), 'dark');
    await system('light');
    assert.equal(await scheme(page), 'light');
    await person.close();
  });

  test('colours can be chosen without scripts', async () => {
    const person = await visitor(server, { script: false });
    const { page } = person;
    await person.open('/app/people', { check: false });
    await choose(page, 'Dark');
    assert.equal(await scheme(page), 'dark');
    await page.reload();
    assert.equal(await scheme(page), 'dark');
    await person.close();
  });

  test('on paper there is the whole list and nothing around it, dark on white', async () => {
    const meeting = await server.api.post('/events/', { ...EVENT, slug: 'on-paper', title: 'On paper' });
    // More than a page of the screen holds.
    const names = Array.from({ length: 120 }, (_, n) => `Paper${String(n).padStart(3, '0')} Sheet`);
    for (const name of names) {
      const user = await server.api.post('/users/', { firstName: name.split(' ')[0], lastName: 'Sheet', email: `${name.split(' ')[0]}@paper.example`, company: 'Quillmoor Labs' });
      await server.api.post('/attend/', { user_id: user.id, event_id: meeting.id });
    }
    // On a telephone too, and for whom it is dark.
    for (const options of [{ width: 1280 }, { width: 390 }]) {
      const person = await visitor(server, { ...options, colorScheme: 'dark' });
      const { page } = person;
      await person.context.addCookies([{ name: 'theme', value: 'dark', url: server.address }]);
      await person.open(`/app/events/${meeting.id}/print`, { check: false });
      const around = page.locator('.sidebar, .skip, .crumbs, .page-head .actions');
      const seen = async () => (await Promise.all((await around.all()).map((one) => one.isVisible()))).filter(Boolean).length;
      assert.ok((await seen()) >= 3, 'the control: on the screen it is there');
      await page.emulateMedia({ media: 'print' });
      assert.equal(await seen(), 0);
      assert.deepEqual(await page.getByRole('rowheader').evaluateAll((rows) => rows.filter((row) => row.checkVisibility()).map((row) => row.firstChild.textContent)), names);
      await page.getByRole('columnheader', { name: 'Signature' }).waitFor();
      await page.getByText(/^printed /).waitFor();
      assert.equal(await page.getByRole('cell', { name: 'Quillmoor Labs' }).first().isVisible(), true, 'the company stands beside the name');
      const ink = await page.getByRole('rowheader').first().evaluate((row) => getComputedStyle(row).color);
      assert.equal(await scheme(page), 'light', 'no page of ink');
      assert.ok(await page.evaluate((ink) => {
        const canvas = new OffscreenCanvas(1, 1).getContext('2d');
        canvas.fillStyle = ink;
        canvas.fillRect(0, 0, 1, 1);
        return canvas.getImageData(0, 0, 1, 1).data[1] < 128;
      }, ink), `${ink} on white`);
      // The head of the table stands on each sheet, and no row is torn.
      assert.equal(await page.locator('thead').evaluate((head) => getComputedStyle(head).display), 'table-header-group');
      assert.equal(await page.locator('tbody tr').first().evaluate((row) => getComputedStyle(row).breakInside), 'avoid');
      await person.close();
    }
  });
});
