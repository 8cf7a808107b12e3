// Every operation of the OpenAPI document has a request in the collection, and names of requests are unique (they are jumped to by name).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { operationOf, operations, read } from './operations.mjs';

const collection = await read('../../docs/postman/emcrm.postman_collection.json');
const items = collection.item.flatMap((folder) => folder.item);

test('every operation has a request', async () => {
  const known = await operations();
  const asked = new Set(items.map(({ request }) => operationOf(known, request.method, `/${request.url.path.join('/')}`)));
  const missing = known.filter((name) => !asked.has(name));
  assert.deepEqual(missing, [], `docs/openapi.json has operations without a request in tests/postman/requests: ${missing.join(', ')}`);
});

test('a fixed part of a path counts before a parameter', () => {
  const known = ['POST /email/{id}', 'POST /email/send', 'GET /email/send'];
  assert.equal(operationOf(known, 'POST', '/email/send/'), 'POST /email/send');
  assert.equal(operationOf(known, 'POST', '/email/{{draft}}'), 'POST /email/{id}');
  assert.equal(operationOf(known, 'PUT', '/email/send'), undefined);
});

test('names are unique', () => {
  const names = items.map(({ name }) => name);
  assert.deepEqual(names.filter((name, at) => names.indexOf(name) !== at), []);
});
