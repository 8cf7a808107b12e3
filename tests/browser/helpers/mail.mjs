// The mail server of the tests, as a reader sees it.
import { until } from './api.mjs';

const [host, port] = process.env.EMCRM_MAILDEV.split(':');
const pages = `http://${host}:${Number(port) + 1}`;

// Mails of one server to one address, oldest first. Other tests use the same mail server; a mail of ours has an address of ours in it.
export async function mailsTo(server, address) {
  const answer = await fetch(`${pages}/api/email?to.address=${encodeURIComponent(address)}`);
  return (await answer.json()).filter((mail) => `${mail.text} ${mail.html}`.includes(server.address));
}

export const mailTo = (server, address, wanted = () => true) => until(`a mail to ${address}`, async () => (await mailsTo(server, address)).find(wanted));

// The link by which somebody unsubscribes, from the header that mail programs show as a button.
export function unsubscribeLink(mail) {
  const found = /https?:\/\/\S+\/u\/[\w.~-]+/.exec(`${mail.text ?? ''} ${mail.html ?? ''}`);
  if (!found) throw new Error(`no link to unsubscribe in: ${mail.text}`);
  return found[0];
}
