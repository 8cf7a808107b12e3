// A small community in which every text that somebody can type is hostile somewhere, and one that is ordinary beside it.

export const SCRIPT = '<script>window.xss=1</script>';
export const IMAGE = '"><img src=x onerror=window.xss=1>';
export const BRACES = '{{7*7}} ${7*7} {% raw %}';
export const RIGHT_TO_LEFT = '\u202Eabc\u202C مرحبا שלום';
export const EMOJI = '👩‍👩‍👧‍👦 🦀 e\u0301';
export const LONG = 'Donaudampfschifffahrtsgesellschaftskapitänsmütze';
export const QUOTES = `'; DROP TABLE x;-- \\" &lt;b&gt; &amp;`;

// What a page must show as it was typed.
export const LITERAL = { person: [SCRIPT, IMAGE], event: [SCRIPT, IMAGE], campaign: [SCRIPT, IMAGE], template: [SCRIPT, IMAGE] };

const FIRST = ['Mara', 'Teo', 'Priya', 'Jonas', 'Amara', 'Haruki', 'Ines', 'Callum', 'Beatrix', 'Oskar'];
const LAST = ['Okonjo', 'Lindqvist', 'Ramanath', 'Achterveld', 'Nwosu-Bell', 'Tanemori', 'Carvalho'];
const TITLES = ['Software Engineer', 'Platform Engineer', 'Data Engineer', 'Engineering Manager'];
const COMPANIES = ['Quillmoor Labs', 'Oakhurl Systems', 'Kelvane Robotics', 'Nimbarra'];

const inDays = (days, hour = 18) => {
  const day = new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10);
  return `${day}T${String(hour).padStart(2, '0')}:00:00`;
};

export async function seed(api) {
  const person = await api.post('/users/', {
    firstName: SCRIPT, lastName: IMAGE, email: 'hostile+1@example.org', phoneNumber: '+49 30 1234567', gender: 'other',
    jobTitle: BRACES, company: LONG, city: RIGHT_TO_LEFT, state: QUOTES.slice(0, 50), avatar: 'https://example.org/a.png',
  });
  const other = await api.post('/users/', {
    firstName: LONG, lastName: EMOJI, email: `${'long'.repeat(15)}@${'domain'.repeat(9)}.example.org`, jobTitle: SCRIPT, company: IMAGE, city: EMOJI, state: LONG,
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
  const event = await api.post('/events/', {
    slug: 'hostile-event', title: `${SCRIPT} ${IMAGE}`, description: [SCRIPT, IMAGE, BRACES, RIGHT_TO_LEFT, EMOJI, LONG, QUOTES, '[x](javascript:window.xss=1)'].join('\n\n'),
    venue: `${IMAGE} ${LONG}`, startAt: inDays(9), endAt: inDays(9, 21), timezone: 'America/Chicago', maxCapacity: 40, owner: person.id, hosts: [person.id, other.id, people[0].id],
  });
  const full = await api.post('/events/', { slug: 'full-event', title: 'Full house', startAt: inDays(3), endAt: inDays(3, 21), timezone: 'Europe/Berlin', venue: 'Room 3', maxCapacity: 3, owner: people[1].id });
  const past = await api.post('/events/', { slug: 'past-event', title: 'Rust in Production, meetup 13', startAt: inDays(-20), endAt: inDays(-20, 21), timezone: 'Europe/Berlin', owner: people[2].id });
  const empty = await api.post('/events/', { slug: 'empty-event', title: 'Nobody yet', startAt: inDays(30), endAt: inDays(30, 21), timezone: 'Europe/Berlin' });
  const attend = (user, at, attended) => api.post('/attend/', { user_id: user.id, event_id: at.id, ...(attended ? { attended } : {}) });
  await attend(person, event, IMAGE);
  await attend(other, event);
  for (const user of people.slice(0, 20)) await attend(user, event);
  for (const user of people.slice(0, 3)) await attend(user, full);
  for (const user of people.slice(0, 30)) await attend(user, past);
  await attend(person, past);
  await api.settled();

  // Braces are the language of subject and body, so they stand between {% raw %} and {% endraw %}.
  const body = `Hello {{ user.firstName }},\n\n${SCRIPT}\n\n${IMAGE}\n\n{% raw %}{{7*7}}{% endraw %} ${RIGHT_TO_LEFT} ${EMOJI} ${LONG} [x](javascript:window.xss=1)`;
  const template = await api.post('/email/templates', { name: `${SCRIPT}${IMAGE}`.slice(0, 100), subject: `${SCRIPT} ${IMAGE}`, body, bodyFormat: 'html' });
  const draft = await api.post('/email/requests', { filter: { company: [LONG] }, subject: `${SCRIPT} ${IMAGE} draft`, body, bodyFormat: 'markdown', eventId: event.id });
  const campaign = await api.post('/email/send', { filter: {}, subject: `${SCRIPT} ${IMAGE} {{ user.firstName }}`, body, bodyFormat: 'html', eventId: event.id });
  await api.sent(campaign.email_id);
  await api.post('/email/suppressions', { email: 'nobody+<script>@example.org', reason: 'manual', note: `${SCRIPT} ${IMAGE}` }).catch(() => api.post('/email/suppressions', { email: 'nobody@example.org', reason: 'manual', note: `${SCRIPT} ${IMAGE}` }));
  return { person, other, people, event, full, past, empty, template, draft: draft.email_id, campaign: campaign.email_id };
}
