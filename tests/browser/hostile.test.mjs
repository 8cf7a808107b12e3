// Hostile texts again, this time with the defences taken away: what pages.test.mjs finds quiet is quiet because of them.
//
//   neither          the text of every field runs on some page, so that none was forgotten, and the visitor notices
//   policy alone     texts are not escaped: the content security policy stops them, and each is a violation that the visitor notices
//   escaping alone   no policy: nothing runs
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { FIELDS, image, script } from './hostile.mjs';
import { withoutDefences } from './helpers/defences.mjs';
import { closeBrowser, visitor } from './helpers/visitor.mjs';
import { PAGES } from './pages.mjs';
import { startSeeded } from './seed.mjs';

// What somebody can put into an address, for somebody else to follow.
const ASKED = {
  'asked.search': () => '/app/search?q=',
  'asked.people': () => '/app/people?q=',
  'asked.company': () => '/app/people?company=',
  'asked.events': () => '/app/events?q=',
  'asked.attendees': (s) => `/app/events/${s.event.id}?q=`,
  'asked.candidates': (s) => `/app/events/${s.event.id}?who=`,
  'asked.door': (s) => `/app/events/${s.event.id}/door?q=`,
  'asked.ledger': (s) => `/app/campaigns/${s.campaign}?address=`,
  'asked.audit': () => '/app/settings/audit?object=',
  'asked.suppression': () => '/app/settings/suppressions?address=',
};

// Forms that come back because something else in them is wrong.
const REFUSED_FORMS = {
  'refused.person': () => ['/app/people/new', { firstName: image('refused.person'), email: 'nobody' }],
  'refused.event': () => ['/app/events/new', { title: image('refused.event') }],
  'refused.campaign': () => ['/app/campaigns/new', { subject: image('refused.campaign'), body: '{{ nothing', do: 'save' }],
  'refused.template': () => ['/app/settings/templates/new', { name: image('refused.template'), subject: '', body: '' }],
  'refused.token': () => ['/app/settings/tokens', { name: image('refused.token'), grant: 'viewer', days: 'some' }],
  'refused.suppression': () => ['/app/settings/suppressions', { email: image('refused.suppression') }],
  'refused.attendees': (s) => [`/app/events/${s.empty.id}/import`, { rows: script('refused.attendees') }],
  'refused.public': () => ['/e/hostile-event', { firstName: image('refused.public') }],
};

after(closeBrowser);

describe('hostile texts', () => {
  let server;
  let seeded;
  let stop;
  before(async () => {
    ({ server, seeded, stop } = await startSeeded());
  });
  after(() => stop?.());

  // How each page is reached that shows somebody's texts, by its name. A form is sent from whatever page is there.
  const ways = () => [
    ...PAGES.filter(({ path, shows }) => path && shows).map(({ path, name }) => [name, (page) => page.goto(path(seeded))]),
    ...Object.entries(ASKED).map(([field, path]) => [field, (page) => page.goto(path(seeded) + encodeURIComponent(image(field)))]),
    ...Object.entries(REFUSED_FORMS).map(([field, form]) => [field, (page, csrf) => Promise.all([page.waitForEvent('load'), page.evaluate(send, [csrf, ...form(seeded)])])]),
  ];

  // What one visitor sees there: which texts ran, how many of them were noticed, and how many the policy stopped.
  async function walk(defences, where) {
    const person = await visitor(server);
    const csrf = (await (await person.context.request.get('/app/people/new')).text()).match(/name="csrf" value="([^"]*)"/)[1];
    await withoutDefences(person, defences);
    const seen = new Map();
    for (const [name, go] of where) {
      await go(person.page, csrf);
      const ran = await person.page.evaluate(() => window.xss ?? []);
      const count = (kind) => person.faults.filter((fault) => kind.test(fault)).length;
      seen.set(name, { ran, noticed: count(/a text ran as a script/), stopped: count(/content security policy: script-src/) });
      person.faults.length = 0;
    }
    await person.context.close();
    return seen;
  }

  // In the page: sends a form.
  function send([csrf, path, values]) {
    const form = document.createElement('form');
    Object.assign(form, { method: 'post', action: path });
    for (const [name, value] of Object.entries({ csrf, ...values })) {
      const field = document.createElement('input');
      Object.assign(field, { type: 'hidden', name, value });
      form.append(field);
    }
    document.body.append(form);
    HTMLFormElement.prototype.submit.call(form);
  }

  test('without both defences the text of every field runs, and is noticed; each of them alone holds', async () => {
    const all = ways();
    const neither = await walk({}, all);
    const places = new Map();
    for (const [name, { ran, noticed }] of neither) {
      assert.equal(noticed, ran.length, `${name}: what ran was not noticed`);
      for (const number of ran) if (!places.has(number)) places.set(number, name);
    }
    assert.deepEqual(FIELDS.filter((_, number) => !places.has(number)), [], 'the texts of these fields are on no page that is looked at');

    // One page for each text is enough to see what stops it.
    const some = all.filter(([name]) => [...places.values()].includes(name));
    const [policy, escaping] = await Promise.all([walk({ policy: true }, some), walk({ escaping: true }, some)]);
    for (const [name] of some) {
      assert.deepEqual(policy.get(name).ran, [], `${name}: the policy forbids it, and it ran`);
      assert.ok(policy.get(name).stopped > 0, `${name}: the policy stopped it, and nobody noticed`);
      assert.deepEqual(escaping.get(name), { ran: [], noticed: 0, stopped: 0 }, `${name}: it is escaped, and it ran`);
    }
  });

  // A mail's HTML is cleaned before; this is what holds where that lets something through.
  test('a mail in its frame is held by the frame and by its own policy, each alone', async () => {
    const ran = async ({ frame = false, policy = false }) => {
      const person = await visitor(server);
      const { page } = person;
      await page.route('**/mail/**', async (route) => {
        const response = await route.fetch();
        const headers = response.headers();
        if (!route.request().url().includes('part=html')) {
          const html = await response.text();
          return route.fulfill({ headers, body: frame ? html : html.replace(/ sandbox="[^"]*"/, '') });
        }
        // Without a policy that lets our pages frame it, the older header would keep it from being shown at all.
        if (!policy) for (const name of ['content-security-policy', 'x-frame-options']) delete headers[name];
        return route.fulfill({ headers, body: `<!doctype html>${script('campaign.body')}<p>Hello</p>` });
      });
      await page.goto(`/app/campaigns/${seeded.campaign}/mail/${seeded.person.id}`, { waitUntil: 'networkidle' });
      await page.frameLocator('iframe').getByText('Hello').waitFor();
      const noticed = person.faults.some((fault) => fault.includes('a text ran as a script'));
      await person.context.close();
      return noticed;
    };
    assert.deepEqual([await ran({}), await ran({ frame: true }), await ran({ policy: true })], [true, false, false]);
  });
});
