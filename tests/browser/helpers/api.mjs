// The HTTP API, for what tests need to be there before a person comes.
import assert from 'node:assert/strict';

export function api(address) {
  const call = async (method, path, body) => {
    const answer = await fetch(address + path, {
      method,
      headers: body === undefined ? {} : { 'content-type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await answer.text();
    assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${text}`);
    return text ? JSON.parse(text) : undefined;
  };
  const client = {
    get: (path) => call('GET', path),
    post: (path, body) => call('POST', path, body),
    put: (path, body) => call('PUT', path, body),
    patch: (path, body) => call('PATCH', path, body),
    delete: (path) => call('DELETE', path),
    // Until the index knows as many people as the store. A new one on OpenSearch answers only after some seconds.
    settled: () =>
      until('the index to know everybody', async () => {
        const [stored, found] = await Promise.all([client.get('/users/?size=1'), client.post('/search/query_users?size=1', {}).catch(() => ({}))]);
        return stored.total === found.total;
      }),
    // Until a campaign has come to its end.
    sent: (id) =>
      until(`campaign ${id} to end`, async () => {
        const campaign = await client.get(`/email/requests/${id}`);
        return ['sent', 'cancelled', 'error'].includes(campaign.status) && campaign;
      }),
  };
  return client;
}

// Asks again and again until the answer is true.
export async function until(what, ask, seconds = 60) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`waited ${seconds} seconds for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
