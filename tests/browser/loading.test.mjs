// What a browser has to fetch before it shows a page, and whether the page holds still afterwards.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startServer } from './helpers/server.mjs';
import { closeBrowser, visitor } from './helpers/visitor.mjs';
import { seed } from './seed.mjs';

// Bytes over the wire of the first visit, with everything it needs.
const FIRST_VISIT = 100_000;
// A table that is painted while its last rows are still on their way may move a column by some pixels (0.0007); nothing else may move. 0.1 counts as good.
const STILL = 0.001;

describe('loading', () => {
  let server;
  let pages;
  before(async () => {
    server = await startServer();
    const seeded = await seed(server.api, { plain: true });
    pages = {
      home: '/app', people: '/app/people?size=50', person: `/app/people/${seeded.person.id}`, events: '/app/events', event: `/app/events/${seeded.event.id}`,
      campaigns: '/app/campaigns', composer: `/app/campaigns/${seeded.draft}/edit`, settings: '/app/settings', 'public event': '/e/hostile-event',
    };
  });
  after(async () => {
    await closeBrowser();
    await server?.stop();
  });

  // Everything that a first visit fetches: address, bytes on the wire, what the browser knows of each.
  async function firstVisit(path, { width = 1280, timezoneId = 'UTC' } = {}) {
    // Pages move as they do for most people.
    const person = await visitor(server, { width, timezoneId, reducedMotion: 'no-preference' });
    const { page } = person;
    await page.addInitScript(() => {
      window.moved = 0;
      new PerformanceObserver((list) => list.getEntries().forEach((entry) => { if (!entry.hadRecentInput) window.moved += entry.value; })).observe({ type: 'layout-shift', buffered: true });
    });
    const answers = [];
    page.on('response', (response) => answers.push(response));
    await page.goto(path, { waitUntil: 'networkidle' });
    const timing = await page.evaluate(() => [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')].map(({ name, transferSize, renderBlockingStatus }) => ({ name, bytes: transferSize, blocking: renderBlockingStatus })));
    const moved = await page.evaluate(() => window.moved);
    const headers = new Map();
    for (const answer of answers) headers.set(answer.url(), await answer.allHeaders());
    await person.close();
    return { timing, headers, moved };
  }

  test('a first visit is small, waits for one stylesheet, and holds still', async () => {
    for (const [name, path] of Object.entries(pages)) {
      const { timing, ...first } = await firstVisit(path);
      let { moved } = first;
      // As below.
      for (let visit = 1; visit < 5 && moved > STILL; visit += 1) ({ moved } = await firstVisit(path));
      const bytes = timing.reduce((sum, one) => sum + one.bytes, 0);
      assert.ok(bytes > 5_000 && bytes < FIRST_VISIT, `${name}: ${bytes} bytes`);
      const blocking = timing.slice(1).filter((one) => one.blocking === 'blocking').map((one) => new URL(one.name).pathname);
      assert.ok(blocking.length === 1 && /^\/assets\/app-[^/]*\.css$/.test(blocking[0]), `${name} waits for ${blocking}`);
      assert.ok(moved <= STILL, `${name}: the layout shifts by ${moved}`);
    }
  });

  test('a page holds still on a phone, and where the reader is in another zone', async () => {
    for (const [name, path] of Object.entries(pages)) {
      for (const width of [390, 900]) {
        // A busy machine paints a page that it has not read to its end; what the page itself moves, it moves each time.
        let moved = Infinity;
        for (let visit = 0; visit < 5 && moved > STILL; visit += 1) {
          ({ moved } = await firstVisit(path, { width, timezoneId: 'Asia/Tokyo' }));
        }
        assert.ok(moved <= STILL, `${name} at ${width}: the layout shifts by ${moved}`);
      }
    }
  });

  test('where the reader is an event is at another time, and the page says so in one line', async () => {
    const person = await visitor(server, { timezoneId: 'Asia/Tokyo' });
    await person.open('/e/hostile-event');
    const local = person.page.locator('[data-local]');
    await local.filter({ hasText: /^Where you are: [A-Z][a-z]{2}, \d{1,2} [A-Z][a-z]{2,3}, 0[89]:00–1[12]:00$/ }).waitFor();
    assert.equal(await local.getAttribute('title'), 'Asia/Tokyo');
    await person.close();
    const there = await visitor(server, { timezoneId: 'America/Chicago' });
    await there.open('/e/hostile-event');
    await there.page.getByText('(America/Chicago)').waitFor();
    assert.equal(await there.page.locator('[data-local]').textContent(), 'The same time where you are');
    await there.close();
  });

  test('what is fetched once is never asked for again, and texts travel compressed', async () => {
    const { headers } = await firstVisit(pages.people);
    const assets = [...headers].filter(([url]) => new URL(url).pathname.startsWith('/assets/'));
    assert.ok(assets.length >= 3, `${assets.length}`);
    for (const [url, header] of assets) {
      assert.match(header['cache-control'], /max-age=31536000.*immutable/, url);
      if (/\.(css|js)$/.test(url) && Number(header['content-length']) > 8192) assert.equal(header['content-encoding'], 'gzip', url);
    }
    const page = headers.get(`${server.address}${pages.people}`);
    assert.equal(page['content-encoding'], 'gzip');
    assert.equal(page['cache-control'], 'no-store', 'people are not kept by a browser');
  });

  test('a second page fetches itself alone', async () => {
    const person = await visitor(server);
    await person.open('/app', { check: false });
    await person.page.waitForLoadState('networkidle');
    // The page that is left is idle, too.
    await Promise.all([person.page.waitForURL(`${server.address}/app/people`, { waitUntil: 'networkidle' }), person.page.getByRole('link', { name: 'People', exact: true }).first().click()]);
    const fetched = await person.page.evaluate(() => performance.getEntriesByType('resource').filter(({ transferSize }) => transferSize > 0).map(({ name }) => name));
    assert.deepEqual(fetched, []);
    await person.close();
  });
});
