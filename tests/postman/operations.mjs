// The operations of docs/openapi.json, and which of them a request asks for.
import { readFile } from 'node:fs/promises';

export const read = async (path) => JSON.parse(await readFile(new URL(path, import.meta.url), 'utf8'));

export async function operations() {
  const { paths } = await read('../../docs/openapi.json');
  return Object.entries(paths).flatMap(([path, item]) => Object.keys(item).map((method) => `${method.toUpperCase()} ${path}`));
}

const parts = (path) => path.replace(/(.)\/$/, '$1').split('/');
const fixed = (name) => parts(name).filter((part) => !part.startsWith('{')).length;

// Of several that fit, the one with the most fixed parts: `/email/requests` is not `/email/{id}`.
export function operationOf(known, method, path) {
  const asked = parts(path);
  const fits = (name) => {
    const [verb, template] = name.split(' ');
    const wanted = parts(template);
    return verb === method && wanted.length === asked.length && wanted.every((part, at) => part.startsWith('{') || part === asked[at]);
  };
  return known.filter(fits).sort((a, b) => fixed(b) - fixed(a))[0];
}
