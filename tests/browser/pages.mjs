// Every page that can be read: its route as the router has it, and where to look at it in the community of seed.mjs. A test fails when the router has a
// page that stands here not.
//
//   route   as in the router
//   path    where it is, from what was seeded; `null` with a reason where there is nothing to look at
//   shows   whose texts stand on it and must be literal: person, event, campaign, template
//   status  where it is not 200
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';

export const PAGES = [
  { route: '/u/{token}', path: (s) => s.unsubscribe, name: 'unsubscribe' },
  { route: '/u/{token}', path: () => '/u/forged', status: 404, name: 'unsubscribe-forged' },
];

// Routes that answer GET with something that is no page.
export const NOT_PAGES = ['/assets/{file}', '/t/o/{file}', '/t/c/{token}'];

// Routes of the web that answer GET, read from the router's source.
export async function routesInSource() {
  const folder = join(import.meta.dirname ?? new URL('.', import.meta.url).pathname, '../../crates/server/src/web');
  const files = (await readdir(folder, { recursive: true })).filter((name) => name.endsWith('.rs'));
  const routes = new Set();
  for (const file of files) {
    const source = await readFile(join(folder, file), 'utf8');
    if (/\.nest\(/.test(source)) throw new Error(`${file}: nested routers are not understood here`);
    for (const found of source.matchAll(/\.route\(\s*"([^"]+)",/g)) {
      if (/\bget\(/.test(argument(source, found.index + found[0].length))) routes.add(found[1]);
    }
  }
  return [...routes].sort();
}

// The text from here to the bracket that closes the call.
function argument(source, from) {
  let depth = 1;
  for (let at = from; at < source.length; at++) {
    if (source[at] === '(') depth++;
    if (source[at] === ')' && --depth === 0) return source.slice(from, at);
  }
  return '';
}
