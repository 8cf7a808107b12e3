// What pages show only at times: a form with faults, two who saved, an open menu, an empty installation, a sign-in. For pictures, and for what holds on every
// page; what they do is tested elsewhere. Each is reached by `act` on a page of its server: `full` has the community of seed.mjs, `empty` nobody, `outbox`
// writes mails to files, `restored` came out of a backup, `signin` has people who sign in. Those of one server come one after the other, in one visit.
// The last entry, where there is one, holds the complaints of the browser that belong to it.

import { until } from './helpers/api.mjs';
import { script } from './hostile.mjs';
import { HELD_BACK } from './pages.mjs';
import { inDays } from './seed.mjs';

const press = (page, name, role = 'button') => Promise.all([page.waitForEvent('load'), page.getByRole(role, { name }).last().click()]);
// Past the browser's own checks, as an old browser would.
const send = (page, form) => Promise.all([page.waitForEvent('load'), page.locator(form).evaluate((form) => { form.noValidate = true; form.requestSubmit(); })]);

async function signIn(page, name, path) {
  await page.goto(path);
  await page.getByRole('main').getByRole('link', { name: /login page/ }).first().click();
  await page.getByLabel('Name').fill(name);
  await page.getByLabel('Password').fill(`pw-${name}`);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.waitForURL((url) => url.pathname === path);
}

// How the servers are set up that have no community.
export const SETTINGS = {
  empty: {},
  outbox: { MAIL_TRANSPORT: 'outbox' },
  // Nobody listens there, so a mail waits.
  restored: { MAIL_SMTP_URL: 'smtp://127.0.0.1:9' },
  signin: { AUTH_ENABLED: 'true', AUTH_ISSUER: process.env.EMCRM_OIDC, AUTH_CLIENT_ID: 'crm', AUTH_CLIENT_SECRET: 'crm-secret', AUTH_ROLES: 'admins=admin,viewers=viewer' },
};

export const MOMENTS = [
  ['full', 'home-account-menu', async (page) => {
    await page.goto('/app');
    await page.getByRole('button', { name: /Appearance/ }).click();
  }],
  ['full', 'people-chosen', async (page) => {
    await page.goto('/app/people');
    for (const box of (await page.locator('tbody input[type=checkbox]').all()).slice(0, 3)) await box.check();
  }],
  ['full', 'person-fact', async (page, s) => {
    await page.goto(`/app/people/${s.person.id}`);
    await page.getByRole('link', { name: 'Edit company' }).click();
    await page.locator('.editing').waitFor();
  }],
  ['full', 'person-faults', async (page, s) => {
    await page.goto(`/app/people/${s.person.id}/edit`);
    await page.getByLabel('Email').fill('adaeze at quillmoor');
    await page.getByLabel('First name').fill('');
    await send(page, 'main form[method=post]');
  }, [/^answer: 422 POST \/app\/people\/[^/]+\/edit/]],
  ['full', 'person-toast', async (page, s) => {
    await page.goto(`/app/people/${s.other.id}/edit`);
    await press(page, /^Save/);
  }],
  ['full', 'import-done', async (page, s) => {
    await page.goto(s.import);
    if (await page.getByRole('button', { name: /^Import \d/ }).count()) await press(page, /^Import \d/);
    await page.getByRole('heading', { name: 'Imported' }).waitFor({ timeout: 60_000 });
  }],
  ['full', 'import-undone', async (page, s) => {
    await page.goto(s.import);
    await press(page, /^Undo the import/);
    await page.getByRole('heading', { name: 'Taken back' }).waitFor({ timeout: 60_000 });
  }],
  ['full', 'event-faults', async (page) => {
    await page.goto('/app/events/new');
    await page.getByLabel('Starts').fill('2031-05-08T18:00');
    await page.getByLabel('Ends').fill('2031-05-08T17:00');
    await page.getByLabel('Capacity').fill('many');
    await press(page, 'Save event');
  }, [/^answer: 422 POST \/app\/events\/new/]],
  ['full', 'event-conflict', async (page, s, api) => {
    await page.goto(`/app/events/${s.past.id}/edit`);
    await api.patch(`/events/${s.past.id}`, { venue: `Room ${Math.floor(Math.random() * 1000)}` });
    await page.getByLabel('Venue').fill('Hall 4');
    await page.getByLabel('Description').fill('Bring a crash.');
    await press(page, 'Save event');
  }, [/^answer: 409 POST \/app\/events\/[^/]+\/edit/]],
  ['full', 'event-found', async (page, s) => {
    await page.goto(`/app/events/${s.event.id}`);
    await page.getByLabel('Add a person by name or address').pressSequentially('Teo');
    await page.locator('#found button').first().waitFor();
    await page.keyboard.press('ArrowDown');
  }],
  ['full', 'event-owner-found', async (page) => {
    await page.goto('/app/events/new');
    await page.getByLabel('Find the owner by name or address').pressSequentially('Teo');
    await page.locator('#owner-found button').first().waitFor();
  }],
  ['full', 'event-imported', async (page, s) => {
    await page.goto(`/app/events/${s.full.id}/import`);
    await page.getByLabel('Or paste a table').fill('first.comer@example.org, First, Comer\nnowhere\n');
    await press(page, 'Add these people');
  }],
  ['full', 'campaign-faults', async (page) => {
    await page.goto('/app/campaigns/new');
    await page.getByLabel('Body', { exact: true }).fill('Hello {{ user.nickname }}');
    await press(page, 'Save draft');
  }, [/^answer: 422 POST \/app\/campaigns\/new/]],
  ['full', 'campaign-retry', async (page, s) => {
    await page.goto(`/app/campaigns/${s.campaign}`);
    await page.getByRole('button', { name: 'Retry…' }).click();
  }],
  ['full', 'campaign-paused', async (page, s, api) => {
    const { email_id: id } = await api.post('/email/send', { filter: {}, subject: '{% raw %}<b>{{7*7}}</b>{% endraw %} by and by', body: 'Hello {{ user.firstName }}', eventId: s.event.id, rate: 1 });
    await until('it to begin', async () => (await api.get(`/email/requests/${id}`)).status === 'sending');
    await page.goto(`/app/campaigns/${id}`);
    await press(page, 'Pause');
    await page.getByRole('button', { name: 'Resume' }).waitFor();
  }],
  ['full', 'campaign-more', async (page, s) => {
    await page.goto(`/app/campaigns/${s.scheduled}`);
    await page.getByRole('button', { name: 'More actions' }).click();
    await page.getByRole('button', { name: 'Duplicate' }).waitFor();
  }],
  ['full', 'campaign-send', async (page, s) => {
    await page.goto(`/app/campaigns/${s.draft}/preflight`);
    await page.getByRole('button', { name: /^Send \d+ mails?…/ }).click();
  }, HELD_BACK],
  ['full', 'token-made', async (page) => {
    await page.goto('/app/settings/tokens');
    await page.getByLabel('Name').fill('Door tablet');
    await press(page, 'Make token');
  }],
  ['full', 'suppressions-faults', async (page) => {
    await page.goto('/app/settings/suppressions');
    await page.getByLabel(/^Or addresses/).fill('left@example.org, unsubscribed\nno address\n');
    await press(page, 'Add them to the list');
  }, [/^answer: 422 POST \/app\/settings\/suppressions\/import/]],
  ['full', 'search-none', (page) => page.goto('/app/search?q=nobody-is-called-this')],
  ['full', 'public-done', (page) => page.goto('/e/hostile-event?done')],
  ['full', 'public-faults', async (page) => {
    await page.goto('/e/hostile-event');
    await page.getByLabel('Email').fill('noor at example');
    await send(page, 'form[method=post]');
  }, [/^answer: 422 POST \/e\/hostile-event/]],
  ['full', 'unsubscribed', async (page, s) => {
    await page.goto(s.unsubscribe);
    await press(page, 'Unsubscribe');
  }],
  ['full', 'place-given', async (page, s) => {
    await page.goto(s.place);
    await send(page, 'form[method=post]');
  }],
  ['full', 'not-allowed', (page) => page.goto('/app/people/import/nothing/start'), [/^answer: 405 GET \/app\/people\/import\/nothing\/start/]],
  ['full', 'query-faulty', (page) => page.goto('/app/people?size=many')],
  ...['/app', '/app/people', '/app/events', '/app/events/calendar', '/app/campaigns', '/app/search', '/app/settings/templates', '/app/settings/suppressions', '/app/settings/tokens'].map((path) => ['empty', `first${path.slice(4).replaceAll('/', '-') || '-home'}`, (page) => page.goto(path)]),
  ['outbox', 'outbox-empty', (page) => page.goto('/app/outbox')],
  ['outbox', 'outbox', async (page, _, api) => {
    await api.post('/users/', { firstName: 'Adaeze', lastName: 'Quist', email: 'adaeze.quist@quillmoor.example' });
    await api.settled();
    const campaign = await api.post('/email/send', { filter: {}, subject: 'A place for you on Thursday', body: 'Hello {{ user.firstName }},\n\n**Rust in Production** is on Thursday.', bodyFormat: 'markdown' });
    await api.sent(campaign.email_id);
    await page.goto('/app/outbox');
  }],
  ['outbox', 'outbox-mail', async (page) => {
    await page.goto('/app/outbox');
    await Promise.all([page.waitForEvent('load'), page.getByRole('rowheader').getByRole('link').first().click()]);
  }],
  // A confirmation and a campaign were under way in the backup. Whether they went out after it nobody knows.
  ['restored', 'settings-gave-up', async (page, _, api, server) => {
    await api.post('/users/', { firstName: 'Adaeze', lastName: 'Quist', email: 'adaeze.quist@quillmoor.example' });
    await api.post('/events/', { slug: 'thursday', title: 'Rust in Production', startAt: '2031-05-08T18:00:00', endAt: '2031-05-08T21:00:00', timezone: 'Europe/Berlin', public: true });
    await api.settled();
    await api.post('/email/send', { filter: {}, subject: 'A place for you on Thursday', body: 'Hello {{ user.firstName }}', scheduledAt: inDays(60), timezone: 'Europe/Berlin' });
    await page.goto('/e/thursday');
    await page.getByLabel('First name').fill(script('public.firstName'));
    await page.getByLabel('Email').fill(`${'long'.repeat(15)}@${'domain'.repeat(9)}.example.org`);
    await press(page, 'Take a place');
    await server.restart(() => server.run(['restored', '--at', '2026-11-25T10:00:00Z']));
    await page.goto('/app/settings');
    await page.getByRole('region', { name: 'Tasks that gave up, table' }).getByText('restored from a backup').filter({ visible: true }).first().waitFor();
  }],
  ['restored', 'settings-drop', async (page) => {
    await page.goto('/app/settings');
    await press(page, /^Throw away/, 'link');
    await page.getByRole('heading', { name: 'Throw this task away?' }).waitFor();
  }],
  ['restored', 'campaign-held', async (page) => {
    await page.goto('/app/campaigns');
    await press(page, 'A place for you on Thursday', 'link');
    await page.locator('.notice').getByText('restored from a backup').filter({ visible: true }).first().waitFor();
  }],
  ['restored', 'home-held', async (page) => {
    await page.goto('/app');
    await page.getByRole('main').getByText('is paused').waitFor();
  }],
  ['restored', 'settings-dropped', async (page) => {
    await page.goto('/app/settings');
    await press(page, /^Throw away/, 'link');
    await press(page, 'Throw the task away');
    await page.locator('.toasts').getByText(/thrown away/).waitFor();
  }],
  ['signin', 'signin', (page) => page.goto('/app/signin?return=/app/people')],
  ['signin', 'home-signedin', async (page) => {
    await signIn(page, 'ann', '/app');
    await page.getByRole('button', { name: /^Account/ }).click();
  }],
  ['signin', 'settings-signedin', (page) => page.goto('/app/settings')],
  ['signin', 'signed-out-writing', async (page) => {
    await page.goto('/app/people/new');
    await page.getByLabel('First name').fill('Noor');
    await page.getByLabel('Email').fill('noor@example.org');
    await page.context().clearCookies();
    await press(page, /^(Save|Add)/);
  }, [/^answer: 401 POST \/app\/people\/new/]],
  ['signin', 'viewer', async (page) => {
    await signIn(page, 'bob', '/app/people');
  }],
  ['signin', 'forbidden', (page) => page.goto('/app/events/new'), [/^answer: 403 GET \/app\/events\/new/]],
  ['signin', 'signout', (page) => page.goto('/app/signout')],
  ['signin', 'no-role', async (page) => {
    await page.context().clearCookies();
    await signIn(page, 'zoe', '/app');
  }, [/^answer: 403 GET \/app$/]],
];
