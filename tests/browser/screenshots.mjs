// Every page as a picture, at three widths, light and dark:  node screenshots.mjs FOLDER [--plain]
// The three small pictures of the README instead:  node screenshots.mjs FOLDER --readme
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startServer } from './helpers/server.mjs';
import { startSmtp } from './helpers/smtp.mjs';
import { closeBrowser, visitor } from './helpers/visitor.mjs';
import { PAGES, routesInSource } from './pages.mjs';
import { REFUSAL, REFUSED, seedAll } from './seed.mjs';

const folder = process.argv[2];
// With --plain the community has no hostile texts: for looking at, not for testing.
const readme = process.argv.includes('--readme');
const plain = readme || process.argv.includes('--plain');
// Pages, their windows and their colours in the README.
const README = { home: 'light', people: 'light', event: 'dark' };
const README_SIZE = { width: 1120, height: 700 };
const WIDTHS = [[390, 844], [900, 900], [1440, 900]];

const here = await routesInSource();
const mail = await startSmtp({ refuse: REFUSED, words: plain ? '5.1.1 no such mailbox here' : REFUSAL });
const server = await startServer({ settings: { MAIL_SMTP_URL: mail.url } });
try {
  await mkdir(folder, { recursive: true });
  const seeded = await seedAll(server, mail, { plain });
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
  for (const scheme of readme ? [] : ['light', 'dark']) {
    for (const [width, height] of WIDTHS) {
      const person = await visitor(server, { width, height, colorScheme: scheme });
      for (const { route, path, name } of PAGES) {
        if (!path || !here.includes(route)) continue;
        await person.page.goto(path(seeded));
        await person.page.screenshot({ path: join(folder, `${name}-${width}-${scheme}.png`), fullPage: true, timeout: 60_000 });
        count++;
      }
      await person.context.close();
    }
  }
  console.log(`${count} pictures in ${folder}`);
} finally {
  await closeBrowser();
  await server.stop();
  mail.stop();
}
