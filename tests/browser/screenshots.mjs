// Every page as a picture, at three widths, light and dark:  node screenshots.mjs FOLDER
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { mailTo, unsubscribeLink } from './helpers/mail.mjs';
import { startServer } from './helpers/server.mjs';
import { closeBrowser, visitor } from './helpers/visitor.mjs';
import { PAGES, routesInSource } from './pages.mjs';
import { seed, seedImport } from './seed.mjs';

const folder = process.argv[2];
// With --plain the community has no hostile texts: for looking at, not for testing.
const plain = process.argv.includes('--plain');
const WIDTHS = [[390, 844], [900, 900], [1440, 900]];

const here = await routesInSource();
const server = await startServer();
try {
  await mkdir(folder, { recursive: true });
  const seeded = await seed(server.api, { plain });
  if (here.includes('/app/people/import')) seeded.import = await seedImport(server.address);
  seeded.unsubscribe = new URL(unsubscribeLink(await mailTo(server, seeded.person.email))).pathname;
  let count = 0;
  for (const scheme of ['light', 'dark']) {
    for (const [width, height] of WIDTHS) {
      const person = await visitor(server, { width, height, colorScheme: scheme });
      for (const { route, path, name } of PAGES) {
        if (!path || !here.includes(route)) continue;
        await person.page.goto(path(seeded));
        await person.page.screenshot({ path: join(folder, `${name}-${width}-${scheme}.png`), fullPage: true });
        count++;
      }
      await person.context.close();
    }
  }
  console.log(`${count} pictures in ${folder}`);
} finally {
  await closeBrowser();
  await server.stop();
}
