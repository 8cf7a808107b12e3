// Every page that can be read: its route as the router has it, and where to look at it in the community of seed.mjs. A test fails when the router has a
// page that stands here not.
//
//   route   as in the router
//   path    where it is, from what was seeded; `null` where a server as the tests start it has none
//   shows   whose texts stand on it and must be literal: the names in LITERAL of seed.mjs
//   status  where it is not 200
//   allow   complaints of the browser that belong to it
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';

// A hostile mail in a frame is held back by the frame's own rules, and the browser says so.
export const HELD_BACK = [/violates the following Content Security Policy directive: "img-src data:/, /\/x: csp/, /^console: Blocked script execution in .*part=html/];

export const PAGES = [
  { route: '/app', path: () => '/app', name: 'home' },
  { route: '/app/search', path: (s) => `/app/search?q=${encodeURIComponent(s.other.lastName)}`, name: 'search' },

  { route: '/app/people', path: () => '/app/people?sort=name&size=100', name: 'people', shows: ['person', 'other'] },
  { route: '/app/people', path: () => '/app/people?q=nobody-is-called-this', name: 'people-none' },
  { route: '/app/people', path: (s) => `/app/people?company=${encodeURIComponent(s.other.company)}&city=${encodeURIComponent(s.other.city)}&minAttended=0`, name: 'people-filtered', shows: ['other'] },
  { route: '/app/people/to-event', path: (s) => `/app/people/to-event?company=${encodeURIComponent(s.person.company)}`, name: 'people-to-event', shows: ['person', 'event'] },
  { route: '/app/people/new', path: () => '/app/people/new', name: 'person-new' },
  { route: '/app/people/import', path: () => '/app/people/import', name: 'people-import', shows: ['import'] },
  { route: '/app/people/import/{id}', path: (s) => s.import, name: 'people-import-check', shows: ['import', 'cells'] },
  { route: '/app/people/{id}', path: (s) => `/app/people/${s.person.id}`, name: 'person', shows: ['person', 'event', 'campaign'] },
  { route: '/app/people/{id}', path: (s) => `/app/people/${s.third.id}`, name: 'person-third', shows: ['event', 'campaign'] },
  { route: '/app/people/{id}', path: (s) => `/app/people/${s.people[0].id}`, name: 'person-ordinary' },
  { route: '/app/people/{id}', path: () => '/app/people/nobody', name: 'person-unknown', status: 404 },
  { route: '/app/people/{id}/edit', path: (s) => `/app/people/${s.person.id}/edit`, name: 'person-edit', shows: ['person'] },
  { route: '/app/people/{id}/erase', path: (s) => `/app/people/${s.person.id}/erase`, name: 'person-erase', shows: ['person'] },
  { route: '/app/people/{id}/delete', path: (s) => `/app/people/${s.person.id}/delete`, name: 'person-delete', shows: ['person'] },

  { route: '/app/events', path: () => '/app/events', name: 'events', shows: ['event'] },
  { route: '/app/events/calendar', path: (s) => `/app/events/calendar?month=${s.event.startAt.slice(0, 7)}`, name: 'calendar', shows: ['event'] },
  { route: '/app/events/new', path: () => '/app/events/new', name: 'event-new' },
  { route: '/app/events/{id}', path: (s) => `/app/events/${s.event.id}?who=Donau`, name: 'event', shows: ['event', 'person'] },
  { route: '/app/events/{id}', path: (s) => `/app/events/${s.full.id}`, name: 'event-full' },
  { route: '/app/events/{id}', path: (s) => `/app/events/${s.empty.id}`, name: 'event-empty' },
  { route: '/app/events/{id}', path: () => '/app/events/nothing', name: 'event-unknown', status: 404 },
  { route: '/app/events/{id}/edit', path: (s) => `/app/events/${s.event.id}/edit`, name: 'event-edit', shows: ['event', 'person'] },
  { route: '/app/events/{id}/delete', path: (s) => `/app/events/${s.event.id}/delete`, name: 'event-delete', shows: ['event'] },
  { route: '/app/events/{id}/print', path: (s) => `/app/events/${s.event.id}/print`, name: 'event-print', shows: ['event', 'person'] },
  { route: '/app/events/{id}/import', path: (s) => `/app/events/${s.event.id}/import`, name: 'event-import', shows: ['event'] },
  { route: '/app/events/{id}/door', path: (s) => `/app/events/${s.event.id}/door?s=all`, name: 'door', shows: ['event', 'person'] },

  { route: '/app/campaigns', path: () => '/app/campaigns', name: 'campaigns', shows: ['campaign'] },
  { route: '/app/campaigns/new', path: (s) => `/app/campaigns/new?company=${encodeURIComponent(s.other.company)}`, name: 'campaign-new' },
  { route: '/app/campaigns/{id}', path: (s) => `/app/campaigns/${s.campaign}?size=100`, name: 'campaign', shows: ['campaign', 'person', 'event', 'refusal'] },
  { route: '/app/campaigns/{id}', path: (s) => `/app/campaigns/${s.draft}`, name: 'campaign-draft', shows: ['campaign'] },
  { route: '/app/campaigns/{id}', path: (s) => `/app/campaigns/${s.scheduled}`, name: 'campaign-scheduled', shows: ['campaign', 'event'] },
  { route: '/app/campaigns/{id}/edit', path: (s) => `/app/campaigns/${s.draft}/edit`, name: 'campaign-edit', shows: ['campaign', 'person', 'template'] },
  { route: '/app/campaigns/{id}/preflight', path: (s) => `/app/campaigns/${s.draft}/preflight`, name: 'campaign-preflight', shows: ['campaign', 'person'], allow: HELD_BACK },
  { route: '/app/campaigns/{id}/mail/{user}', path: (s) => `/app/campaigns/${s.campaign}/mail/${s.person.id}`, name: 'campaign-mail', shows: ['campaign', 'person'], allow: HELD_BACK },
  { route: '/app/campaigns/{id}/cancel', path: (s) => `/app/campaigns/${s.scheduled}/cancel`, name: 'campaign-cancel', shows: ['campaign'] },

  // Both belong to the transport that writes files; outbox.test.mjs looks at them.
  { route: '/app/outbox', path: () => '/app/outbox', name: 'outbox-elsewhere', status: 404 },
  { route: '/app/outbox/{name}', path: () => '/app/outbox/nothing', name: 'outbox-unknown', status: 404 },

  { route: '/app/settings', path: () => '/app/settings', name: 'settings' },
  { route: '/app/settings/suppressions', path: () => '/app/settings/suppressions', name: 'suppressions', shows: ['suppression'] },
  { route: '/app/settings/tokens', path: () => '/app/settings/tokens', name: 'tokens', shows: ['token'] },
  { route: '/app/settings/audit', path: () => '/app/settings/audit', name: 'audit' },
  { route: '/app/settings/tasks/drop', path: () => '/app/settings/tasks/drop?at=nothing', name: 'task-unknown', status: 404 },
  { route: '/app/settings/templates', path: () => '/app/settings/templates', name: 'templates', shows: ['template'] },
  { route: '/app/settings/templates/new', path: () => '/app/settings/templates/new', name: 'template-new' },
  { route: '/app/settings/templates/{id}', path: (s) => `/app/settings/templates/${s.template.id}`, name: 'template', shows: ['template'] },

  // Only where people sign in.
  { route: '/app/signin', path: null, name: 'signin' },
  { route: '/app/signedin', path: () => '/app/signedin', name: 'signedin' },
  { route: '/app/signout', path: null, name: 'signout' },

  { route: '/e/{slug}', path: () => '/e/hostile-event', name: 'public', shows: ['event'] },
  { route: '/e/{slug}', path: () => '/e/full-event', name: 'public-full' },
  { route: '/e/{slug}', path: () => '/e/nothing-here', name: 'public-unknown', status: 404 },
  { route: '/r/{token}', path: (s) => s.place, name: 'place', shows: ['event'] },
  { route: '/r/{token}', path: () => '/r/forged', name: 'place-forged', status: 404 },
  { route: '/u/{token}', path: (s) => s.unsubscribe, name: 'unsubscribe' },
  { route: '/u/{token}', path: () => '/u/forged', name: 'unsubscribe-forged', status: 404 },
];

// Routes that answer GET with something that is no page: files, pieces of pages, redirects.
export const NOT_PAGES = [
  '/',
  '/assets/{file}',
  '/t/o/{file}',
  '/t/c/{token}',
  '/app/events/people',
  '/app/events/{id}/candidates',
  '/app/events/{id}/attendees.csv',
  '/app/people/export.csv',
  '/app/people/import/{id}/faults.csv',
  '/app/campaigns/{id}/progress',
  '/app/campaigns/{id}/ledger.csv',
  '/app/settings/suppressions.csv',
];

// Routes of the web that answer GET, read from the router's source.
export async function routesInSource() {
  const folder = process.env.EMCRM_WEB ?? join(import.meta.dirname ?? new URL('.', import.meta.url).pathname, '../../crates/server/src/web');
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
