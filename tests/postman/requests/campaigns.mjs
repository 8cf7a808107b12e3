import { folder, problem, request } from './table.mjs';

/* global pm, json */
const mail = { filter: { company: '{{company}}' }, subject: 'Hello {{ user.firstName }}', body: 'See you at {{ event.title }}.', eventId: '{{tea}}', kind: 'marketing' };
// Five people, one a second: time enough to steer it.
const slow = { ...mail, filter: { company: ['{{company}}', 'Crowd {{run}}'] }, kind: 'transactional', rate: 1 };

export const drafts = folder('Email: drafts', 'A campaign before it is sent. Nothing happens to a draft by itself.', [
  request('Write a draft', 'POST /email/requests', { body: mail, save: { draft: 'email_id' }, checks: { 'is a draft': () => pm.expect(json).to.include({ status: 'draft', totalRecipients: 0 }) } }),
  request('A draft without a subject', 'POST /email/requests', { body: { ...mail, subject: '' }, status: 422, checks: problem('validation_error') }),
  request('A draft about nothing', 'POST /email/requests', { body: { ...mail, subject: 'Hello {{ user.shoeSize }}' }, status: 422, checks: problem('validation_error') }),
  request('One draft', 'GET /email/requests/{{draft}}', { checks: { 'has an ETag': () => pm.collectionVariables.set('draftTag', pm.response.headers.get('ETag')) } }),
  request('Write it anew', 'PUT /email/requests/{{draft}}', { headers: { 'If-Match': '{{draftTag}}' }, body: { ...mail, rate: 100 }, checks: { 'is new': () => pm.expect(json.rate).to.eql(100) } }),
  request('Write anew what has changed', 'PUT /email/requests/{{draft}}', { headers: { 'If-Match': '{{draftTag}}' }, body: mail, status: 412, checks: problem('stale') }),
  request('Who would get it?', 'POST /email/preflight', {
    about: 'Who would get it and who would not, by reason; missing values; samples; errors and warnings. Sends nothing.',
    body: mail,
    checks: {
      'two of three': () => pm.expect(json).to.include({ matches: 3, recipients: 2 }),
      'one is suppressed': () => pm.expect(json.leftOut.unsubscribed.count).to.eql(1),
    },
  }),
  request('What would it look like?', 'POST /email/preview', { body: { ...mail, filter: { company: '{{company}}', jobTitle: 'Engineer' } }, checks: { 'with the name filled in': () => pm.expect(json.subject).to.eql('Hello Anna') } }),
  request('A preview for nobody', 'POST /email/preview', { body: { ...mail, filter: { minAttended: 2, maxAttended: 1 } }, status: 422, checks: problem('validation_error') }),
  request('Send a test', 'POST /email/test', { about: 'One mail to a given address, marked as a test, in no ledger.', body: { to: 'test-{{run}}@example.org', subject: 'Hello', body: 'A test.' , filter: { company: '{{company}}' } } }),
  request('A copy', 'POST /email/requests/{{draft}}/duplicate', { save: { copy: 'email_id' }, checks: { 'is a new draft': () => pm.expect(json.email_id).to.not.eql(pm.collectionVariables.get('draft')) } }),
  request('Send it in a year', 'POST /email/requests/{{copy}}/schedule', { body: { scheduledAt: '{{inAYear}}', timezone: 'Europe/Berlin', lateAfterMinutes: 30 }, checks: { 'waits for its moment': () => pm.expect(json.status).to.eql('scheduled') } }),
  request('Send it in the past', 'POST /email/requests/{{draft}}/schedule', { body: { scheduledAt: '2020-01-01T00:00:00' }, status: 422, checks: problem('validation_error') }),
  request('Not in a year after all', 'POST /email/requests/{{copy}}/unschedule', { checks: { 'is a draft again': () => pm.expect(json.status).to.eql('draft') } }),
  request('Nothing to take back', 'POST /email/requests/{{copy}}/unschedule', { status: 409, checks: problem('wrong_state') }),
  request('Delete the copy', 'DELETE /email/requests/{{copy}}'),
  request('The copy is gone', 'GET /email/requests/{{copy}}', { status: 404, checks: problem('email_request_not_found') }),
]);

export const campaigns = folder('Email: campaigns', 'What is being sent, and the ledger: one row for each recipient.', [
  request('Send the draft', 'POST /email/requests/{{draft}}/send', {
    about: 'Answers once the audience is frozen, or after two seconds.',
    checks: { 'is on its way': () => pm.expect(json.status).to.be.oneOf(['pending', 'freezing', 'sending', 'sent']) },
  }),
  request('Until it is sent', 'GET /email/requests/{{draft}}', {
    until: () => json.status === 'sent',
    checks: { 'the counts add up': () => pm.expect(Object.values(json.counts).reduce((a, b) => a + b, 0)).to.eql(json.totalRecipients) },
  }),
  request('Its deliveries', 'GET /email/status/{{draft}}', { checks: { 'three rows': () => pm.expect(json.total).to.eql(3) } }),
  request('Those that were sent', 'GET /email/status/{{draft}}?status=sent&size=1', { save: { nextRows: 'next' }, checks: { 'one of them': () => pm.expect(json.items.map((row) => row.status)).to.eql(['sent']) } }),
  request('The next of those', 'GET /email/status/{{draft}}?status=sent&size=1&cursor={{nextRows}}'),
  request('One address of it', 'GET /email/status/{{draft}}?email=cleo-{{run}}@example.org', { checks: { 'was not mailed': () => pm.expect(json.items.map((row) => row.status)).to.eql(['suppressed']) } }),
  request('Deliveries of nothing', 'GET /email/status/nothing-{{run}}', { status: 404 }),
  request('Everything to one person', 'GET /email/status/user/{{anna}}', { checks: { 'one mail': () => pm.expect(json.items.map((row) => row.status)).to.eql(['sent']) } }),
  request('The ledger as CSV', 'GET /email/requests/{{draft}}/deliveries.csv', { checks: { 'a head and three rows': () => pm.expect(pm.response.text().trim().split('\n')).to.have.lengthOf(4) } }),
  request('What happened to it', 'GET /email/requests/{{draft}}/log', { checks: { 'from draft to the end': () => pm.expect(json.items.map((entry) => entry.what)).to.include.members(['draft', 'sent', 'frozen']) } }),
  request('Its progress, live', 'GET /email/requests/{{draft}}/events', {
    about: 'Server-sent events, one a second, until the campaign has ended. This one has.',
    checks: { 'named progress': () => pm.expect(pm.response.text()).to.match(/^event: progress$/m) },
  }),
  request('Who read it', 'GET /email/requests/{{draft}}/readers', { checks: { 'nobody is tracked': () => pm.expect(json).to.include({ opened: 0, clicked: 0 }) } }),
  request('Change what was sent', 'PUT /email/requests/{{draft}}', { body: mail, status: 409, checks: problem('wrong_state') }),
  request('Delete what was sent', 'DELETE /email/requests/{{draft}}', { status: 409, checks: problem('wrong_state') }),
  request('Try again what failed', 'POST /email/requests/{{draft}}/retry', { about: 'Nothing had failed, so nothing is mailed.', body: { states: ['error'] }, checks: { 'nobody is left out': () => pm.expect(json.totalRecipients).to.eql(3) } }),
  request('Write and send at once, at a moment', 'POST /email/send', {
    about: 'A new campaign is made each time; an `Idempotency-Key` makes repeating safe. With `scheduledAt` it waits.',
    headers: { 'Idempotency-Key': 'send-{{run}}' },
    body: { ...mail, scheduledAt: '{{inAYear}}' },
    save: { later: 'email_id' },
    checks: { waits: () => pm.expect(json.status).to.eql('scheduled') },
  }),
  request('The same again, with the same key', 'POST /email/send', {
    headers: { 'Idempotency-Key': 'send-{{run}}' },
    body: { ...mail, scheduledAt: '{{inAYear}}' },
    checks: { 'no second campaign': () => pm.expect(json.email_id).to.eql(pm.collectionVariables.get('later')) },
  }),
  request('End what waits', 'POST /email/requests/{{later}}/cancel', { checks: { 'is cancelled': () => pm.expect(json.status).to.eql('cancelled') } }),
  request('Mail nobody', 'POST /email/send', { body: { ...mail, filter: { company: 'Nothing {{run}}' } }, status: 404, checks: problem('no_users_match') }),
  request('Write and send at once, slowly', 'POST /email/send', {
    about: 'One mail a second. Transactional mail goes also to those who unsubscribed.',
    body: slow,
    save: { slow: 'email_id' },
    checks: { 'is on its way': () => pm.expect(json.status).to.be.oneOf(['pending', 'freezing', 'sending']) },
  }),
  request('Pause it', 'POST /email/requests/{{slow}}/pause', { checks: { 'is paused': () => pm.expect(json.status).to.eql('paused') } }),
  request('Pause it twice', 'POST /email/requests/{{slow}}/pause', { status: 409, checks: problem('wrong_state') }),
  request('Go on', 'POST /email/requests/{{slow}}/resume', { checks: { 'is not paused': () => pm.expect(json.status).to.not.eql('paused') } }),
  request('End it', 'POST /email/requests/{{slow}}/cancel', { checks: { 'is cancelled': () => pm.expect(json.status).to.eql('cancelled') } }),
  request('Go on after the end', 'POST /email/requests/{{slow}}/resume', { status: 409, checks: problem('wrong_state') }),
  request('All campaigns', 'GET /email/requests?size=1', { save: { nextCampaigns: 'next' }, checks: { 'two at least': () => pm.expect(json.total).to.be.at.least(2) } }),
  request('The next campaigns', 'GET /email/requests?size=1&cursor={{nextCampaigns}}'),
  request('A mail came back', 'POST /mail/events/bounce', {
    about: 'The whole mail, as a mail server pipes it (RFC 3464), or a complaint (RFC 5965). Only what carries our signed header counts.',
    headers: { 'Content-Type': 'message/rfc822' },
    body: 'Subject: hello\r\n\r\nThis is no report.',
    checks: { 'is not ours': () => pm.expect(json.recorded).to.eql(0) },
  }),
  request('What SES tells by SNS', 'POST /mail/events/sns', {
    about: 'Open, because each message is signed by Amazon. 404 until `MAIL_SNS_TOPIC` is set; then whatever is not signed is refused.',
    token: null,
    body: '{}',
    status: [404, 400, 403, 422],
  }),
]);

export const deprecated = folder('Email: older names', 'Kept for clients of an earlier service and marked deprecated; the folders above have the newer names.', [
  request('Send, by its older name', 'POST /email/send_emails', { body: { ...mail, filter: { company: '{{company}}', jobTitle: 'baker' } }, save: { older: 'email_id' }, checks: { 'one person': () => pm.expect(json.email_id).to.be.a('string') } }),
  request('Campaigns, by their older name', 'GET /email/', { checks: { 'newest first': () => pm.expect(json.items[0].email_id).to.eql(pm.collectionVariables.get('older')) } }),
  request('One campaign, by POST', 'POST /email/{{older}}', { until: () => json.status === 'sent' }),
  request('No such campaign, by POST', 'POST /email/nothing-{{run}}', { status: 404, checks: problem('email_request_not_found') }),
  request('Its deliveries, by POST', 'POST /email/sent/{{older}}', { checks: { 'one row': () => pm.expect(json.total).to.eql(1) } }),
  request("A person's deliveries, by POST", 'POST /email/user/{{ben}}', { checks: { 'one of each campaign': () => pm.expect(json.total).to.eql(3) } }),
  request('Deliveries of nobody, by POST', 'POST /email/user/nobody-{{run}}', { status: 404 }),
]);
