// A small community in which every text that somebody can type is hostile somewhere, and one that is ordinary beside it.
import { startServer } from './helpers/server.mjs';
import { startSmtp } from './helpers/smtp.mjs';
import { BRACES, EMOJI, LONG, QUOTES, RIGHT_TO_LEFT, address, image, inTextarea, script, short } from './hostile.mjs';

// What a page must show as it was typed.
export const LITERAL = {
  person: [script('user.firstName'), image('user.lastName')], other: [script('user.jobTitle'), image('user.company')], event: [script('event.title'), BRACES], campaign: [image('campaign.subject'), RIGHT_TO_LEFT],
  template: [script('template.name')], suppression: [script('suppression.note'), address('suppression.email')], token: [image('token.name')],
  import: [`${image('import.file').slice(2)}.csv`], cells: [image('import.column'), script('import.cell')], refusal: [image('delivery.error')],
};
// In these words the mail server of the tests refuses the mails to this address.
const REFUSAL = `5.1.1 ${image('delivery.error')} is not here`;
const REFUSED = /^ines\.carvalho\./;

const FIRST = ['Mara', 'Teo', 'Priya', 'Jonas', 'Amara', 'Haruki', 'Ines', 'Callum', 'Beatrix', 'Oskar'];
const LAST = ['Okonjo', 'Lindqvist', 'Ramanath', 'Achterveld', 'Nwosu-Bell', 'Tanemori', 'Carvalho'];
const TITLES = ['Software Engineer', 'Platform Engineer', 'Data Engineer', 'Engineering Manager'];
const COMPANIES = ['Quillmoor Labs', 'Oakhurl Systems', 'Kelvane Robotics', 'Nimbarra'];

export const inDays = (days, hour = 18) => {
  const day = new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10);
  return `${day}T${String(hour).padStart(2, '0')}:00:00`;
};

// With `plain` the same community without hostile texts, for pictures. `audience` is whom its campaigns go to.
export async function seed(api, { plain = false, audience = {} } = {}) {
  const hostile = (text, ordinary) => (plain ? ordinary : text);
  const person = await api.post('/users/', {
    firstName: hostile(script('user.firstName'), 'Adaeze'), lastName: hostile(image('user.lastName'), 'Quist'), email: hostile('hostile+1@example.org', 'adaeze.quist@quillmoor.example'),
    phoneNumber: hostile(short('user.phoneNumber'), '+49 30 1234567'), gender: 'other', jobTitle: hostile(BRACES, 'Site Reliability Engineer'),
    company: hostile(LONG, 'Quillmoor Labs'), city: hostile(RIGHT_TO_LEFT, 'Austin'), state: hostile(QUOTES.slice(0, 50), 'Texas'), avatar: hostile(image('user.avatar'), 'https://example.org/a.png'),
  });
  const other = await api.post('/users/', {
    firstName: hostile(LONG, 'Bram'), lastName: hostile(EMOJI, 'Ostrander'), email: hostile(`${'long'.repeat(15)}@${'domain'.repeat(9)}.example.org`, 'bram@oakhurl.example'),
    jobTitle: hostile(script('user.jobTitle'), 'Data Engineer'), company: hostile(image('user.company'), 'Oakhurl Systems'), city: hostile(EMOJI, 'Houston'), state: hostile(LONG, 'Texas'),
  });
  const third = await api.post('/users/', {
    firstName: hostile(EMOJI, 'Ottilie'), lastName: hostile(QUOTES, 'Marchetti'), email: hostile(address('user.email'), 'ottilie@nimbarra.example'),
    jobTitle: hostile(LONG, 'Data Engineer'), company: hostile(BRACES, 'Nimbarra Field'), city: hostile(script('user.city'), 'Houston'), state: hostile(image('user.state'), 'Texas'),
  });
  const people = [];
  for (let n = 0; n < 60; n++) {
    const firstName = FIRST[n % FIRST.length];
    const lastName = LAST[n % LAST.length];
    people.push(await api.post('/users/', {
      firstName, lastName, email: `${firstName}.${lastName}.${n}@quillmoor.example`.toLowerCase(),
      jobTitle: TITLES[n % TITLES.length], company: COMPANIES[n % COMPANIES.length], city: n % 3 ? 'Austin' : 'Round Rock', state: 'Texas',
    }));
  }
  // Whether anybody may see its page.
  const open = { public: true };
  const event = await api.post('/events/', {
    slug: 'hostile-event', title: hostile(`${script('event.title')} ${BRACES}`, 'Rust in Production, meetup 14'),
    description: hostile([image('event.description'), BRACES, RIGHT_TO_LEFT, EMOJI, LONG, QUOTES, '[x](javascript:ran(-1))'].join('\n\n'), 'Three talks of fifteen minutes, then an open floor. Bring a crash.'),
    venue: hostile(`${image('event.venue')} ${LONG}`, 'Hall 2, Pell Library'), startAt: inDays(9), endAt: inDays(9, 21), timezone: 'America/Chicago', maxCapacity: 40, ...open, owner: person.id, hosts: [person.id, other.id, people[0].id],
  });
  const full = await api.post('/events/', { slug: 'full-event', title: 'Full house', startAt: inDays(3), endAt: inDays(3, 21), timezone: 'Europe/Berlin', venue: 'Room 3', maxCapacity: 3, ...open, owner: people[1].id });
  const past = await api.post('/events/', { slug: 'past-event', title: 'Rust in Production, meetup 13', startAt: inDays(-20), endAt: inDays(-20, 21), timezone: 'Europe/Berlin', owner: people[2].id });
  const empty = await api.post('/events/', { slug: 'empty-event', title: 'Nobody yet', startAt: inDays(30), endAt: inDays(30, 21), timezone: 'Europe/Berlin' });
  const attend = (user, at, attended) => api.post('/attend/', { user_id: user.id, event_id: at.id, ...(attended ? { attended } : {}) });
  await attend(person, event, hostile(image('attendance.attended'), 'yes'));
  await attend(other, event);
  await attend(third, event);
  for (const user of people.slice(0, 20)) await attend(user, event);
  for (const user of people.slice(0, 3)) await attend(user, full);
  for (const user of people.slice(0, 30)) await attend(user, past);
  await attend(person, past);
  await api.settled();

  // Braces are the language of subject and body, so they stand between {% raw %} and {% endraw %}.
  const body = hostile(
    `Hello {{ user.firstName }},\n\n${script('campaign.body')}\n\n${inTextarea('campaign.body')}\n\n{% raw %}{{7*7}}{% endraw %} ${RIGHT_TO_LEFT} ${EMOJI} ${LONG} [x](javascript:ran(-1))`,
    'Hello {{ user.firstName }},\n\n**{{ event.title }}** is on {{ event.startAt | day }}.\n\n[Take a place]({{ event.url }})',
  );
  const format = hostile('html', 'markdown');
  const subject = hostile(`${image('campaign.subject')} ${RIGHT_TO_LEFT}`, '{{ user.firstName }}, a place for you on Thursday');
  const template = await api.post('/email/templates', {
    name: hostile(`${script('template.name')} ${LONG}`, 'Invitation'), subject: hostile(image('template.subject'), subject), body: hostile(inTextarea('template.body'), 'Hello {{ user.firstName }}'), bodyFormat: format,
  });
  const draft = await api.post('/email/requests', { filter: { company: [person.company, ...hostile([image('campaign.filter')], [])] }, subject, body, bodyFormat: 'markdown', eventId: event.id });
  const campaign = await api.post('/email/send', { filter: audience, subject, body, bodyFormat: format, eventId: event.id });
  await api.sent(campaign.email_id);
  const scheduled = await api.post('/email/send', { filter: audience, subject, body, bodyFormat: format, eventId: event.id, scheduledAt: inDays(60), timezone: 'Europe/Berlin' });
  await api.post('/email/suppressions', { email: hostile(address('suppression.email'), 'nobody@example.org'), reason: 'manual', note: hostile(script('suppression.note'), 'asked by telephone') });
  return { person, other, third, people, event, full, past, empty, template, draft: draft.email_id, campaign: campaign.email_id, scheduled: scheduled.email_id };
}

// Sends a form of a page as a browser does.
async function submit(address, path, fill) {
  const page = await (await fetch(address + path)).text();
  const body = new FormData();
  body.set('csrf', /name="csrf" value="([^"]*)"/.exec(page)?.[1] ?? '');
  fill(body);
  const answer = await fetch(address + path, { method: 'POST', body: body.get('file') ? body : new URLSearchParams(body), redirect: 'manual', headers: { origin: address } });
  if (answer.status >= 400) throw new Error(`${path} was not taken: ${answer.status} ${await answer.text()}`);
  return answer.headers.get('location');
}

// A file with hostile cells and a hostile name, looked at and not imported yet. Answers where it is.
export async function seedImport(address, { plain = false } = {}) {
  const cell = (text) => `"${text.replaceAll('"', '""')}"`;
  const rows = plain
    ? [['First name', 'Last name', 'Team', 'Email'], ['Adaeze', 'Quist', 'Ops', 'adaeze'], ['Teo', 'Lind', 'Ops', 'teo.lind@oakhurl.example'], ['', 'Ramanath', 'Data', '']]
    : [['First name', 'Last name', image('import.column'), 'Email'], [script('import.cell'), QUOTES, LONG, 'nobody'], [BRACES, RIGHT_TO_LEFT, EMOJI, 'good@example.org'], ['=1+1', LONG, QUOTES, '']];
  const text = rows.map((row) => row.map(cell).join(',')).join('\n');
  return submit(address, '/app/people/import', (body) => body.set('file', new File([text], plain ? 'members.csv' : LITERAL.import[0], { type: 'text/csv' })));
}

// What has no way in by the API without signing in: a token, and somebody who takes a place.
export async function seedForms(address, { plain = false } = {}) {
  await submit(address, '/app/settings/tokens', (body) => {
    body.set('name', plain ? 'Door tablet' : LITERAL.token[0]);
    body.set('grant', 'viewer');
  });
  await submit(address, '/e/hostile-event', (body) => {
    body.set('firstName', plain ? 'Noor' : script('public.firstName'));
    body.set('lastName', plain ? 'Vandermeer' : image('public.lastName'));
    body.set('email', 'taker@example.org');
  });
}

// All of it, and where the links in the mails lead. `mail` is of helpers/smtp.mjs.
async function seedAll(server, mail, options = {}) {
  const seeded = await seed(server.api, options);
  seeded.import = await seedImport(server.address, options);
  await seedForms(server.address, options);
  seeded.unsubscribe = await mail.linkTo(seeded.person.email);
  seeded.place = await mail.linkTo('taker@example.org', 'r');
  return seeded;
}

// A server with all of it, beside a mail server of its own. `options` are those of `seed`. Ends with `await stop()`. What fails on the way stops what runs.
export async function startSeeded(options = {}) {
  const mail = await startSmtp({ refuse: REFUSED, words: options.plain ? '5.1.1 no such mailbox here' : REFUSAL });
  let server;
  const stop = async () => {
    await server?.stop();
    mail.stop();
  };
  try {
    server = await startServer({ settings: { MAIL_SMTP_URL: mail.url } });
    const seeded = await seedAll(server, mail, options);
    return { server, seeded, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
