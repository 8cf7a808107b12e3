import { folder, problem, request } from './table.mjs';

/* global pm, json */
export const attendance = folder('Attendance', 'One person at one event. An event never has more people than seats.', [
  request('Take a seat', 'POST /attend/', {
    body: { user_id: '{{anna}}', event_id: '{{tea}}' },
    checks: { 'is as it was asked': () => pm.expect(json).to.include({ user_id: pm.collectionVariables.get('anna'), event_id: pm.collectionVariables.get('tea'), attended: 'yes' }) },
  }),
  request('Take it twice', 'POST /attend/', { body: { user_id: '{{anna}}', event_id: '{{tea}}' }, status: 400, checks: problem('already_attending') }),
  request('Take a seat in a full event', 'POST /attend/', { body: { user_id: '{{cleo}}', event_id: '{{tea}}' }, status: 409, checks: problem('event_full') }),
  request('A seat for nobody', 'POST /attend/', { body: { user_id: 'nobody-{{run}}', event_id: '{{tea}}' }, status: 404, checks: problem('user_not_found') }),
  request('A seat at nothing', 'POST /attend/', { body: { user_id: '{{anna}}', event_id: 'nothing-{{run}}' }, status: 404, checks: problem('event_not_found') }),
  request('A body without fields', 'POST /attend/', { body: {}, status: 422, checks: { 'names both': () => pm.expect(json.detail).to.have.lengthOf(2) } }),
  request('The second person at the second event', 'POST /attend/', { body: { user_id: '{{ben}}', event_id: '{{endless}}', attended: 'maybe' }, checks: { 'says maybe': () => pm.expect(json.attended).to.eql('maybe') } }),
  request('The first person there too', 'POST /attend/', { body: { user_id: '{{anna}}', event_id: '{{endless}}' } }),
  request('One record', 'GET /attend/{{anna}}/{{tea}}', { checks: { 'has an ETag': () => pm.expect(pm.response.headers.get('ETag')).to.be.a('string') } }),
  request('No such record', 'GET /attend/{{cleo}}/{{tea}}', { status: 404, checks: problem('attendance_not_found') }),
  request('Check somebody in', 'PATCH /attend/{{anna}}/{{tea}}', { body: { attended: 'here' }, checks: { 'is here': () => pm.expect(json.attended).to.eql('here') } }),
  request('Who attends an event', 'GET /attend/event/{{endless}}?expand=user&size=1', {
    about: '`expand=user` puts name, company and address beside each record.',
    save: { nextAttendees: 'next' },
    checks: {
      'one of two': () => pm.expect(json).to.include({ total: 2, pages: 2 }),
      'has the person beside it': () => pm.expect(json.items[0].user.company).to.eql(pm.collectionVariables.get('company')),
    },
  }),
  request('Who else attends', 'GET /attend/event/{{endless}}?expand=user&size=1&cursor={{nextAttendees}}', { checks: { 'the last one': () => pm.expect(json.next).to.eql(null) } }),
  request('Events of a person', 'GET /attend/user/{{anna}}', { checks: { two: () => pm.expect(json.total).to.eql(2) } }),
  request('Events of nobody', 'GET /attend/user/nobody-{{run}}', { status: 404, checks: problem('user_not_found') }),
  request('Seats below the present count', 'PATCH /events/{{endless}}', { body: { maxCapacity: 1 }, status: 400, checks: problem('capacity_too_low') }),
  request('The person is counted', 'GET /users/{{anna}}', { checks: { twice: () => pm.expect(json.attendedCount).to.eql(2) } }),
  request('The event is counted', 'GET /events/{{tea}}', { checks: { once: () => pm.expect(json.attendeeCount).to.eql(1) } }),
  request('Give the seat back', 'DELETE /attend/{{anna}}/{{tea}}', { checks: { 'says so': () => pm.expect(json.message).to.be.a('string') } }),
  request('Give it back twice', 'DELETE /attend/{{anna}}/{{tea}}', { status: 404, checks: problem('attendance_not_found') }),
  request('The seat is free', 'POST /attend/', { body: { user_id: '{{cleo}}', event_id: '{{tea}}' } }),
]);
