import { folder, problem, request } from './table.mjs';

/* global pm, json */
export const finish = folder('Finish', 'Removes what this run made. What follows from it (attendances, counters) is done a moment later.', [
  request('Delete the event', 'DELETE /events/{{tea}}', { checks: { 'says so': () => pm.expect(json.message).to.eql('Event deleted successfully') } }),
  request('Delete it twice', 'DELETE /events/{{tea}}', { status: 404, checks: problem('event_not_found') }),
  request('Delete the second event', 'DELETE /events/{{endless}}'),
  request('Counters follow', 'GET /users/{{anna}}', { until: () => json.attendedCount === 0 }),
  request('Delete a person', 'DELETE /users/{{anna}}', { checks: { 'says so': () => pm.expect(json.message).to.eql('User deleted successfully') } }),
  request('Delete a person twice', 'DELETE /users/{{anna}}', { status: 404, checks: problem('user_not_found') }),
  request('Delete the second person', 'DELETE /users/{{ben}}'),
  request('Delete the fourth person', 'DELETE /users/{{dora}}'),
  request('Delete the fifth person', 'DELETE /users/{{emil}}'),
  request('Allow mail to the address again', 'DELETE /email/suppressions/cleo-{{run}}@example.org', { about: 'The entry has outlived the person.' }),
  request('Nobody is found any more', 'POST /search/query_users', { body: { company: '{{company}}' }, until: () => json.total === 0 }),
]);
