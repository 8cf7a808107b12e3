// What Lighthouse says of accessibility and best practices, as an audit beside axe:  node lighthouse.mjs
// Ends with 1 below 95. Its score for speed depends on the machine; speed.mjs measures the server instead.
import { pathToFileURL } from 'node:url';
import { join } from 'node:path';
import { chromium } from './helpers/packages.mjs';
import { freePort, startServer } from './helpers/server.mjs';
import { seed } from './seed.mjs';

const LEAST = 95;
const CATEGORIES = ['accessibility', 'best-practices'];

const { default: lighthouse } = await import(pathToFileURL(join(process.env.EMCRM_BROWSER_PACKAGES, 'node_modules/lighthouse/core/index.js')).href);
const server = await startServer();
const port = await freePort();
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-dev-shm-usage', `--remote-debugging-port=${port}`] });
try {
  const seeded = await seed(server.api, { plain: true });
  const pages = { home: '/app', people: '/app/people', event: `/app/events/${seeded.event.id}`, 'public event': '/e/hostile-event' };
  console.log('| page | accessibility | best practices |\n|---|---|---|');
  for (const [name, path] of Object.entries(pages)) {
    const { lhr } = await lighthouse(server.address + path, { port, onlyCategories: CATEGORIES, logLevel: 'error' });
    const scores = CATEGORIES.map((category) => Math.round(lhr.categories[category].score * 100));
    console.log(`| ${name} | ${scores.join(' | ')} |`);
    const lost = CATEGORIES.flatMap((category) => lhr.categories[category].auditRefs).filter(({ id, weight }) => weight > 0 && lhr.audits[id].score !== null && lhr.audits[id].score < 1);
    for (const { id } of lost) console.log(`  ${id}: ${lhr.audits[id].title} ${JSON.stringify(lhr.audits[id].details?.items?.slice(0, 2) ?? '').slice(0, 400)}`);
    if (scores.some((score) => score < LEAST)) process.exitCode = 1;
  }
} finally {
  await browser.close();
  await server.stop();
}
