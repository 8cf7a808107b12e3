// The main job from the first page to the last mail by keys alone: no mouse, no address typed, no field that is filled in another way.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, test } from 'node:test';
import { until } from './helpers/api.mjs';
import { enter, getsFocus, hasFocus, look, opened, pressBoth, still, tabTo } from './helpers/keys.mjs';
import { mailTo, mailsTo, unsubscribeLink } from './helpers/mail.mjs';
import { startServer } from './helpers/server.mjs';
import { closeBrowser, visitor } from './helpers/visitor.mjs';
import { address, num, peopleCsv } from './walk.mjs';

after(closeBrowser);

const CAPACITY = 2;

test('the main job by keys alone', { timeout: 240_000 }, async (t) => {
  const server = await startServer();
  const person = await visitor(server);
  try {
    await byKeys(t, server, person);
  } finally {
    await person.context.close();
    await server.stop();
  }
});

// A pointer that is used on the way is a complaint of the browser, as others are.
const withoutPointer = (person) => person.context.addInitScript(() => addEventListener('pointerdown', () => console.error('a pointer was used'), true));

async function byKeys(t, server, person) {
  const { page } = person;
  const { keyboard } = page;
  const own = randomBytes(4).toString('hex');
  // One column has a name that says nothing to the import.
  const csv = peopleCsv({ good: 600, own });
  csv.text = csv.text.replace('City', 'Lives in');
  const chosen = csv.good / 100;
  const subject = `By keys ${own}`;

  const main = page.getByRole('main');
  const button = (name, options) => page.getByRole('button', { name, ...options });
  const press = async (...keys) => {
    for (const key of keys) await keyboard.press(key);
  };
  // Presses what is reached by Tab, and is on the page that it leads to.
  const follow = async (target) => {
    await tabTo(page, target);
    await enter(page);
  };
  const go = async (key, path) => {
    await pressBoth(page, 'g', key);
    await page.waitForURL(server.address + path);
    await page.waitForLoadState();
  };
  // Month, day, year, hour, minute and half of the day, as the browser of these tests has it. A year may have more than four digits, so it does not end by itself.
  const typeMoment = async (field, [date, year, time], value) => {
    if (!(await hasFocus(field))) await tabTo(page, field);
    await keyboard.type(date);
    await keyboard.type(year);
    await press('ArrowRight');
    await keyboard.type(time);
    assert.equal(await field.inputValue(), value);
  };
  // A list of choices forgets what was typed a second ago, so a machine that stood still meanwhile types it again.
  const choose = async (list, text, value) => {
    await tabTo(page, list);
    await until(`${text} to be chosen`, async () => {
      await keyboard.type(text);
      return (await list.inputValue()) === value || (await new Promise((resolve) => setTimeout(resolve, 1_100)));
    });
  };
  // Each step begins where the one before ended.
  let broken = false;
  const step = (name, act) =>
    t.test(name, { skip: broken && 'the step before it failed' }, async () => {
      broken = true;
      await act();
      person.calm();
      broken = false;
    });

  await withoutPointer(person);
  // The dialog of the system, which is no part of the page. Who listens before the page comes does not miss it.
  page.on('filechooser', (chooser) => chooser.setFiles({ name: 'members.csv', mimeType: 'text/csv', buffer: Buffer.from(csv.text) }));
  await person.open('/app', { check: false });

  await step('a file is chosen on the first page', async () => {
    const field = page.getByLabel('File');
    await tabTo(page, field);
    await press('Enter');
    await until('the file to be chosen', () => field.evaluate(({ files }) => files.length === 1));
    await follow(button('Check the file'));
  });

  await step('its columns are named, looked at and imported', async () => {
    const city = page.getByLabel('Lives in');
    assert.equal(await city.inputValue(), '', 'what this column is has to be said');
    await choose(city, 'City', 'city');
    await follow(button('Check again'));
    assert.equal(await city.inputValue(), 'city');
    assert.match(await page.getByRole('region', { name: 'What would happen' }).textContent(), new RegExp(`New people\\s*${num(csv.good)}[^]*left out\\s*1`));
    await follow(button(`Import ${num(csv.good)} people`));
    // The page renews itself.
    await page.getByRole('heading', { name: 'Imported' }).waitFor({ timeout: 60_000 });
    assert.match(await main.textContent(), new RegExp(`People added\\s*${num(csv.good)}`));
    await server.api.settled();
  });

  await step('an event is made, after a mistake', async () => {
    await go('e', '/app/events');
    await Promise.all([page.waitForEvent('load'), press('n')]);
    const title = page.getByLabel('Title', { exact: true });
    if (!(await hasFocus(title))) await tabTo(page, title);
    await keyboard.type('By keys alone');
    await tabTo(page, page.getByLabel(/^Public page/));
    await press('Space');
    await typeMoment(page.getByLabel('Starts'), ['0508', '2031', '0600PM'], '2031-05-08T18:00');
    await typeMoment(page.getByLabel('Ends'), ['0508', '2031', '0500PM'], '2031-05-08T17:00');
    await choose(page.getByLabel('Time zone'), 'Europe/Berlin', 'Europe/Berlin');
    await tabTo(page, page.getByLabel('Capacity'));
    await keyboard.type(String(CAPACITY));
    person.allow(/^answer: 422 POST \/app\/events\/new/);
    await Promise.all([page.waitForEvent('load'), press('Control+Enter')]);
    // What is wrong has the focus, and leads to its field.
    await getsFocus(page.getByRole('alert'), 'what is wrong has the focus');
    await tabTo(page, page.getByRole('alert').getByRole('link', { name: /^Ends/ }));
    await press('Enter');
    await getsFocus(page.getByLabel('Ends'), 'what is wrong leads to its field');
    await typeMoment(page.getByLabel('Ends'), ['0508', '2031', '0900PM'], '2031-05-08T21:00');
    await follow(button('Save event').last());
    await page.getByRole('heading', { level: 1, name: 'By keys alone' }).waitFor();
    const event = await server.api.get(new URL(page.url()).pathname.replace('/app/events', '/events'));
    assert.deepEqual([event.startAt, event.endAt, event.timezone, event.maxCapacity, event.public], ['2031-05-08T18:00', '2031-05-08T21:00', 'Europe/Berlin', CAPACITY, true]);
  });

  await step('people are found and added until it is full', async () => {
    for (const name of ['Person100', 'Person200']) {
      await tabTo(page, page.getByLabel('Add a person by name or address'));
      await look(page, name);
      const found = page.getByRole('listbox', { name: 'People found' }).getByRole('option', { name });
      await found.first().waitFor();
      await press('ArrowDown');
      assert.equal(await found.first().getAttribute('aria-selected'), 'true');
      await enter(page);
      await page.getByRole('region', { name: 'Attendees, table' }).getByText(name).first().waitFor();
    }
    await page.getByText(`All ${CAPACITY} places are taken`).first().waitFor();
  });

  await step('a filter finds those in one city, and leads to a campaign', async () => {
    await go('p', '/app/people');
    const box = page.getByRole('checkbox', { name: /^Round Rock/ });
    await tabTo(page, box);
    await press('Space');
    await page.getByRole('heading', { name: `${num(chosen)} people` }).waitFor();
    await still(page);
    await getsFocus(box, 'the list was replaced, and the focus stays where it was');
    assert.ok(await box.isChecked());
    await follow(page.getByRole('link', { name: `Mail these ${num(chosen)} people` }));
    await page.locator('#audience').getByText(`${num(chosen)} people match`).waitFor();
  });

  await step('a campaign is written', async () => {
    await tabTo(page, page.getByLabel('Subject', { exact: true }));
    await keyboard.type(subject);
    const formats = page.getByRole('group', { name: 'Format of the body' });
    await tabTo(page, formats.locator(':checked'));
    for (let presses = 0; presses < 2 && !(await hasFocus(formats.getByLabel('Text', { exact: true }))); presses++) await press('ArrowLeft');
    assert.ok(await formats.getByLabel('Text', { exact: true }).isChecked());
    // A variable by its menu, which gives the focus to the body.
    const body = page.getByLabel('Body', { exact: true });
    await tabTo(page, body);
    await keyboard.type('Hello ');
    await tabTo(page, button('Variable'), { back: true });
    await press('Enter');
    const variable = button('{{ user.firstName }}');
    await variable.waitFor();
    await opened(page);
    if (!(await hasFocus(variable))) await tabTo(page, variable);
    await press('Enter');
    await getsFocus(body, 'the cursor is back in the body');
    await keyboard.type(',');
    await press('Enter', 'Enter');
    await keyboard.type('see you on Thursday.');
    assert.equal(await body.inputValue(), 'Hello {{ user.firstName }},\n\nsee you on Thursday.');
    await page.locator('#preview').getByText('Hello Person').first().waitFor();
    await follow(button('Save and review').last());
  });

  await step('it is reviewed and sent', async () => {
    await page.getByRole('region', { name: 'Who gets it' }).getByText(`${num(chosen)} people get it`).waitFor();
    const ask = button(`Send ${num(chosen)} mails…`);
    await tabTo(page, ask);
    await press('Enter');
    const last = page.getByRole('dialog').getByRole('button', { name: `Send ${num(chosen)} mails` });
    await last.waitFor();
    // What opens has the focus inside, and Escape gives it back.
    await opened(page);
    await press('Escape');
    await getsFocus(ask, 'who closes the dialog is where it was opened');
    await press('Enter');
    await last.waitFor();
    await opened(page);
    if (!(await hasFocus(last))) await tabTo(page, last);
    await enter(page);
  });

  await step('it is watched until it has ended', async () => {
    await page.locator('#progress').getByText(`${num(chosen)} of ${num(chosen)} sent`).waitFor({ timeout: 60_000 });
    await page.locator('.page-head').getByText('Sent', { exact: true }).waitFor({ timeout: 60_000 });
    await page.waitForLoadState();
  });

  await step('one mail is looked up in the ledger', async () => {
    await tabTo(page, page.getByLabel('Search the ledger by address'));
    await keyboard.type(address(200, own));
    await enter(page);
    const rows = page.getByRole('region', { name: 'Ledger, table' }).getByRole('rowheader');
    assert.equal(await rows.count(), 1);
    await page.getByRole('row', { name: address(200, own) }).getByText('Sent', { exact: true }).waitFor();
    // From the row to the person, and what they were sent.
    await press('j');
    await enter(page);
    await page.getByRole('region', { name: 'Timeline' }).getByText(subject).waitFor();
  });

  await step('its reader unsubscribes', async () => {
    const mail = await mailTo(server, address(200, own));
    assert.match(mail.text, /^Hello Person200,\s+see you on Thursday\./);
    const reader = await visitor(server, { width: 390, height: 844 });
    await withoutPointer(reader);
    await reader.open(new URL(unsubscribeLink(mail)).pathname, { check: false });
    await tabTo(reader.page, reader.page.getByRole('button', { name: 'Unsubscribe' }));
    await enter(reader.page);
    await reader.page.getByRole('heading', { level: 1, name: /no more/ }).waitFor();
    await reader.close();
  });
  await step('the next campaign leaves them out', async () => {
    await go('p', '/app/people');
    await tabTo(page, page.getByRole('checkbox', { name: /^Round Rock/ }));
    await press('Space');
    await page.getByRole('heading', { name: `${num(chosen)} people` }).waitFor();
    await follow(page.getByRole('link', { name: `Mail these ${num(chosen)} people` }));
    await tabTo(page, page.getByLabel('Subject', { exact: true }));
    await keyboard.type(`More ${subject}`);
    await tabTo(page, page.getByLabel('Body', { exact: true }));
    await keyboard.type('Hello there.');
    await follow(button('Save and review').last());
    const who = page.getByRole('region', { name: 'Who gets it' });
    await who.getByText(`${num(chosen - 1)} people get it`).waitFor();
    await who.getByText('− 1').first().waitFor();
    await tabTo(page, button(`Send ${num(chosen - 1)} mails…`));
    await press('Enter');
    const last = page.getByRole('dialog').getByRole('button', { name: `Send ${num(chosen - 1)} mails` });
    await last.waitFor();
    await opened(page);
    if (!(await hasFocus(last))) await tabTo(page, last);
    await enter(page);
    await page.locator('.page-head').getByText('Sent', { exact: true }).waitFor({ timeout: 60_000 });
    await page.waitForLoadState();
    await tabTo(page, page.getByLabel('Search the ledger by address'));
    await keyboard.type(address(200, own));
    await enter(page);
    await page.getByRole('row', { name: address(200, own) }).getByText('Left out', { exact: true }).waitFor();
    await mailTo(server, address(300, own), (mail) => mail.subject === `More ${subject}`);
    assert.equal((await mailsTo(server, address(200, own))).length, 1, 'who unsubscribed got no second mail');
  });
}
