import { folder, problem, request } from './table.mjs';

/* global pm, json */
const template = { name: 'Thanks {{run}}', subject: 'Thank you, {{ user.firstName }}', body: 'It was good to see you.', bodyFormat: 'markdown' };

export const templates = folder('Email: templates', 'Reusable content. Postman would fill in names between double braces without blanks; those with blanks are left to the server.', [
  request('What can be filled in', 'GET /email/variables', { checks: { 'the first name among it': () => pm.expect(json.items.map((item) => item.name)).to.include('user.firstName') } }),
  request('Create a template', 'POST /email/templates', { body: template, save: { template: 'id' }, checks: { 'is as it was sent': () => pm.expect(json).to.include({ subject: 'Thank you, {{ user.firstName }}', bodyFormat: 'markdown' }) } }),
  request('A variable that is not there', 'POST /email/templates', { body: { ...template, subject: '{{ user.shoeSize }}' }, status: 422, checks: problem('validation_error') }),
  request('All templates', 'GET /email/templates', { checks: { 'at least ours': () => pm.expect(json.total).to.be.at.least(1) } }),
  request('One template', 'GET /email/templates/{{template}}', { checks: { 'has an ETag': () => pm.collectionVariables.set('templateTag', pm.response.headers.get('ETag')) } }),
  request('Replace a template', 'PUT /email/templates/{{template}}', { headers: { 'If-Match': '{{templateTag}}' }, body: { ...template, body: 'Come again.' }, checks: { 'is new': () => pm.expect(json.body).to.eql('Come again.') } }),
  request('Replace what has changed', 'PUT /email/templates/{{template}}', { headers: { 'If-Match': '{{templateTag}}' }, body: template, status: 412, checks: problem('stale') }),
  request('Delete a template', 'DELETE /email/templates/{{template}}'),
  request('The template is gone', 'GET /email/templates/{{template}}', { status: 404 }),
]);

export const suppressions = folder('Email: suppressions', 'Addresses that must not be mailed. They outlive the people on them.', [
  request('Stop mail to an address', 'POST /email/suppressions', {
    body: { email: 'stop-{{run}}@example.org', note: 'asked by phone' },
    checks: { 'by hand': () => pm.expect(json).to.include({ reason: 'manual', note: 'asked by phone' }) },
  }),
  request('A lighter reason', 'POST /email/suppressions', {
    about: 'The graver reason stays.',
    body: { email: 'stop-{{run}}@example.org', reason: 'unsubscribed' },
    checks: { 'the graver stays': () => pm.expect(json.reason).to.eql('manual') },
  }),
  request('Not an address', 'POST /email/suppressions', { body: { email: 'nobody' }, status: 422, checks: problem('validation_error') }),
  request('Many at once', 'POST /email/suppressions/import', {
    body: { items: [{ email: 'cleo-{{run}}@example.org', reason: 'unsubscribed' }, { email: 'nobody' }] },
    checks: { 'one taken, one fault': () => pm.expect([json.taken, json.faults.map((fault) => fault.item)]).to.eql([1, [1]]) },
  }),
  request('Is an address suppressed?', 'GET /email/suppressions/cleo-{{run}}@example.org', { checks: { 'it is': () => pm.expect(json.reason).to.eql('unsubscribed') } }),
  request('An address that is not', 'GET /email/suppressions/anna-{{run}}@example.org', { status: 404 }),
  request('The list', 'GET /email/suppressions?size=1', { checks: { 'two at least': () => pm.expect(json.total).to.be.at.least(2) } }),
  request('The list as CSV', 'GET /email/suppressions.csv', { checks: { 'has a head': () => pm.expect(pm.response.text()).to.match(/^email,reason,/) } }),
  request('Allow mail again', 'DELETE /email/suppressions/stop-{{run}}@example.org'),
  request('Allow it twice', 'DELETE /email/suppressions/stop-{{run}}@example.org', { status: 404 }),
]);
