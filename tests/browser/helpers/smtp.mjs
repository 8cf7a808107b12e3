// A mail server that takes every mail, except for those to addresses that it is told to refuse, in words of a test's choice, or to lose: it hangs up once it
// has such a mail, and nobody learns what became of it.
import { once } from 'node:events';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { until } from './api.mjs';

// The link of this kind in a mail as it is on its way. A long line goes on in the next, in the head by white space and in the body by `=`.
export function linkIn(text, kind) {
  const whole = text.replaceAll(/\r\n[ \t]|=\r\n/g, '').replaceAll('=3D', '=');
  return new RegExp(`/${kind}/[\\w.~-]+`).exec(whole)?.[0];
}

export async function startSmtp({ refuse = /^$/, lose = /^$/, words = '5.1.1 no such mailbox', connections = 8 } = {}) {
  const mails = [];
  // Mails that may be answered yet, and those that wait for it.
  let free = Infinity;
  const waiting = [];
  const turn = () =>
    new Promise((resolve) => {
      if (free > 0) resolve(free--);
      else waiting.push(resolve);
    });
  const server = createServer((socket) => {
    socket.on('error', () => {});
    const say = (line) => socket.write(`${line}\r\n`);
    let to = [];
    let lines;
    say('220 mail.example.org');
    createInterface(socket).on('line', async (line) => {
      if (lines) {
        if (line !== '.') return lines.push(line);
        const mail = { to, text: lines.join('\r\n') };
        [to, lines] = [[], undefined];
        await turn();
        if (mail.to.some((address) => lose.test(address))) return socket.destroy();
        mails.push(mail);
        return say('250 taken');
      }
      const verb = line.slice(0, 4).toUpperCase();
      if (verb === 'EHLO') return say('250-mail.example.org\r\n250-8BITMIME\r\n250 SMTPUTF8');
      if (verb === 'RCPT') {
        const address = /<(.*)>/.exec(line)?.[1] ?? '';
        if (refuse.test(address)) return say(`550 ${words}`);
        to.push(address);
      }
      if (verb === 'RSET') to = [];
      if (verb === 'DATA') {
        lines = [];
        return say('354 go on');
      }
      if (verb === 'QUIT') return socket.end('221 bye\r\n');
      return say('250 well');
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `smtp://127.0.0.1:${server.address().port}?connections=${connections}`,
    // To whom, in the order in which they were taken.
    taken: () => mails.flatMap(({ to }) => to),
    // From now on a mail is answered only when it is let through.
    hold: () => {
      free = 0;
    },
    pass: (count) => {
      for (let n = 0; n < count; n++) {
        const next = waiting.shift();
        if (next) next();
        else free++;
      }
    },
    // Everything is fine again.
    mend: () => {
      [refuse, lose] = [/^$/, /^$/];
    },
    // Where the link leads that mail programs show as a button to unsubscribe, or another one of ours.
    linkTo: (address, kind = 'u') =>
      until(`a mail to ${address}`, () =>
        mails
          .filter((mail) => mail.to.includes(address))
          .map(({ text }) => linkIn(text, kind))
          .find(Boolean),
      ),
    stop: () => server.close(),
  };
}
