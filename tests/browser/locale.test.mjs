// Dates, times and numbers as the reader writes them: in the application, on public pages, and in what a script adds there.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { until } from './helpers/api.mjs';
import { startServer } from './helpers/server.mjs';
import { closeBrowser, visitor } from './helpers/visitor.mjs';

const EVENT = { title: 'Rust evening', slug: 'rust-evening', startAt: '2031-05-08T18:00:00', endAt: '2031-05-08T21:00:00', timezone: 'America/Chicago', venue: 'Room 3', maxCapacity: 1200, public: true };
const READERS = [
  {
    locale: 'de-DE', date: 'Thursday, 8 May 2031', times: '18:00–21:00', capacity: '1.200', here: 'Where you are: Fri, 9 May, 01:00–04:00',
    day: /^\d{1,2} [A-Z][a-z]{2} 20\d\d$/, exact: /^\d{1,2} [A-Z][a-z]{2} 20\d\d, \d\d:\d\d:\d\d CES?T$/,
  },
  {
    locale: 'en-US', date: 'Thursday, May 8, 2031', times: '6:00–9:00 PM', capacity: '1,200', here: 'Where you are: Fri, May 9, 1:00–4:00 AM',
    day: /^[A-Z][a-z]{2} \d{1,2}, 20\d\d$/, exact: /^[A-Z][a-z]{2} \d{1,2}, 20\d\d, \d{1,2}:\d\d:\d\d [AP]M CES?T$/,
  },
];

describe('the reader writes dates and numbers', () => {
  let server;
  let event;
  let user;
  before(async () => {
    server = await startServer();
    event = await server.api.post('/events/', EVENT);
    user = await server.api.post('/users/', { firstName: 'Ada', lastName: 'Quist', email: 'ada@example.org' });
    await server.api.settled();
    await until('the list to have the event', async () => (await (await fetch(`${server.address}/app/events`)).text()).includes(EVENT.title));
  });
  after(async () => {
    await closeBrowser();
    await server?.stop();
  });

  for (const { locale, date, times, capacity, here, day, exact } of READERS) {
    for (const script of [true, false]) {
      const how = `${locale}, ${script ? 'with scripts' : 'without scripts'}`;
      const text = async (page, selector) => (await page.locator(selector).first().textContent()).trim();

      test(`in the application, ${how}`, async () => {
        const person = await visitor(server, { script, locale });
        const { page } = person;
        // Tells the server in which zone the reader is, where there are scripts.
        await person.open('/app', { check: false });
        await person.open('/app/people', { check: false });
        assert.match(await text(page, 'td time'), day);
        await person.open(`/app/people/${user.id}`, { check: false });
        const title = await page.locator('time[title]').first().getAttribute('title');
        assert.match(script ? title : title.replace('UTC', 'CET'), exact);
        await person.open('/app/events', { check: false });
        await page.getByText(`Thu, ${times} (America/Chicago)`).waitFor();
        await person.open(`/app/events/${event.id}`);
        assert.equal(await text(page, 'time[datetime="2031-05-08T23:00:00Z"]'), `${date}, ${times}`);
        await page.getByText(`of ${capacity}`).first().waitFor();
        await person.close();
      });

      test(`on the page for anybody, ${how}`, async () => {
        const person = await visitor(server, { script, locale });
        await person.open(`/e/${EVENT.slug}`);
        assert.equal(await text(person.page, '.public-facts time'), `${date}, ${times}`);
        await person.page.getByText(`of ${capacity}`).first().waitFor();
        const local = person.page.locator('[data-local]');
        if (script) await local.filter({ hasText: new RegExp(`^${here}$`) }).waitFor();
        assert.equal(await local.textContent(), script ? here : '', 'where the reader is, it is at another time');
        await person.close();
      });
    }
  }
});
