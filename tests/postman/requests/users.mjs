import { folder, problem, request } from './table.mjs';

/* global pm, json */
const person = (name, more = {}) => ({ firstName: name, lastName: 'Berg', email: `${name.toLowerCase()}-{{run}}@example.org`, company: '{{company}}', ...more });

export const users = folder('Users', 'A user is a person you know, not somebody who signs in.', [
  request('Create a person', 'POST /users/', {
    about: 'A create answers 200 with the object as it is stored. An `id` may be chosen; without one it is made. Repeated with the same `Idempotency-Key`, it answers the same and makes nothing.',
    headers: { 'Idempotency-Key': 'anna-{{run}}' },
    body: person('Anna', { id: 'anna-{{run}}', phoneNumber: '+44 1904 000000', gender: 'female', jobTitle: 'Engineer', city: 'York', state: 'England', attendedCount: 99 }),
    save: { anna: 'id' },
    checks: {
      'has the id that was chosen': () => pm.expect(json.id).to.eql('anna-' + pm.collectionVariables.get('run')),
      'has what was sent': () => pm.expect(json).to.include({ firstName: 'Anna', lastName: 'Berg', jobTitle: 'Engineer', city: 'York', gender: 'female' }),
      'what was not sent is null': () => pm.expect(json.avatar).to.eql(null),
      'counters of a client do not count': () => pm.expect(json).to.include({ attendedCount: 0, hostedCount: 0 }),
    },
  }),
  request('Create the same again, with the same key', 'POST /users/', {
    about: 'The answer that was given the first time; nobody new.',
    headers: { 'Idempotency-Key': 'anna-{{run}}' },
    body: person('Anna', { id: 'anna-{{run}}', phoneNumber: '+44 1904 000000', gender: 'female', jobTitle: 'Engineer', city: 'York', state: 'England', attendedCount: 99 }),
    checks: { 'is the first answer': () => pm.expect(json.id).to.eql(pm.collectionVariables.get('anna')) },
  }),
  request('Another person with that key', 'POST /users/', {
    headers: { 'Idempotency-Key': 'anna-{{run}}' },
    body: person('Ben'),
    status: 422,
    checks: problem('idempotency_key_reused'),
  }),
  request('A second person', 'POST /users/', { body: person('Ben', { city: 'New York' }), save: { ben: 'id' } }),
  request('A third person', 'POST /users/', { body: person('Cleo', { jobTitle: 'Editor' }), save: { cleo: 'id' } }),
  request('A fourth, elsewhere', 'POST /users/', { body: person('Dora', { company: 'Crowd {{run}}' }), save: { dora: 'id' } }),
  request('A fifth, elsewhere', 'POST /users/', { body: person('Emil', { company: 'Crowd {{run}}' }), save: { emil: 'id' } }),
  request('An id that is taken', 'POST /users/', { body: person('Fay', { id: '{{anna}}' }), status: 400, checks: problem('user_id_taken') }),
  request('An address that is taken', 'POST /users/', { body: person('Anna'), status: 400, checks: problem('email_taken') }),
  request('All faults at once', 'POST /users/', {
    body: { lastName: 'Berg', email: 'not an address', gender: 'unknown' },
    status: 422,
    checks: {
      'each faulty field is named': () => pm.expect(json.detail.map((fault) => fault.loc.join('.'))).to.have.members(['body.firstName', 'body.email', 'body.gender']),
    },
  }),
  request('JSON that cannot be read', 'POST /users/', { headers: { 'Content-Type': 'application/json' }, body: '{"firstName": ', status: 422, checks: problem('validation_error') }),
  request('A body that is not JSON', 'POST /users/', { headers: { 'Content-Type': 'application/xml' }, body: '<person/>', status: 415, checks: problem('unsupported_media_type') }),
  request('One person', 'GET /users/{{anna}}', {
    about: 'The `ETag` names this revision.',
    checks: {
      'is the right one': () => pm.expect(json.id).to.eql(pm.collectionVariables.get('anna')),
      'has an ETag': () => pm.collectionVariables.set('annaTag', pm.response.headers.get('ETag')),
    },
  }),
  request('One person, unchanged', 'GET /users/{{anna}}', {
    about: 'With `If-None-Match`: 304 and no body, when the caller has this revision.',
    headers: { 'If-None-Match': '{{annaTag}}' },
    status: 304,
  }),
  request('Nobody of that name', 'GET /users/nobody-{{run}}', { status: 404, checks: problem('user_not_found') }),
  request('Change some fields', 'PATCH /users/{{anna}}', {
    about: 'A merge patch (RFC 7386): what is absent stays, `null` clears. With `If-Match` only this revision is changed.',
    headers: { 'If-Match': '{{annaTag}}' },
    body: { city: 'Leeds', phoneNumber: null },
    checks: {
      'what was sent is changed': () => pm.expect(json).to.include({ city: 'Leeds', phoneNumber: null }),
      'the rest stays': () => pm.expect(json.jobTitle).to.eql('Engineer'),
    },
  }),
  request('Change what has changed meanwhile', 'PATCH /users/{{anna}}', { headers: { 'If-Match': '{{annaTag}}' }, body: { city: 'Hull' }, status: 412, checks: problem('stale') }),
  request('Replace a person', 'PUT /users/{{ben}}', {
    about: 'Everything that can be set is set: what is absent is cleared. An `id` in the body does not count.',
    body: person('Ben', { id: 'somebody-else', jobTitle: 'Baker' }),
    checks: {
      'the id of the path counts': () => pm.expect(json.id).to.eql(pm.collectionVariables.get('ben')),
      'what was absent is cleared': () => pm.expect(json.city).to.eql(null),
    },
  }),
  request('Replace by an address that is taken', 'PUT /users/{{ben}}', { body: person('Anna'), status: 400, checks: problem('email_taken') }),
  request('Look an address up', 'GET /users/?email=anna-{{run}}@example.org', { checks: { 'finds that person alone': () => pm.expect(json.items.map((user) => user.id)).to.eql([pm.collectionVariables.get('anna')]) } }),
  request('First page', 'GET /users/?size=2', {
    about: '`page` counts from 1. `next` is a cursor for the page after this one.',
    save: { nextPeople: 'next' },
    checks: {
      'has two rows of at least three': () => {
        pm.expect(json).to.include({ page: 1, size: 2 });
        pm.expect(json.items).to.have.lengthOf(2);
        pm.expect(json.total).to.be.at.least(3);
        pm.expect(json.pages).to.eql(Math.ceil(json.total / 2));
        pm.collectionVariables.set('firstPage', JSON.stringify(json.items.map((user) => user.id)));
      },
    },
  }),
  request('Next page, by cursor', 'GET /users/?size=2&cursor={{nextPeople}}', {
    checks: {
      'has other rows': () => {
        const first = JSON.parse(pm.collectionVariables.get('firstPage'));
        pm.expect(json.items).to.not.be.empty;
        for (const user of json.items) pm.expect(first).to.not.include(user.id);
      },
    },
  }),
  request('A page of older clients', 'GET /users/?limit=1', {
    about: 'With `limit` and `last_evaluated_key` the answer has these names.',
    save: { lastKey: 'last_evaluated_key' },
    checks: { 'has one row and where it ended': () => pm.expect(json.items).to.have.lengthOf(1) },
  }),
  request('The page after that', 'GET /users/?limit=1&last_evaluated_key={{lastKey}}'),
  request('A cursor of nowhere', 'GET /users/?cursor=nonsense', { status: 400, checks: problem('bad_cursor') }),
  request('Too deep for a page number', 'GET /users/?page=101&size=100', { status: 400, checks: problem('too_deep') }),
  request('A page of no size', 'GET /users/?size=0', { status: 422, checks: problem('validation_error') }),
]);
