// Every page as a picture, at three widths, light and dark:  node screenshots.mjs FOLDER [--plain]
// The three small pictures of the README instead:  node screenshots.mjs FOLDER --readme
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startServer } from './helpers/server.mjs';
import { closeBrowser, visitor } from './helpers/visitor.mjs';
import { MOMENTS, SETTINGS } from './moments.mjs';
import { PAGES, routesInSource } from './pages.mjs';
import { startSeeded } from './seed.mjs';

const folder = process.argv[2];
// With --plain the community has no hostile texts: for looking at, not for testing.
const readme = process.argv.includes('--readme');
const plain = readme || process.argv.includes('--plain');
// Pages, their windows and their colours in the README.
const README = { home: 'light', people: 'light', event: 'dark' };
const README_SIZE = { width: 1120, height: 700 };
// The widest first: frames below the window are loaded only then.
const WIDTHS = [[1440, 900], [900, 900], [390, 844]];

const here = await routesInSource();
await mkdir(folder, { recursive: true });
const { server, seeded, stop } = await startSeeded({ plain });
try {
  let count = 0;
  for (const [name, colorScheme] of readme ? Object.entries(README) : []) {
    const person = await visitor(server, { ...README_SIZE, colorScheme });
    const { path } = PAGES.find((page) => page.name === name);
    await person.page.goto(path(seeded).split('?')[0]);
    // Playwright writes no WebP, the browser does.
    const browser = await person.context.newCDPSession(person.page);
    const { data } = await browser.send('Page.captureScreenshot', { format: 'webp', quality: 82 });
    await writeFile(join(folder, `${name}.webp`), Buffer.from(data, 'base64'));
    await person.context.close();
    count++;
  }
  // One visit, and a picture for each width and scheme.
  async function take(page, name) {
    for (const [width, height] of WIDTHS) {
      await page.setViewportSize({ width, height });
      for (const colorScheme of ['light', 'dark']) {
        await page.emulateMedia({ colorScheme });
        await page.screenshot({ path: join(folder, `${name}-${width}-${colorScheme}.png`), fullPage: true, timeout: 60_000 });
        count++;
      }
    }
  }
  if (!readme) {
    const person = await visitor(server);
    for (const { route, path, name } of PAGES) {
      if (!path || !here.includes(route)) continue;
      await person.page.goto(path(seeded));
      await take(person.page, name);
    }
    await person.context.close();
    for (const kind of ['full', ...Object.keys(SETTINGS)]) {
      const of = kind === 'full' ? server : await startServer({ settings: SETTINGS[kind] });
      const one = await visitor(of);
      for (const [, name, act] of MOMENTS.filter(([where]) => where === kind)) {
        try {
          await act(one.page, seeded, of.api, of);
        } catch (error) {
          throw new Error(`${name}: ${error.message}`);
        }
        await take(one.page, name);
        await one.page.setViewportSize({ width: 1280, height: 900 });
      }
      await one.context.close();
      if (of !== server) await of.stop();
    }
  }
  console.log(`${count} pictures in ${folder}`);
} finally {
  await closeBrowser();
  await stop();
}
