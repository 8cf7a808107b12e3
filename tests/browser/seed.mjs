// A small community in which every text that somebody can type is hostile somewhere, and one that is ordinary beside it.

export const SCRIPT = '<script>window.xss=1</script>';
export const IMAGE = '"><img src=x onerror=window.xss=1>';
export const BRACES = '{{7*7}} ${7*7} {% raw %}';
export const RIGHT_TO_LEFT = '\u202Eabc\u202C مرحبا שלום';
export const EMOJI = '👩‍👩‍👧‍👦 🦀 e\u0301';
export const LONG = 'Donaudampfschifffahrtsgesellschaftskapitänsmütze';
export const QUOTES = `'; DROP TABLE x;-- \\" &lt;b&gt; &amp;`;

// What a page must show as it was typed.
export const LITERAL = { person: [SCRIPT, IMAGE], event: [SCRIPT, IMAGE], campaign: [SCRIPT, IMAGE], template: [SCRIPT, IMAGE], import: ['<img src=x onerror=window.xss=1>.csv'] };

const FIRST = ['Mara', 'Teo', 'Priya', 'Jonas', 'Amara', 'Haruki', 'Ines', 'Callum', 'Beatrix', 'Oskar'];
const LAST = ['Okonjo', 'Lindqvist', 'Ramanath', 'Achterveld', 'Nwosu-Bell', 'Tanemori', 'Carvalho'];
const TITLES = ['Software Engineer', 'Platform Engineer', 'Data Engineer', 'Engineering Manager'];
const COMPANIES = ['Quillmoor Labs', 'Oakhurl Systems', 'Kelvane Robotics', 'Nimbarra'];

const inDays = (days, hour = 18) => {
  const day = new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10);
  return `${day}T${String(hour).padStart(2, '0')}:00:00`;
};

// With `plain` the same community without hostile texts, for pictures. `audience` is whom its campaigns go to.
export async function seed(api, { plain = false, audience = {} } = {}) {
  const hostile = (text, ordinary) => (plain ? ordinary : text);
  const person = await api.post('/users/', {
    firstName: hostile(SCRIPT, 'Adaeze'), lastName: hostile(IMAGE, 'Quist'), email: hostile('hostile+1@example.org', 'adaeze.quist@quillmoor.example'), phoneNumber: '+49 30 1234567', gender: 'other',
    jobTitle: hostile(BRACES, 'Site Reliability Engineer'), company: hostile(LONG, 'Quillmoor Labs'), city: hostile(RIGHT_TO_LEFT, 'Austin'), state: hostile(QUOTES.slice(0, 50), 'Texas'),
    avatar: 'https://example.org/a.png',
  });
  const other = await api.post('/users/', {
    firstName: hostile(LONG, 'Bram'), lastName: hostile(EMOJI, 'Ostrander'), email: hostile(`${'long'.repeat(15)}@${'domain'.repeat(9)}.example.org`, 'bram@oakhurl.example'),
    jobTitle: hostile(SCRIPT, 'Data Engineer'), company: hostile(IMAGE, 'Oakhurl Systems'), city: hostile(EMOJI, 'Houston'), state: hostile(LONG, 'Texas'),
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
    slug: 'hostile-event', title: hostile(`${SCRIPT} ${IMAGE}`, 'Rust in Production, meetup 14'),
    description: hostile([SCRIPT, IMAGE, BRACES, RIGHT_TO_LEFT, EMOJI, LONG, QUOTES, '[x](javascript:window.xss=1)'].join('\n\n'), 'Three talks of fifteen minutes, then an open floor. Bring a crash.'),
    venue: hostile(`${IMAGE} ${LONG}`, 'Hall 2, Pell Library'), startAt: inDays(9), endAt: inDays(9, 21), timezone: 'America/Chicago', maxCapacity: 40, ...open, owner: person.id, hosts: [person.id, other.id, people[0].id],
  });
  const full = await api.post('/events/', { slug: 'full-event', title: 'Full house', startAt: inDays(3), endAt: inDays(3, 21), timezone: 'Europe/Berlin', venue: 'Room 3', maxCapacity: 3, ...open, owner: people[1].id });
  const past = await api.post('/events/', { slug: 'past-event', title: 'Rust in Production, meetup 13', startAt: inDays(-20), endAt: inDays(-20, 21), timezone: 'Europe/Berlin', owner: people[2].id });
  const empty = await api.post('/events/', { slug: 'empty-event', title: 'Nobody yet', startAt: inDays(30), endAt: inDays(30, 21), timezone: 'Europe/Berlin' });
  const attend = (user, at, attended) => api.post('/attend/', { user_id: user.id, event_id: at.id, ...(attended ? { attended } : {}) });
  await attend(person, event, hostile(IMAGE, 'yes'));
  await attend(other, event);
  for (const user of people.slice(0, 20)) await attend(user, event);
  for (const user of people.slice(0, 3)) await attend(user, full);
  for (const user of people.slice(0, 30)) await attend(user, past);
  await attend(person, past);
  await api.settled();

  // Braces are the language of subject and body, so they stand between {% raw %} and {% endraw %}.
  const body = hostile(
    `Hello {{ user.firstName }},\n\n${SCRIPT}\n\n${IMAGE}\n\n{% raw %}{{7*7}}{% endraw %} ${RIGHT_TO_LEFT} ${EMOJI} ${LONG} [x](javascript:window.xss=1)`,
    'Hello {{ user.firstName }},\n\n**{{ event.title }}** is on {{ event.startAt | day }}.\n\n[Take a place]({{ event.url }})',
  );
  const format = hostile('html', 'markdown');
  const subject = hostile(`${SCRIPT} ${IMAGE}`, '{{ user.firstName }}, a place for you on Thursday');
  const template = await api.post('/email/templates', { name: hostile(`${SCRIPT}${IMAGE}`, 'Invitation'), subject, body: hostile(body, 'Hello {{ user.firstName }}'), bodyFormat: format });
  const draft = await api.post('/email/requests', { filter: { company: [person.company] }, subject, body, bodyFormat: 'markdown', eventId: event.id });
  const campaign = await api.post('/email/send', { filter: audience, subject, body, bodyFormat: format, eventId: event.id });
  await api.sent(campaign.email_id);
  const scheduled = await api.post('/email/send', { filter: audience, subject, body, bodyFormat: format, eventId: event.id, scheduledAt: inDays(60), timezone: 'Europe/Berlin' });
  await api.post('/email/suppressions', { email: 'nobody@example.org', reason: 'manual', note: hostile(`${SCRIPT} ${IMAGE}`, 'asked by telephone') });
  return { person, other, people, event, full, past, empty, template, draft: draft.email_id, campaign: campaign.email_id, scheduled: scheduled.email_id };
}

// A file with hostile cells and a hostile name, looked at and not imported yet. Answers where it is.
export async function seedImport(address) {
  const form = await (await fetch(`${address}/app/people/import`)).text();
  const body = new FormData();
  body.set('csrf', /name="csrf" value="([^"]*)"/.exec(form)[1]);
  const cell = (text) => `"${text.replaceAll('"', '""')}"`;
  const rows = [['First name', 'Last name', SCRIPT, 'Email'], [SCRIPT, IMAGE, LONG, 'nobody'], [BRACES, RIGHT_TO_LEFT, EMOJI, 'good@example.org'], ['=1+1', IMAGE, QUOTES, '']];
  body.set('file', new File([rows.map((row) => row.map(cell).join(',')).join('\n')], LITERAL.import[0], { type: 'text/csv' }));
  const answer = await fetch(`${address}/app/people/import`, { method: 'POST', body, redirect: 'manual', headers: { origin: address } });
  if (answer.status !== 303) throw new Error(`the file was not taken: ${answer.status} ${await answer.text()}`);
  return answer.headers.get('location');
}
