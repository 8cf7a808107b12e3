import { folder, problem, request } from './table.mjs';

/* global pm, json */
export const start = folder('Start', 'What the server is, whether it is well, and names for this run. Send these first.', [
  request('The OpenAPI document', 'GET /openapi.json', {
    about: 'Kept for comparing every later answer with it. Also makes up a name for this run, so that nothing collides with what is there.',
    before: () => {
      const run = Date.now().toString(36) + Math.random().toString(36).slice(2, 5);
      pm.collectionVariables.set('run', run);
      pm.collectionVariables.set('company', 'Postman ' + run);
      pm.collectionVariables.set('inAYear', new Date(Date.now() + 365 * 86400000).toISOString().slice(0, 19));
    },
    checks: {
      'is version 3.1': () => pm.expect(json.openapi).to.match(/^3\.1\./),
      'its answers are kept, without words': () => {
        const bare = (value) => {
          if (Array.isArray(value)) return value.map(bare);
          if (value === null || typeof value !== 'object') return value;
          const words = ([key, inner]) => typeof inner === 'string' && ['description', 'title', 'summary'].includes(key);
          return Object.fromEntries(Object.entries(value).filter((entry) => !words(entry) && !/^examples?$/.test(entry[0])).map(([key, inner]) => [key, bare(inner)]));
        };
        // Schemas that only requests have are not needed.
        const schemas = {};
        const keep = (value) => {
          const text = JSON.stringify(value);
          for (const [, name] of text.matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
            if (name in schemas) continue;
            schemas[name] = bare(json.components.schemas[name]);
            keep(schemas[name]);
          }
          return value;
        };
        const operation = ({ responses }) => ({ responses: keep(bare(responses)) });
        const map = (object, change) => Object.fromEntries(Object.entries(object).map(([key, value]) => [key, change(value)]));
        const paths = map(json.paths, (path) => map(path, operation));
        pm.collectionVariables.set('openapi', JSON.stringify({ paths, components: { schemas } }));
      },
    },
  }),
  request('Does anybody have to sign in?', 'GET /auth/status', {
    token: null,
    checks: {
      'is kept': () => pm.collectionVariables.set('signIn', json.authentication_enabled ? 'on' : 'off'),
    },
  }),
  request('Health', 'GET /health', {
    about: 'The two names stand for the storage and the search, whatever engine is in use.',
    token: null,
    checks: { 'both are well': () => pm.expect(json).to.eql({ dynamodb: 'ok', opensearch: 'ok' }) },
  }),
  request('Is the process alive?', 'GET /health/live', { token: null }),
  request('Is it ready for requests?', 'GET /health/ready', {
    token: null,
    checks: { 'it is': () => pm.expect(json.status).to.eql('ready') },
  }),
  request('Metrics', 'GET /metrics', {
    about: 'For Prometheus. Only this machine is answered, unless `APP_METRICS_TOKEN` is set; then that token is asked for, not one of the API.',
    status: [200, 401, 403],
    checks: { 'are in the text format': () => pm.expect(pm.response.text()).to.match(/^# (HELP|TYPE) /m) },
  }),
  request('Pages: Swagger UI', 'GET /docs', { token: null }),
  request('Pages: ReDoc', 'GET /redoc', { token: null }),
  request('A path that is not there', 'GET /no-such-path', { status: 404, checks: problem('not_found') }),
  request('A method that is not there', 'PATCH /users/', {
    body: {},
    status: 405,
    checks: { 'Allow says which are': () => pm.expect(pm.response.headers.get('Allow')).to.include('POST') },
  }),
]);
