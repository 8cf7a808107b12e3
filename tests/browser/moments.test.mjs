// What holds for every page holds for what it shows only at times, too: valid, accessible in light and dark, no wider than a telephone.
import { after, before, describe, test } from 'node:test';
import { startServer } from './helpers/server.mjs';
import { closeBrowser, visitor } from './helpers/visitor.mjs';
import { MOMENTS, SETTINGS } from './moments.mjs';
import { HELD_BACK } from './pages.mjs';
import { startSeeded } from './seed.mjs';

after(closeBrowser);

for (const kind of ['full', ...Object.keys(SETTINGS)]) {
  describe(`moments, ${kind}`, () => {
    let seeded;
    let server;
    let stop;
    let person;
    before(async () => {
      if (kind === 'full') ({ server, seeded, stop } = await startSeeded());
      else {
        server = await startServer({ aws: false, settings: SETTINGS[kind] });
        stop = server.stop;
      }
      person = await visitor(server);
      // A form with faults answers so, as does a page for which somebody has to sign in.
      person.allow(/^answer: 4[012]\d (GET|POST) \/(app|e)/, ...HELD_BACK);
    });
    after(async () => {
      await person?.context.close();
      await stop?.();
    });

    for (const [, name, act] of MOMENTS.filter(([where]) => where === kind)) {
      test(name, async () => {
        // Complaints of the one before are told there.
        person.faults.length = 0;
        await act(person.page, seeded, server.api);
        await person.check();
      });
    }
  });
}
