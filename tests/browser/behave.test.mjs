// What happens when things do not go one after the other: two people at one event, a form sent twice, the back button, a list that changes, no index.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { until } from './helpers/api.mjs';
import { pressBoth } from './helpers/keys.mjs';
import { startServer } from './helpers/server.mjs';
import { chromium } from './helpers/packages.mjs';
import { BROWSER, closeBrowser, visitor } from './helpers/visitor.mjs';

const EVENT = { title: 'Rust evening', slug: 'rust-evening', startAt: '2031-05-08T18:00:00', endAt: '2031-05-08T21:00:00', timezone: 'Europe/Berlin', venue: 'Room 3', maxCapacity: 20 };

after(closeBrowser);

describe('behaviour', () => {
  let server;
  before(async () => {
    server = await startServer();
  });
  after(() => server?.stop());

  const onPage = async (name, path, script, act) => {
    const person = await visitor(server, { script });
    await person.open(path, { check: false });
    try {
      await act(person, person.page);
    } catch (error) {
      error.message += `\n${name} was at ${person.page.url()}`;
      throw error;
    }
    return person;
  };
  const press = (page, name) => Promise.all([page.waitForEvent('load'), page.getByRole('button', { name }).last().click()]);

  for (const script of [true, false]) {
    const how = script ? 'with scripts' : 'without scripts';

    test(`two people edit one event, and nothing of either is lost, ${how}`, async () => {
      const event = await server.api.post('/events/', { ...EVENT, slug: `two-${script}` });
      const path = `/app/events/${event.id}/edit`;
      const second = await onPage('the second', path, script, async () => {});
      const first = await onPage('the first', path, script, async (person, page) => {
        await page.getByLabel('Title', { exact: true }).fill('Rust evening, moved');
        await page.getByLabel('Venue').fill('Room 5');
        await press(page, 'Save event');
        await person.close();
      });
      assert.ok(first);
      const { page } = second;
      await page.getByLabel('Venue').fill('Room 7');
      await page.getByLabel('Description').fill('Bring a crash.');
      second.allow(/^answer: 4\d\d POST \/app\/events/);
      await press(page, 'Save event');
      await second.check();
      // Theirs is there to take, mine stands in the fields, and what only they changed is taken over.
      await page.locator('.theirs').getByText('Room 5').first().waitFor();
      assert.equal(await page.getByLabel('Venue').inputValue(), 'Room 7');
      assert.equal(await page.getByLabel('Description').inputValue(), 'Bring a crash.');
      assert.equal(await page.getByLabel('Title', { exact: true }).inputValue(), 'Rust evening, moved');
      assert.equal((await server.api.get(`/events/${event.id}`)).venue, 'Room 5', 'nothing was overwritten unasked');
      await press(page, 'Save event');
      const saved = await server.api.get(`/events/${event.id}`);
      assert.deepEqual([saved.title, saved.venue, saved.description], ['Rust evening, moved', 'Room 7', 'Bring a crash.']);
      await second.close();
    });

    test(`of a field that both changed, theirs can be taken, ${how}`, async () => {
      const event = await server.api.post('/events/', { ...EVENT, slug: `theirs-${script}` });
      const path = `/app/events/${event.id}/edit`;
      const person = await onPage('the second', path, script, async (person, page) => {
        await server.api.patch(`/events/${event.id}`, { venue: 'Room 5', description: 'Theirs.' });
        await page.getByLabel('Venue').fill('Room 7');
        await page.getByLabel('Description').fill('Mine.');
        await page.getByLabel('Title', { exact: true }).fill('Mine alone');
        person.allow(/^answer: 409 POST \/app\/events/);
        await press(page, 'Save event');
        const beside = (label) => page.locator('.field').filter({ has: page.getByLabel(label) }).locator('.theirs');
        const take = beside('Venue').getByRole('button', { name: 'Use theirs' });
        await Promise.all([page.waitForEvent('load'), take.click()]);
        // The one field has theirs, the others stay as they were typed, and nothing is stored by taking.
        assert.deepEqual(await Promise.all(['Venue', 'Description'].map((label) => page.getByLabel(label).inputValue())), ['Room 5', 'Mine.']);
        assert.equal(await page.getByLabel('Title', { exact: true }).inputValue(), 'Mine alone');
        assert.equal((await server.api.get(`/events/${event.id}`)).title, EVENT.title);
        await person.check();
        await press(page, 'Save event');
      });
      const saved = await server.api.get(`/events/${event.id}`);
      assert.deepEqual([saved.title, saved.venue, saved.description], ['Mine alone', 'Room 5', 'Mine.']);
      await person.close();
    });

    test(`a form sent twice makes one event, ${how}`, async () => {
      const title = `Twice ${how}`;
      const person = await onPage('a person', '/app/events/new', script, async (_, page) => {
        await page.getByLabel('Title', { exact: true }).fill(title);
        await page.getByLabel('Starts').fill('2031-05-08T18:00');
        await page.getByLabel('Ends').fill('2031-05-08T21:00');
        const form = await page.locator('form.form-sections').evaluate((form) => [...new FormData(form)]);
        // The answers are there only when it was pressed twice: what comes with the first has another button in that place.
        let release;
        const pressed = new Promise((resolve) => (release = resolve));
        const post = (route) => route.request().method() === 'POST' ? pressed.then(() => route.continue()).catch(() => {}) : route.fallback();
        await page.route('**/app/events/new', post);
        const loaded = page.waitForEvent('load');
        await page.getByRole('button', { name: 'Save event' }).last().dblclick({ noWaitAfter: true });
        release();
        await loaded;
        await page.waitForURL(/\/app\/events\/(?!new)[^/]+$/);
        // The same once more, as from a page that the browser kept.
        const again = await page.context().request.post(`${server.address}/app/events/new`, { form: Object.fromEntries(form), headers: { origin: server.address } });
        assert.ok(again.ok(), `${again.status()}`);
        assert.match(new URL(again.url()).pathname, /^\/app\/events\/(?!new)/);
      });
      const { items } = await server.api.get('/events/?size=100');
      assert.equal(items.filter((event) => event.title === title).length, 1);
      await person.close();
    });

    test(`the back button after a deletion leads to a page that says so, ${how}`, async () => {
      const event = await server.api.post('/events/', { ...EVENT, slug: `gone-${script}` });
      const person = await onPage('a person', `/app/events/${event.id}`, script, async (person, page) => {
        await page.goto(`/app/events/${event.id}/delete`);
        await press(page, /^Delete the event/);
        person.allow(/^answer: 404 GET/);
        await page.goBack();
        if ((await page.title()).includes('Delete')) await page.goBack();
        await page.getByRole('heading', { level: 1 }).waitFor();
        assert.ok(!(await page.locator('body').textContent()).includes('Open the door list'), 'an event that is gone is not shown as if it were there');
        await person.check();
        await page.getByRole('link', { name: /home|events/i }).first().waitFor();
      });
      await person.close();
    });
  }

  test('a token and an address are copied by a button, and selected where there is no clipboard', async () => {
    const event = await server.api.post('/events/', { ...EVENT, slug: 'copied', public: true });
    for (const clipboard of [true, false]) {
      const person = await visitor(server, { permissions: clipboard ? ['clipboard-read', 'clipboard-write'] : [] });
      const { page } = person;
      if (!clipboard) await page.addInitScript(() => Object.defineProperty(navigator, 'clipboard', { value: undefined }));
      const got = () => page.evaluate((clipboard) => (clipboard ? navigator.clipboard.readText() : getSelection().toString()), clipboard);
      await person.open('/app/settings/tokens', { check: false });
      await page.getByLabel('Name').fill(`Door tablet ${clipboard}`);
      await press(page, 'Make token');
      await page.getByRole('button', { name: 'Copy the token' }).click();
      await page.locator('#toasts').getByText(clipboard ? 'Copied' : 'It is selected').waitFor();
      assert.equal(await got(), await page.locator('#made').textContent());
      await person.check();
      await person.open(`/app/events/${event.id}`, { check: false });
      await page.getByRole('button', { name: 'Copy the address' }).click();
      await page.locator('#toasts').getByText(clipboard ? 'Copied' : 'It is selected').waitFor();
      assert.equal(await got(), `${server.address}/e/copied`);
      await person.close();
    }
    const without = await visitor(server, { script: false });
    await without.open(`/app/events/${event.id}`, { check: false });
    assert.equal(await without.page.locator('[data-copy]').isVisible(), false);
    await without.close();
  });

  test('the back button shows what is there, also in a browser that keeps pages', async () => {
    // The tests' own browser keeps none.
    const browser = await chromium.launch({ ...BROWSER, ignoreDefaultArgs: ['--disable-back-forward-cache'] });
    try {
      for (const control of [true, false]) {
        const user = await server.api.post('/users/', { firstName: 'Kept', lastName: `Page ${control}`, email: `kept-${control}@page.example` });
        await server.api.settled();
        const person = await visitor(server, { browser });
        const { page } = person;
        if (control) {
          // Without this header the browser shows the page that it kept.
          await page.route('**/app/**', async (route) => {
            if (route.request().resourceType() !== 'document' || route.request().method() !== 'GET') return route.continue();
            const response = await route.fetch({ maxRedirects: 0 });
            const { 'cache-control': cached, ...headers } = response.headers();
            assert.equal(cached, 'no-store');
            return route.fulfill({ response, headers });
          });
        }
        await page.goto('/app/people?q=Kept');
        await page.getByRole('link', { name: `Kept Page ${control}` }).first().click();
        await page.waitForURL(/\/app\/people\/[\w-]+$/);
        await server.api.delete(`/users/${user.id}`);
        await server.api.settled();
        // Nothing is loaded when a page comes from where it was kept.
        await page.evaluate(() => history.back());
        await page.waitForURL(/q=Kept$/, { waitUntil: 'commit' });
        await page.getByRole('heading', { level: 1, name: 'People' }).waitFor();
        assert.equal(await page.getByText(`Kept Page ${control}`).count() > 0, control);
        await person.close();
      }
    } finally {
      await browser.close();
    }
  });

  test('what is pressed twice is sent once', async () => {
    const event = await server.api.post('/events/', { ...EVENT, slug: 'pressed-twice' });
    const users = [];
    for (const n of [1, 2]) users.push(await server.api.post('/users/', { firstName: `Twice${n}`, lastName: 'Pressed', email: `twice${n}@pressed.example` }));
    await server.api.settled();
    const person = await visitor(server);
    const { page } = person;
    const sent = [];
    // Slow enough that somebody presses once more.
    let pressed;
    await page.route('**/*', async (route) => {
      const request = route.request();
      if (request.method() !== 'POST') return route.fallback();
      sent.push(new URL(request.url()).pathname);
      await pressed;
      // A newer one has replaced it.
      return route.continue().catch(() => {});
    });
    const twice = async (button) => {
      let release;
      pressed = new Promise((resolve) => (release = resolve));
      const loaded = page.waitForEvent('load');
      await button.scrollIntoViewIfNeeded();
      const box = await button.boundingBox();
      const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
      await page.mouse.click(x, y);
      await until('the first to be sent', () => sent.length > 0);
      await page.mouse.click(x, y);
      // Time for a second one to be sent.
      await new Promise((resolve) => setTimeout(resolve, 1000));
      release();
      await loaded;
    };
    // Onto a list, and the toast says that it was done, not that it was done already.
    await person.open(`/app/events/${event.id}?who=Twice1`, { check: false });
    await twice(page.locator('#found button').filter({ hasText: 'Twice1 Pressed' }));
    await page.locator('.toast').getByText('Twice1 Pressed is on the list').waitFor();
    assert.deepEqual(sent, [`/app/events/${event.id}/attendees`]);
    sent.length = 0;
    await page.goto(`/app/people/${users[1].id}/delete`);
    await twice(page.getByRole('button', { name: /^Delete Twice2/ }));
    await page.locator('.toast').getByText('Deleted Twice2 Pressed').waitFor();
    assert.deepEqual(sent, [`/app/people/${users[1].id}/delete`]);
    await person.close();
  });

  test('the mail that the composer shows by itself does not stop the campaign that is being saved', async () => {
    const person = await visitor(server);
    const { page } = person;
    await person.open('/app/campaigns/new', { check: false });
    await page.getByLabel('Subject', { exact: true }).fill('Sent while it was checked');
    await page.getByLabel('Markdown', { exact: true }).check();
    await page.getByLabel('Body', { exact: true }).fill('Hello *there*.');
    // Pressed in the moment in which the check comes back, and with it the mail.
    const loaded = page.waitForEvent('load');
    // Whoever leaves the field asks for the check.
    await page.evaluate(() => {
      const press = ({ detail }) => {
        if (detail.target.id !== 'preview') return;
        document.removeEventListener('htmx:oobAfterSwap', press, true);
        [...document.querySelectorAll('button[value=review]')].pop().click();
      };
      document.addEventListener('htmx:oobAfterSwap', press, true);
      document.activeElement.blur();
    });
    await loaded;
    assert.match(page.url(), /\/preflight$/);
    await person.close();
  });

  test('whoever stops a page that does not come can press again', async () => {
    const person = await visitor(server);
    const { page } = person;
    await person.open('/app/people/new', { check: false });
    await page.getByLabel('First name').fill('Stopped');
    await page.getByLabel('Last name').fill('Once');
    await page.getByLabel('Email').fill('stopped@once.example');
    person.allow(/ERR_ABORTED/);
    let release;
    await page.route('**/app/people/new', async (route) => {
      await new Promise((resolve) => (release = resolve));
      await route.abort().catch(() => {});
    });
    const browser = await person.context.newCDPSession(page);
    await page.getByRole('button', { name: 'Add person' }).last().click({ noWaitAfter: true });
    await until('it to be sent', () => release);
    await browser.send('Page.stopLoading');
    await page.waitForFunction(() => !document.querySelector('form[data-sent]'));
    release();
    await page.unroute('**/app/people/new');
    await press(page, 'Add person');
    await page.getByRole('heading', { level: 1, name: 'Stopped Once' }).waitFor();
    await person.close();
  });

  test('a file that was downloaded leaves the page usable', async () => {
    const user = await server.api.post('/users/', { firstName: 'Still', lastName: 'Usable', email: 'still@usable.example' });
    await server.api.settled();
    const person = await visitor(server);
    const { page } = person;
    await person.open('/app/people?q=Usable', { check: false });
    await page.getByRole('checkbox', { name: 'Select Still Usable' }).check();
    const bar = page.getByRole('group', { name: 'Selected people' });
    for (const turn of [1, 2]) {
      const [file] = await Promise.all([page.waitForEvent('download'), bar.getByRole('button', { name: 'Export' }).click()]);
      assert.equal(file.suggestedFilename(), 'people.csv', `${turn}`);
    }
    await Promise.all([page.waitForEvent('load'), bar.getByRole('button', { name: 'Delete…' }).click()]);
    await page.getByRole('heading', { name: 'Delete 1 person?' }).waitFor();
    await person.open(`/app/people/${user.id}`, { check: false });
    for (const turn of [1, 2]) {
      const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Everything as a file' }).click()]);
      assert.ok(file.suggestedFilename(), `${turn}`);
    }
    await person.close();
  });

  test('whoever leaves what they typed is asked first, and whoever sends it is not', async () => {
    const person = await visitor(server);
    const { page } = person;
    const questions = [];
    let leave = false;
    person.asked = (dialog) => {
      questions.push(page.url());
      return leave ? dialog.accept() : dialog.dismiss();
    };
    const event = await server.api.post('/events/', { ...EVENT, slug: 'asked' });
    const someone = await server.api.post('/users/', { firstName: 'Asked', lastName: 'First', email: 'asked@leaving.example' });
    const forms = [['/app/campaigns/new', 'Subject'], [`/app/events/${event.id}/edit`, 'Venue'], [`/app/people/${someone.id}/edit`, 'Company'], ['/app/settings/templates/new', 'Subject']];
    for (const [path, label] of forms) {
      await person.open(path, { check: false });
      // Nothing was typed: nobody is asked.
      const field = page.getByLabel(label).first();
      await field.click();
      await page.keyboard.press('Escape');
      await pressBoth(page, 'g', 'h');
      await page.waitForURL(/\/app$/);
      assert.deepEqual(questions, [], path);
      await person.open(path, { check: false });
      await page.getByLabel(label).first().click();
      await page.keyboard.type('Half a sentence');
      await page.keyboard.press('Escape');
      // The key for the list of keys leads away.
      const asked = page.waitForEvent('dialog');
      await page.keyboard.press('?');
      await asked;
      assert.equal(new URL(page.url()).pathname, path);
      assert.match(await page.getByLabel(label).first().inputValue(), /Half a sentence$/, path);
      assert.equal(questions.length, 1, path);
      leave = true;
      await pressBoth(page, 'g', 'h');
      await page.waitForURL(/\/app$/);
      assert.equal(questions.length, 2, path);
      questions.length = 0;
      leave = false;
    }
    // Sending it is no leaving.
    await person.open(`/app/events/${event.id}/edit`, { check: false });
    await page.getByLabel('Venue').click();
    await page.keyboard.type(' and more');
    await press(page, 'Save event');
    await page.waitForURL(/\/app\/events\/[^/]+$/);
    assert.deepEqual(questions, []);
    await person.close();
  });

  test('what does nothing without a script is not there without one', async () => {
    const event = await server.api.post('/events/', { ...EVENT, slug: 'dead-controls' });
    await server.api.post('/users/', { firstName: 'Dead', lastName: 'Control', email: 'dead@control.example' });
    await server.api.settled();
    for (const script of [true, false]) {
      const person = await visitor(server, { script });
      const { page } = person;
      const controls = [[`/app/events/${event.id}/print`, page.getByRole('button', { name: 'Print' })], ['/app/people', page.getByRole('checkbox', { name: /^Select all/ })], ['/app/campaigns/new', page.getByRole('button', { name: 'Variable' })]];
      for (const [path, control] of controls) {
        await person.open(path, { check: false });
        assert.equal(await control.isVisible(), script, `${path} ${script}`);
      }
      await person.close();
    }
  });

  test('a list that grows while it is paged shows nobody twice and leaves nobody out', async () => {
    const names = Array.from({ length: 60 }, (_, n) => `Grow${String(n).padStart(2, '0')}`);
    for (const name of names) await server.api.post('/users/', { firstName: name, lastName: 'Paging', email: `${name}@grow.example`, company: 'Growing' });
    await server.api.settled();
    const person = await visitor(server);
    const { page } = person;
    await person.open('/app/people?company=Growing&sort=name&size=20', { check: false });
    const seen = [];
    for (let turn = 0; ; turn++) {
      const here = await page.getByRole('region', { name: 'People, table' }).getByRole('rowheader').allTextContents();
      seen.push(...here.map((text) => /Grow\d\d/.exec(text)?.[0]).filter(Boolean));
      // Somebody comes who belongs on a page that was seen already.
      await server.api.post('/users/', { firstName: `Aaron${turn}`, lastName: 'Paging', email: `aaron${turn}@grow.example`, company: 'Growing' });
      await server.api.settled();
      const next = page.getByRole('link', { name: 'Next' });
      if (turn > 5 || (await next.getAttribute('aria-disabled').catch(() => 'true')) === 'true') break;
      const before = page.url();
      await next.click();
      await page.waitForURL((url) => url.href !== before);
      await page.waitForLoadState();
    }
    assert.deepEqual(seen, names);
    await person.close();
  });

  test('a list that shrinks while it is paged shows nobody twice and leaves nobody out who is still there', async () => {
    const names = Array.from({ length: 130 }, (_, n) => `Shrink${String(n).padStart(3, '0')}`);
    const ids = new Map();
    for (const name of names) ids.set(name, (await server.api.post('/users/', { firstName: name, lastName: 'Paging', email: `${name}@shrink.example`, company: 'Shrinking' })).id);
    await server.api.settled();
    const person = await visitor(server);
    const { page } = person;
    await person.open('/app/people?company=Shrinking&sort=name&size=20', { check: false });
    const seen = [];
    const gone = [];
    for (;;) {
      const heads = await page.getByRole('region', { name: 'People, table' }).getByRole('rowheader').allTextContents();
      const here = heads.map((text) => /Shrink\d\d\d/.exec(text)?.[0]);
      seen.push(...here);
      // The first and the last on this page, between whom one goes on, and one who is still to come.
      for (const name of [here[0], here.at(-1), names[names.indexOf(here.at(-1)) + 6]]) {
        if (!name) continue;
        await server.api.delete(`/users/${ids.get(name)}`);
        gone.push(name);
      }
      await server.api.settled();
      const next = page.getByRole('link', { name: 'Next' });
      if (seen.length > names.length || (await next.count()) === 0 || (await next.getAttribute('aria-disabled')) === 'true') break;
      const before = page.url();
      await next.click();
      await page.waitForURL((url) => url.href !== before);
      await page.waitForLoadState();
    }
    const never = names.filter((name) => !seen.includes(name));
    assert.ok(never.length >= 5 && never.every((name) => gone.includes(name)), `never seen: ${never}`);
    assert.deepEqual(seen, names.filter((name) => !never.includes(name)));
    await person.close();
  });
});

describe('without an index', () => {
  let server;
  before(async () => {
    server = await startServer({ aws: true });
  });
  after(() => server?.stop());

  test('people are still there, and the pages say what does not work', async () => {
    const user = await server.api.post('/users/', { firstName: 'Mara', lastName: 'Okonjo', email: 'mara@down.example', company: 'Quillmoor Labs' });
    const event = await server.api.post('/events/', EVENT);
    await server.api.settled();
    await server.search.open(false);
    const person = await visitor(server);
    const { page } = person;
    person.allow(/^answer: 503 GET/);
    const list = await page.goto('/app/people');
    assert.ok([200, 503].includes(list.status()), `${list.status()}`);
    await page.getByText(/search.*(not possible|does not answer|unavailable|down)/i).first().waitFor();
    await person.check();
    for (const path of ['/app', `/app/people/${user.id}`, `/app/events/${event.id}`, '/app/campaigns']) await person.open(path);
    // Which events are to come is asked of the index; all of them are in the storage.
    await person.open('/app/events');
    await page.getByText('Searching is not possible right now').waitFor();
    await page.getByRole('link', { name: EVENT.title }).waitFor();
    // Forms stay, and say what cannot be looked up.
    for (const path of ['/app/campaigns/new', '/app/events/calendar', '/app/search?q=Mara', `/app/events/${event.id}?who=Mara`]) {
      await person.open(path);
      await page.getByText(/cannot be counted right now|Searching is not possible right now/).first().waitFor();
    }
    await person.open('/app/events/new', { check: false });
    await page.getByLabel('Title', { exact: true }).fill('While it is away');
    await page.getByLabel('Find a host by name or address').fill('mara@down.example');
    await Promise.all([page.waitForEvent('load'), page.getByRole('option', { name: /Mara Okonjo/ }).click()]);
    assert.equal(await page.getByLabel('Title', { exact: true }).inputValue(), 'While it is away');
    await person.open('/app/events?q=evening&view=past&who=Mara', { check: false });
    await page.getByRole('link', { name: EVENT.title }).waitFor();
    await server.search.open(true);
    await person.open('/app/people');
    await page.getByRole('region', { name: 'People, table' }).getByText('Mara Okonjo').waitFor();
    await person.close();
  });
});
