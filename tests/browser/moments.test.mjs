// What holds for every page holds for what it shows only at times, too: valid, accessible in light and dark, no wider than a telephone.
import { after, before, describe, test } from 'node:test';
import { startServer } from './helpers/server.mjs';
import { closeBrowser, visitor } from './helpers/visitor.mjs';
import { MOMENTS, SETTINGS } from './moments.mjs';
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
    });
    after(async () => {
      await person?.context.close();
      await stop?.();
    });

    // Whether a moment failed, and told its complaints.
    let told = false;
    for (const [, name, act, allow = []] of MOMENTS.filter(([where]) => where === kind)) {
      test(name, async () => {
        if (told) person.faults.length = 0;
        person.calm();
        person.allowed = allow;
        told = true;
        await act(person.page, seeded, server.api, server);
        await person.check();
        told = false;
      });
    }
    test('nothing is complained of afterwards', () => told || person.calm());
  });
}
