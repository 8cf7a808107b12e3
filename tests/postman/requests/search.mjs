import { folder, problem, request } from './table.mjs';

/* global pm, json */
export const search = folder('Search', 'Values are compared whole: "York" does not select "New York". A change is found a moment after it was answered, so the first request repeats itself.', [
  request('By company', 'POST /search/query_users?page=0&size=10', {
    about: 'Pages count from 0 here. Upper and lower case do not matter.',
    body: { company: '{{company}}', minAttended: 1 },
    until: () => json.total === 3,
    checks: { 'all three, without what they lack': () => pm.expect(json.users[0]).to.not.have.property('avatar') },
  }),
  request('By several values', 'POST /search/query_users?page=0&size=10', { body: { company: ['nothing', '{{company}}'], jobTitle: ['baker', 'editor'] }, checks: { two: () => pm.expect(json.total).to.eql(2) } }),
  request('A maximum below the minimum', 'POST /search/query_users', { body: { minAttended: 2, maxAttended: 1 }, status: 422, checks: problem('validation_error') }),
  request('With a cursor, words and facets', 'POST /search/users', {
    body: { company: '{{company}}', sort: 'name', size: 2, facets: ['city', 'jobTitle'] },
    checks: { 'three people': () => pm.expect(json.total).to.eql(3) },
  }),
  request('By query string', 'GET /search/users?company={{company}}&sort=name&size=2', {
    save: { nextFound: 'next' },
    checks: { 'two of three, by name': () => pm.expect(json.users.map((user) => user.firstName)).to.eql(['Anna', 'Ben']) },
  }),
  request('The next of them', 'GET /search/users?company={{company}}&sort=name&size=2&cursor={{nextFound}}', {
    checks: { 'the third, and the end': () => pm.expect([json.users.map((user) => user.firstName), json.next]).to.eql([['Cleo'], null]) },
  }),
  request('An order that is not there', 'GET /search/users?sort=nonsense', { status: 422, checks: problem('validation_error') }),
  request('Most frequent companies', 'GET /search/facets?field=company&prefix={{company}}', { checks: { 'ours, with its people': () => pm.expect(json.values).to.deep.include({ value: pm.collectionVariables.get('company'), count: 3 }) } }),
  request('Facets of no field', 'GET /search/facets?field=nonsense', { status: 422, checks: problem('validation_error') }),
]);
