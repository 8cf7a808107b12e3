import { folder, problem, request } from './table.mjs';

/* global pm, json */
export const privacy = folder('Privacy', 'Everything about a person, and none of it.', [
  request('Everything about a person', 'POST /users/{{cleo}}/export', {
    checks: {
      'the person': () => pm.expect(json.user.id).to.eql(pm.collectionVariables.get('cleo')),
      'and what was mailed': () => pm.expect(json.emails).to.not.be.empty,
    },
  }),
  request('Everything about nobody', 'POST /users/nobody-{{run}}/export', { status: 404, checks: problem('user_not_found') }),
  request('Erase a person', 'POST /users/{{cleo}}/erase'),
  request('The person is gone', 'GET /users/{{cleo}}', { status: 404, checks: problem('user_not_found') }),
  request('Erase nobody', 'POST /users/nobody-{{run}}/erase', { status: 404, checks: problem('user_not_found') }),
]);
