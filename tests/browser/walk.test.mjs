// The main job as one person does it, from nothing to the next campaign. With scripts, without scripts; EMCRM_TEST_PAIR chooses the engines.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, test } from 'node:test';
import { mailTo, mailsTo, unsubscribeLink } from './helpers/mail.mjs';
import { startServer } from './helpers/server.mjs';
import { closeBrowser, visitor } from './helpers/visitor.mjs';
import { Walk, address, peopleCsv } from './walk.mjs';

after(closeBrowser);

const CAPACITY = 3;

for (const script of [true, false]) {
  test(`the main job, ${script ? 'with' : 'without'} scripts`, { timeout: 240_000 }, async (t) => {
    const server = await startServer();
    const person = await visitor(server, { script });
    try {
      await mainJob(t, server, person);
    } finally {
      await person.context.close();
      await server.stop();
    }
  });
}

async function mainJob(t, server, person) {
  const own = randomBytes(4).toString('hex');
  const walk = new Walk(person, { own });
  const step = async (name, act) => {
    await t.test(name, act);
    person.calm();
  };
  const csv = peopleCsv({ own });
  // Who lives in Round Rock: every hundredth.
  const chosen = csv.good / 100;
  let event;
  let first;
  let second;

  await step('the first page says what to begin with', () => walk.firstRun());
  await step('2,000 people come from a file, and its bad rows are told', () => walk.importPeople(csv));
  await step('an event is made, after a mistake', async () => {
    event = await walk.createEvent({ title: 'Rust in Production', capacity: CAPACITY });
  });
  await step('people are added until it is full, the last one by herself', async () => {
    const slug = (await server.api.get(event.replace('/app/events', '/events'))).slug;
    for (let n = 1; n < CAPACITY; n++) await walk.addAttendee(event, `Person${n}`);
    await walk.register(slug, { firstName: 'Wanda', email: `wanda.${own}@walk.example` });
    await walk.isFull(event, slug, CAPACITY);
    const confirmation = await mailTo(server, `wanda.${own}@walk.example`);
    assert.match(confirmation.text, /\/r\//, 'the confirmation says how to give the place back');
  });
  await step('a filter finds those in one city, and leads to a campaign', () => walk.filterAndMail({ city: 'Round Rock', count: chosen }));
  await step('a campaign is written, reviewed and sent', async () => {
    await walk.compose({ subject: `News ${own}`, body: 'Hello {{ user.firstName }},\n\nsee you on Thursday.', count: chosen });
    first = await walk.reviewAndSend({ count: chosen });
  });
  await step('it is watched until it has ended', () => walk.watch({ count: chosen }));
  await step('one mail can be looked up, in the campaign and at the person', async () => {
    await walk.ledgerOf(first, address(200, own), 'Sent');
    await walk.mailsOfPerson({ name: 'Person200', subject: `News ${own}` });
    const mail = await mailTo(server, address(200, own));
    assert.equal(mail.subject, `News ${own}`);
    assert.match(mail.text, /^Hello Person200,/);
  });
  await step('that person unsubscribes by the link in the mail', async () => {
    const link = unsubscribeLink(await mailTo(server, address(200, own)));
    const reader = await visitor(server, { script: person.script, width: 390, height: 844 });
    await new Walk(reader, { own }).unsubscribe(link);
    await reader.close();
  });
  await step('the next campaign leaves them out', async () => {
    await walk.filterAndMail({ city: 'Round Rock', count: chosen });
    await walk.compose({ subject: `More news ${own}`, body: 'Hello {{ user.firstName }}.', count: chosen });
    second = await walk.reviewAndSend({ count: chosen - 1, leftOut: 1 });
    // The row of who was left out stands in the ledger, and says why.
    await walk.watch({ count: chosen - 1, total: chosen });
    await walk.ledgerOf(second, address(200, own), 'Left out');
    await mailTo(server, address(300, own), (mail) => mail.subject === `More news ${own}`);
    assert.equal((await mailsTo(server, address(200, own))).length, 1, 'who unsubscribed got no second mail');
    assert.ok(second !== first);
  });
}
