// What is changed where it stands: somebody is checked in, a fact of a person is edited. By clicks, by keys, without scripts.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { until } from './helpers/api.mjs';
import { getsFocus, still, tabTo } from './helpers/keys.mjs';
import { startServer } from './helpers/server.mjs';
import { closeBrowser, visitor } from './helpers/visitor.mjs';

const EVENT = { title: 'Rust evening', startAt: '2031-05-08T18:00:00', endAt: '2031-05-08T21:00:00', timezone: 'Europe/Berlin', maxCapacity: 20 };

describe('in place', () => {
  let server;
  before(async () => {
    server = await startServer({ aws: false, settings: { MAIL_TRANSPORT: 'outbox' } });
  });
  after(async () => {
    await closeBrowser();
    await server?.stop();
  });

  for (const how of ['by clicks', 'by keys', 'without scripts']) {
    const script = how !== 'without scripts';
    const own = how.replaceAll(' ', '-');
    const people = async (...names) => {
      const made = [];
      for (const name of names) made.push(await server.api.post('/users/', { id: `${name}-${own}`.toLowerCase(), firstName: name, lastName: 'Okonjo', email: `${name}@${own}.example`, company: 'Nimbarra' }));
      await server.api.settled();
      return made;
    };
    // Without scripts each step is a page, with them the page stays.
    const press = async (page, target) => {
      // What has just come leads to another page until its script is there.
      if (script) await still(page);
      const loaded = script ? null : page.waitForEvent('load');
      if (how === 'by keys') {
        await tabTo(page, target);
        await page.keyboard.press('Enter');
      } else await target.click();
      await loaded;
    };
    // Says so where a page came that should have stayed.
    const stays = (page) => page.evaluate(() => (window.stayed = true));
    const stayed = async (page) => assert.equal(await page.evaluate(() => window.stayed === true), script, script ? 'the page was left' : 'there are no scripts');

    for (const place of ['event', 'door']) {
      test(`somebody is checked in and out again at the ${place}, ${how}`, async () => {
        const event = await server.api.post('/events/', { ...EVENT, slug: `${place}-${own}` });
        const [ann, bea] = await people(`Ann${place}`, `Bea${place}`);
        for (const { id } of [ann, bea]) await server.api.post('/attend/', { user_id: id, event_id: event.id });
        await server.api.settled();
        const came = async () => (await server.api.get(`/attend/event/${event.id}`)).items.filter(({ attended }) => attended === 'here').map(({ user_id: id }) => id);
        const person = await visitor(server, { script });
        const { page } = person;
        await person.open(place === 'door' ? `/app/events/${event.id}/door?s=all` : `/app/events/${event.id}`, { check: false });
        const count = (here) => (place === 'door' ? page.locator('#door-count').getByText(`${here} of 2`) : page.locator('#here-meter').getByText(`${here} here`));
        const enter = page.getByRole('button', { name: `Check in Ann${place} Okonjo` });
        const undo = page.getByRole('button', { name: `Undo check-in of Ann${place} Okonjo` });
        await count(0).waitFor();
        await stays(page);
        // The second press of two quick ones meets what came in the place of the button.
        if (script) {
          await page.evaluate(() => {
            const again = ({ target }) => {
              const button = target.querySelector('form.check button');
              if (!button) return;
              document.removeEventListener('htmx:afterSettle', again);
              button.click();
            };
            document.addEventListener('htmx:afterSettle', again);
          });
        }
        await press(page, enter);
        await undo.waitFor();
        if (script) await page.waitForTimeout(1_000);
        await count(1).waitFor();
        await stayed(page);
        assert.equal(await enter.count(), 0);
        if (how === 'by keys') await getsFocus(undo, 'what was pressed was replaced, and the focus is lost');
        await person.check();
        assert.deepEqual(await came(), [ann.id]);
        if (place === 'event') {
          for (const [tab, number] of [['Here', 1], ['Not yet', 1]]) await page.getByRole('link', { name: new RegExp(`^${tab}\\s*${number}$`) }).first().waitFor();
        }
        await stays(page);
        await press(page, undo);
        await enter.waitFor();
        await count(0).waitFor();
        await stayed(page);
        assert.deepEqual(await came(), []);
        await person.close();
      });
    }

    if (how === 'by clicks') {
      test('somebody whom the search of the door has just found is checked in at once', async () => {
        const event = await server.api.post('/events/', { ...EVENT, slug: 'door-found' });
        const [dee, eve] = await people('Dee', 'Eve');
        for (const { id } of [dee, eve]) await server.api.post('/attend/', { user_id: id, event_id: event.id });
        await server.api.settled();
        const person = await visitor(server, {});
        const { page } = person;
        await person.open(`/app/events/${event.id}/door?s=all`, { check: false });
        await page.evaluate(() => {
          const found = ({ target }) => {
            const buttons = target.querySelectorAll('form.check button');
            if (buttons.length !== 1) return;
            document.removeEventListener('htmx:afterSettle', found);
            setTimeout(() => buttons[0].click(), 50);
          };
          document.addEventListener('htmx:afterSettle', found);
        });
        await page.getByRole('searchbox').fill('Dee');
        await page.getByRole('button', { name: 'Undo check-in of Dee Okonjo' }).waitFor();
        await person.close();
      });
    }

    test(`a fact of a person is edited, ${how}`, async () => {
      const [cid] = await people('Cid');
      const person = await visitor(server, { script });
      const { page } = person;
      await person.open(`/app/people/${cid.id}`, { check: false });
      const fact = page.locator('.facts > div').filter({ has: page.getByText('Company', { exact: true }) });
      const edit = page.getByRole('link', { name: 'Edit company' });
      const field = page.getByLabel('Company', { exact: true });
      const save = page.getByRole('button', { name: 'Save', exact: true });
      const company = async () => (await server.api.get(`/users/${cid.id}`)).company;
      const type = async (text) => {
        if (how !== 'by keys') return field.fill(text);
        await page.keyboard.press('Control+a');
        await (text ? page.keyboard.type(text) : page.keyboard.press('Delete'));
      };
      const begin = async () => {
        await press(page, edit);
        await field.waitFor();
        if (how === 'by keys') await getsFocus(field, 'what is edited has the focus');
      };

      // Not after all.
      await stays(page);
      await begin();
      await person.check();
      await type('Never');
      await press(page, page.locator('.editing').getByRole('link', { name: 'Cancel' }));
      await edit.waitFor();
      if (how === 'by keys') await getsFocus(edit, 'the focus is where it came from');
      assert.equal(await company(), 'Nimbarra');

      // Too long, then right.
      await begin();
      await field.evaluate((input) => input.removeAttribute('maxlength'));
      await type('x'.repeat(80));
      person.allow(/^answer: 422 POST \/app\/people/);
      await press(page, save);
      await page.getByRole('alert').getByText(/Company:/).waitFor();
      await still(page);
      assert.equal(await field.inputValue(), 'x'.repeat(80), 'nothing typed is lost');
      if (how === 'by keys') await getsFocus(field, 'what is wrong has the focus');
      await person.check();
      await type('Kelvane & <b>Sons</b>');
      await press(page, save);
      await fact.getByText('Kelvane & <b>Sons</b>').waitFor();
      if (how === 'by keys') await getsFocus(edit, 'the focus is where it came from');
      await stayed(page);
      await person.check();
      assert.equal(await company(), 'Kelvane & <b>Sons</b>');

      // Somebody else was faster.
      await begin();
      await server.api.patch(`/users/${cid.id}`, { company: 'Theirs' });
      await type('Mine');
      person.allow(/^answer: 4\d\d POST \/app\/people/);
      await press(page, save);
      await page.getByRole('alert').getByText('Theirs').waitFor();
      await still(page);
      assert.equal(await company(), 'Theirs', 'nothing was overwritten unasked');
      assert.equal(await field.inputValue(), 'Mine');
      await person.check();
      await press(page, save);
      await fact.getByText('Mine', { exact: true }).waitFor();
      assert.equal(await company(), 'Mine');
      await person.close();
    });
  }

  test('what has just come is ready: a second press in its first moment does not lead to another page', async () => {
    const event = await server.api.post('/events/', { ...EVENT, slug: 'at-once' });
    const fay = await server.api.post('/users/', { firstName: 'Fay', lastName: 'Okonjo', email: 'fay@at-once.example' });
    await server.api.post('/attend/', { user_id: fay.id, event_id: event.id });
    const person = await visitor(server);
    const { page } = person;
    for (const path of ['door?s=all', '']) {
      await person.open(`/app/events/${event.id}/${path}`.replace(/\/$/, ''), { check: false });
      await page.evaluate(() => {
        window.stayed = true;
        const again = ({ target }) => {
          const button = target.querySelector('form.check button');
          if (!button) return;
          document.removeEventListener('htmx:afterSwap', again);
          // As soon as anything can be pressed.
          Promise.resolve().then(() => button.click());
        };
        document.addEventListener('htmx:afterSwap', again);
      });
      await page.getByRole('button', { name: 'Check in Fay Okonjo' }).click();
      const undo = page.getByRole('button', { name: 'Undo check-in of Fay Okonjo' });
      await undo.waitFor();
      await page.waitForTimeout(1_000);
      assert.equal(await page.evaluate(() => window.stayed), true, 'the page was left');
      assert.equal((await server.api.get(`/attend/${fay.id}/${event.id}`)).attended, 'here');
      await undo.click();
      await page.getByRole('button', { name: 'Check in Fay Okonjo' }).waitFor();
      await still(page);
    }
    await person.close();
  });

  test('what is typed into a filter while the list comes anew stays, and is looked for', async () => {
    for (const city of ['Slowtown', 'Latecity']) await server.api.post('/users/', { firstName: city, lastName: 'Typed', email: `${city}@typed.example`, company: 'Typed', city });
    await server.api.settled();
    const person = await visitor(server);
    const { page } = person;
    await person.open('/app/people?company=Typed', { check: false });
    let asked = 0;
    let release;
    const slow = new Promise((resolve) => (release = resolve));
    await page.route('**/app/people?*city=Slowtown*', async (route) => {
      asked++;
      await slow;
      return route.continue();
    });
    await page.getByRole('checkbox', { name: /^Slowtown/ }).check();
    const field = page.getByLabel('City, another value');
    await field.click();
    await page.keyboard.type('Late');
    await until('the list to be asked for', () => asked);
    release();
    await page.getByRole('heading', { name: /^1 person/ }).waitFor();
    await still(page);
    await getsFocus(field, 'it is typed in');
    assert.equal(await field.inputValue(), 'Late');
    await page.keyboard.type('city');
    assert.equal(await field.inputValue(), 'Latecity', 'the cursor is where it was');
    assert.equal(asked, 1, 'half of it is looked for');
    await page.keyboard.press('Tab');
    await page.getByRole('heading', { name: /^2 people/ }).waitFor();
    await page.getByRole('checkbox', { name: /^Latecity/ }).and(page.locator(':checked')).waitFor();
    await person.close();
  });

  test('the key x ticks the row that has the focus, and what is done is done to those', async () => {
    for (const name of ['Xa', 'Xb', 'Xc']) await server.api.post('/users/', { firstName: name, lastName: 'Ticked', email: `${name}@ticked.example`, company: 'Ticked' });
    await server.api.settled();
    const person = await visitor(server);
    const { page } = person;
    await person.open('/app/people?company=Ticked&sort=name', { check: false });
    const ticked = () => page.locator('tbody input[type=checkbox]').evaluateAll((boxes) => boxes.map((box) => box.checked));
    // No row has the focus yet.
    await page.keyboard.press('x');
    assert.deepEqual(await ticked(), [false, false, false]);
    for (const key of ['j', 'x', 'j', 'x', 'j', 'x', 'k', 'x']) await page.keyboard.press(key);
    assert.deepEqual(await ticked(), [true, false, true]);
    const bar = page.getByRole('group', { name: 'Selected people' });
    await tabTo(page, bar.getByRole('button', { name: 'Delete…' }));
    await Promise.all([page.waitForEvent('load'), page.keyboard.press('Enter')]);
    await page.getByRole('heading', { name: 'Delete 2 people?' }).waitFor();
    await person.close();
  });
});
