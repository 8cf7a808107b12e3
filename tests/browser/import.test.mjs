// Attendees of an event, pasted and from a file, and files of addresses that are not mailed. With and without scripts.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startServer } from './helpers/server.mjs';
import { closeBrowser, visitor } from './helpers/visitor.mjs';

const windows = (text) => Buffer.from(text, 'latin1');
const wide = (text) => Buffer.from(`\uFEFF${text}`, 'utf16le');

describe('files', () => {
  let server;
  before(async () => {
    server = await startServer({ settings: { MAIL_TRANSPORT: 'outbox' } });
  });
  after(async () => {
    await closeBrowser();
    await server?.stop();
  });

  const press = (page, name, role = 'button') => Promise.all([page.waitForEvent('load'), page.getByRole(role, { name }).click()]);
  for (const script of [true, false]) {
    const how = script ? 'with scripts' : 'without scripts';
    const own = script ? 'one' : 'two';

    test(`attendees come from a file, ${how}`, async () => {
      const event = await server.api.post('/events/', { title: 'By file', slug: `by-file-${own}`, startAt: '2031-05-08T18:00:00', endAt: '2031-05-08T21:00:00', maxCapacity: 2 });
      const person = await visitor(server, { script });
      const { page } = person;
      await person.open(`/app/events/${event.id}/import`);
      person.allow(/^answer: 422 POST/);
      await press(page, 'Add these people');
      await page.getByText('Paste at least one line.').waitFor();
      const text = `Name;E-mail\r\nJosé Núñez;jose.${own}@example.org\r\nNobody;nowhere\r\nBea Ode;bea.${own}@example.org\r\nCem Ulu;cem.${own}@example.org\r\n`;
      await press(page, 'Choose a file', 'link');
      await person.check();
      await page.getByLabel(/^File/).setInputFiles({ name: 'members.csv', mimeType: 'text/csv', buffer: script ? windows(text) : wide(text) });
      await press(page, 'Check the file');
      await person.check();
      const rows = await page.getByRole('region', { name: 'Left-out rows, table' }).getByRole('row').allTextContents();
      assert.deepEqual(rows.map((row) => /^\s*(\d)/.exec(row)?.[1]), [undefined, '3', '5'], 'each line is told by its number in the file');
      assert.match(rows[1], /nowhere/);
      assert.match(rows[2], /All places are taken/);
      await press(page, 'Put 2 people on the list');
      await page.getByRole('heading', { name: 'Imported' }).waitFor({ timeout: 60_000 });
      await person.check();
      await press(page, 'Show the event', 'link');
      await page.getByRole('region', { name: 'Attendees, table' }).getByText('José Núñez').waitFor();
      await person.close();
    });

    test(`addresses that are not mailed come from a file, ${how}`, async () => {
      const person = await visitor(server, { script });
      const { page } = person;
      await person.open('/app/settings/suppressions', { check: false });
      const file = { name: 'stop.csv', mimeType: 'text/csv', buffer: wide(`email,reason\nleft.${own}@example.org,unsubscribed\nno address\n`) };
      await page.getByLabel(/^File/).setInputFiles(file);
      person.allow(/^answer: 422 POST/);
      await press(page, 'Add them to the list');
      await page.getByText('1 address was put on the list, 1 line was not taken.').waitFor();
      assert.equal(await page.getByLabel(/^Or addresses/).inputValue(), 'no address', 'what was not taken can be mended');
      await person.check();
      assert.equal((await server.api.get(`/email/suppressions/left.${own}@example.org`)).reason, 'unsubscribed');
      await person.close();
    });
  }
});
