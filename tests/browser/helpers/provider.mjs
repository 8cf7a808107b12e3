// The OpenID provider of tests/parts, started for one file of tests alone: what a test changes there (keys, lifetimes, people, that it is down) disturbs no
// other one.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { freePort } from './server.mjs';

export async function startProvider() {
  const packages = process.env.EMCRM_OIDC_PACKAGES;
  if (!packages) throw new Error('EMCRM_OIDC_PACKAGES is not set; run the tests by ./dev.sh test browser');
  const port = await freePort();
  const program = join(import.meta.dirname, '../../parts/oidc/provider.mjs');
  const child = spawn(process.execPath, [program, String(port), packages], { stdio: ['ignore', 'pipe', 'inherit'] });
  const said = createInterface(child.stdout);
  const gone = once(child, 'exit').then(([status]) => Promise.reject(new Error(`the provider ended with ${status}`)));
  // Ending it is no fault.
  gone.catch(() => {});
  await Promise.race([once(said, 'line'), gone]);
  const address = `http://127.0.0.1:${port}`;
  const change = async (what, value = {}) => {
    const answer = await fetch(`${address}/test/${what}`, { method: 'POST', body: JSON.stringify(value) });
    if (!answer.ok) throw new Error(`/test/${what}: ${answer.status}`);
  };
  return {
    address,
    rotate: () => change('rotate'),
    // Seconds of each kind of token, such as { AccessToken: 1 }.
    ttl: (seconds) => change('ttl', seconds),
    person: (person) => change('people', person),
    down: (down) => change('down', { down }),
    reset: () => change('reset'),
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, 'exit');
      child.kill();
      await ended;
    },
  };
}
