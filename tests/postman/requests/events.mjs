import { folder, problem, request } from './table.mjs';

/* global pm, json */
const tea = { title: 'Tea and Rust', startAt: '2027-03-01T18:00:00.123456', endAt: '2027-03-01T20:00:00', timezone: 'Europe/London', venue: 'The Hall', maxCapacity: 1, owner: '{{ben}}', hosts: ['{{cleo}}'] };

export const events = folder('Events', 'Something that takes place, with an owner and hosts, who are users.', [
  request('Create an event', 'POST /events/', {
    about: 'The `slug` is made from the title when it is left out. Times without an offset are wall-clock time in `timezone`.',
    body: { ...tea, id: 'tea-{{run}}', slug: 'tea-{{run}}' },
    save: { tea: 'id', teaSlug: 'slug' },
    checks: {
      'times come back as they were sent': () => pm.expect(json).to.include({ startAt: '2027-03-01T18:00:00.123456', endAt: '2027-03-01T20:00:00' }),
      'nobody attends yet': () => pm.expect(json.attendeeCount).to.eql(0),
      'it is not public': () => pm.expect(json.public).to.eql(false),
    },
  }),
  request('A second event, which makes its slug', 'POST /events/', {
    body: { ...tea, title: 'Tea without end {{run}}', maxCapacity: null },
    save: { endless: 'id' },
    checks: { 'the slug is from the title': () => pm.expect(json.slug).to.match(/^tea-without-end/) },
  }),
  request('A slug that is taken', 'POST /events/', { body: { ...tea, slug: '{{teaSlug}}' }, status: 400, checks: problem('slug_taken') }),
  request('A host whom nobody knows', 'POST /events/', { body: { ...tea, hosts: ['nobody-{{run}}'] }, status: 400, checks: problem('hosts_unknown') }),
  request('An end before its start', 'POST /events/', { body: { ...tea, endAt: '2027-03-01T17:00:00' }, status: 422, checks: problem('validation_error') }),
  request('One event', 'GET /events/{{tea}}', { checks: { 'has an ETag': () => pm.collectionVariables.set('teaTag', pm.response.headers.get('ETag')) } }),
  request('One event, by its slug', 'GET /events/{{teaSlug}}', { checks: { 'is the same': () => pm.expect(json.id).to.eql(pm.collectionVariables.get('tea')) } }),
  request('No such event', 'GET /events/nothing-{{run}}', { status: 404, checks: problem('event_not_found') }),
  request('Change an event', 'PATCH /events/{{tea}}', {
    headers: { 'If-Match': '{{teaTag}}' },
    body: { venue: 'The Garden' },
    checks: {
      'the venue is new': () => pm.expect(json.venue).to.eql('The Garden'),
      'the rest stays': () => pm.expect(json.title).to.eql('Tea and Rust'),
    },
  }),
  request('Change an event that has changed', 'PATCH /events/{{tea}}', { headers: { 'If-Match': '{{teaTag}}' }, body: { venue: 'Nowhere' }, status: 412, checks: problem('stale') }),
  request('Replace an event', 'PUT /events/{{tea}}', {
    body: { ...tea, slug: '{{teaSlug}}', description: 'Bring a cup.' },
    checks: { 'has the description': () => pm.expect(json.description).to.eql('Bring a cup.') },
  }),
  request('Whoever hosts is counted', 'GET /users/{{ben}}', { checks: { 'two events': () => pm.expect(json.hostedCount).to.eql(2) } }),
  request('Events of an owner', 'GET /events/?owner={{ben}}&sort=startAt&size=1', {
    about: '`from`, `to`, `q`, `owner`, `host` select; `sort` is `startAt`, `-startAt` or `title`.',
    until: () => json.total === 2,
    save: { nextEvents: 'next' },
    checks: { 'one of two': () => pm.expect(json.items).to.have.lengthOf(1) },
  }),
  request('The next events', 'GET /events/?owner={{ben}}&sort=startAt&size=1&cursor={{nextEvents}}', { checks: { 'the other one, and the end': () => pm.expect(json).to.include({ total: 2, next: null }) } }),
]);
