// Every page, with hostile texts in it: nothing runs, everything can be read, by everybody, on every screen.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { closeBrowser, visitor } from './helpers/visitor.mjs';
import { NOT_PAGES, PAGES, routesInSource } from './pages.mjs';
import { LITERAL, startSeeded } from './seed.mjs';

const here = await routesInSource();
test('every page of the router is looked at', async () => {
  const known = new Set([...PAGES.map(({ route }) => route), ...NOT_PAGES]);
  assert.deepEqual(here.filter((route) => !known.has(route)), [], 'these routes are not in pages.mjs');
});

describe('pages', () => {
  let server;
  let seeded;
  let stop;
  before(async () => {
    ({ server, seeded, stop } = await startSeeded());
  });
  after(async () => {
    await closeBrowser();
    await stop?.();
  });

  for (const { route, path, name, shows = [], status = 200, allow = [] } of PAGES) {
    if (!path || !here.includes(route)) continue;
    test(`${name}: ${route}`, async () => {
      const person = await visitor(server);
      person.allow(...allow);
      await person.open(path(seeded), { status });
      const shown = await person.page.evaluate(() => document.body.textContent + [...document.querySelectorAll('input, textarea')].map((field) => field.value).join('\n'));
      for (const kind of shows) {
        for (const literal of LITERAL[kind]) assert.ok(shown.includes(literal), `${literal} is not shown as it was typed`);
      }
      await person.close();
    });
  }
});
