// Where mails become files, the outbox shows them.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { startServer } from './helpers/server.mjs';
import { closeBrowser, visitor } from './helpers/visitor.mjs';
import { HELD_BACK } from './pages.mjs';
import { LITERAL, seed } from './seed.mjs';

test('mails that became files can be read', async () => {
  const server = await startServer({ aws: false, settings: { MAIL_TRANSPORT: 'outbox' } });
  try {
    await seed(server.api);
    const person = await visitor(server);
    const { page } = person;
    person.allow(...HELD_BACK);
    await person.open('/app/outbox');
    const shown = await page.locator('main').textContent();
    for (const literal of LITERAL.campaign) assert.ok(shown.includes(literal), literal);
    await Promise.all([page.waitForEvent('load'), page.getByRole('main').getByRole('rowheader').getByRole('link').first().click()]);
    assert.match(new URL(page.url()).pathname, /^\/app\/outbox\/./);
    await person.check();
    await person.close();
  } finally {
    await closeBrowser();
    await server.stop();
  }
});

after(closeBrowser);
