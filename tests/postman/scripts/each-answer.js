// After every answer: it has an id, errors look as errors do, and the body is what the OpenAPI document of this server says.
const type = (pm.response.headers.get('Content-Type') || '').split(';')[0];

pm.test('has an X-Request-Id', () => pm.expect(pm.response.headers.get('X-Request-Id')).to.be.a('string').and.not.empty);

if (pm.response.code >= 400) {
  pm.test('the error is a problem (RFC 9457)', () => {
    pm.expect(type).to.eql('application/problem+json');
    const problem = pm.response.json();
    pm.expect(problem.status).to.eql(pm.response.code);
    pm.expect(problem.type).to.eql('urn:emcrm:problem:' + problem.code);
  });
}

// The first request, "The OpenAPI document", puts it here.
const api = JSON.parse(pm.collectionVariables.get('openapi') || '{"paths":{}}');
const asked = pm.request.url.getPath().replace(/(.)\/$/, '$1').split('/');
const fits = (template) => template.length === asked.length && template.every((part, at) => part.startsWith('{') || part === asked[at]);
// Of several that fit, the one with the most fixed parts.
const fixed = (template) => template.filter((part) => !part.startsWith('{')).length;
const path = Object.keys(api.paths)
  .map((name) => name.split('/'))
  .filter(fits)
  .sort((a, b) => fixed(b) - fixed(a))[0];
const operation = path && api.paths[path.join('/')][pm.request.method.toLowerCase()];
if (operation) {
  const described = operation.responses[pm.response.code] || operation.responses.default;
  const content = Object.fromEntries(Object.entries(described.content || {}).map(([name, value]) => [name.split(';')[0], value]));
  pm.test('is as the OpenAPI document says: ' + pm.request.method + ' ' + path.join('/'), () => {
    if (pm.response.code === 304 || Object.keys(content).length === 0) return;
    pm.expect(Object.keys(content)).to.include(type);
    if (!/json/.test(type)) return;
    const Ajv = require('ajv');
    const ajv = new Ajv({ unknownFormats: 'ignore', allErrors: true });
    const right = ajv.validate({ ...content[type].schema, components: api.components }, pm.response.json());
    pm.expect(right, ajv.errorsText()).to.eql(true);
  });
}
