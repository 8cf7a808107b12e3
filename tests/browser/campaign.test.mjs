// A campaign that is on its way: paused, resumed, cancelled, and what was lost sent again, by the buttons of its page. The mail server answers mail by mail.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { until } from './helpers/api.mjs';
import { enter, getsFocus, tabTo } from './helpers/keys.mjs';
import { startServer } from './helpers/server.mjs';
import { startSmtp } from './helpers/smtp.mjs';
import { closeBrowser, visitor } from './helpers/visitor.mjs';

// In the order in which they are mailed.
const PEOPLE = ['ann', 'bea', 'cid', 'dan', 'eve', 'fay'];
const to = (names) => names.map((name) => `${name}@quillmoor.example`);

for (const how of ['by clicks', 'by keys', 'without scripts']) {
  describe(`a campaign on its way, ${how}`, () => {
    const script = how !== 'without scripts';
    let mail;
    let server;
    let person;
    let page;
    before(async () => {
      mail = await startSmtp({ refuse: /^eve@/, lose: /^fay@/, connections: 1 });
      mail.hold();
      server = await startServer({ aws: false, settings: { MAIL_SMTP_URL: mail.url } });
      for (const id of PEOPLE) await server.api.post('/users/', { id, firstName: id, lastName: 'Okonjo', email: to([id])[0] });
      await server.api.settled();
      person = await visitor(server, { script });
      page = person.page;
    });
    after(async () => {
      await person?.context.close();
      await closeBrowser();
      mail?.pass(100);
      await server?.stop();
      mail?.stop();
    });

    const press = async (role, name) => {
      const target = page.getByRole(role, { name });
      if (how !== 'by keys') return Promise.all([page.waitForEvent('load'), target.click()]);
      await tabTo(page, target);
      return enter(page);
    };
    // The page renews itself where there are scripts; else a person looks again.
    const shows = async (target) => {
      if (script) return target.waitFor({ timeout: 60_000 });
      return until(`${target}`, async () => (await target.count()) > 0 || (await page.reload(), false));
    };
    const begin = async (subject) => {
      const { email_id: id } = await server.api.post('/email/send', { filter: {}, subject, body: 'Come all.' });
      await until('it to begin', async () => (await server.api.get(`/email/requests/${id}`)).counts.sending === 1);
      await person.open(`/app/campaigns/${id}`, { check: false });
      return id;
    };
    const state = (word) => page.locator('.page-head .badge').getByText(word, { exact: true });
    const sent = (count) => page.locator('#progress').getByText(`${count} of ${PEOPLE.length} sent`);
    const stat = (name) => page.locator('#progress .stat').filter({ hasText: name }).locator('dd');
    const buttons = async () => {
      const names = await page.locator('.page-head .actions').locator('a, button').allTextContents();
      return names.map((name) => name.trim()).filter((name) => /^(Pause|Resume|Retry…|Cancel…)$/.test(name));
    };

    test('it says how fast it goes, pauses, goes on to its end, and sends again what was lost', async () => {
      await begin('Paused and resumed');
      await state('Sending').waitFor();
      assert.deepEqual(await buttons(), ['Pause', 'Cancel…']);
      mail.pass(2);
      await shows(sent(2));
      await shows(stat('Mails a second').getByText(/^\d+\.\d$/));
      assert.match(await stat('Left, about').textContent(), /^\d+ (s|min)/);
      await person.check();

      await press('button', 'Pause');
      await state('Paused').waitFor();
      await page.locator('.toasts').getByText('Paused.').waitFor();
      assert.deepEqual(await buttons(), ['Resume', 'Cancel…']);
      // The one in hand is recorded. Nobody else's turn comes, though the mail server waits for them.
      mail.pass(100);
      await shows(sent(3));
      assert.equal(await stat('Left, about').count(), 0);
      await person.check();
      await new Promise((resolve) => setTimeout(resolve, 3_000));
      assert.deepEqual(mail.taken(), to(['ann', 'bea', 'cid']));

      // The page comes anew when it has ended, and the toast is told once.
      mail.hold();
      await press('button', 'Resume');
      await page.locator('.toasts').getByText('Sending goes on.').waitFor();
      mail.pass(100);
      await shows(state('Sent'));
      await sent(4).waitFor();
      assert.deepEqual(mail.taken(), to(['ann', 'bea', 'cid', 'dan']));
      assert.deepEqual(await buttons(), ['Retry…']);
      await page.waitForLoadState();
      await person.check();

      mail.mend();
      const dialog = page.getByRole('dialog', { name: 'Send again?' });
      const [refused, unknown] = [dialog.getByLabel('1 mail that was refused'), dialog.getByLabel('1 mail whose fate is unknown')];
      const open = page.getByRole('button', { name: 'Retry…' });
      if (how === 'by keys') {
        await tabTo(page, open);
        await page.keyboard.press('Enter');
        await unknown.waitFor();
        await tabTo(page, unknown);
        await page.keyboard.press('Space');
      } else {
        await open.click();
        await unknown.check();
      }
      assert.deepEqual([await refused.isChecked(), await unknown.isChecked()], [true, true]);
      await person.check();
      mail.hold();
      await press('button', 'Send what is ticked again');
      await page.locator('.toasts').getByText('They are sent again.').waitFor();
      mail.pass(100);
      await shows(state('Sent'));
      await sent(6).waitFor();
      assert.deepEqual(mail.taken().slice(4), to(['eve', 'fay']));
      assert.deepEqual(await buttons(), []);
      await page.waitForLoadState();
      await person.check();
    });

    test('it is cancelled with as many mails as wait, after second thoughts', async () => {
      mail.hold();
      const before = mail.taken().length;
      const id = await begin('Cancelled');
      mail.pass(1);
      await shows(sent(1));
      await until('the next one to be in hand', async () => {
        const { counts } = await server.api.get(`/email/requests/${id}`);
        return counts.sent === 1 && counts.sending === 1;
      });
      await press('link', 'Cancel…');
      await page.getByRole('heading', { level: 1, name: 'Cancel the 4 mails that wait?' }).waitFor();
      await person.check();
      await press('link', 'Keep sending');
      await state('Sending').waitFor();
      await press('link', 'Cancel…');
      await press('button', 'Pause instead');
      await state('Paused').waitFor();
      await press('link', 'Cancel…');
      assert.equal(await page.getByRole('button', { name: 'Pause instead' }).count(), 0);
      await press('button', 'Cancel 4 mails');
      await state('Cancelled').waitFor();
      await page.locator('.toasts').getByText('Cancelled.').waitFor();
      assert.deepEqual(await buttons(), []);
      mail.pass(100);
      await until('the one in hand to be recorded', async () => (await server.api.get(`/email/requests/${id}`)).counts.sent === 2);
      await page.reload();
      await sent(2).waitFor();
      await page.getByRole('link', { name: /^Cancelled\s*4$/ }).first().waitFor();
      assert.deepEqual(mail.taken().slice(before), to(['ann', 'bea']));
      await person.check();
    });

    if (how === 'by keys') {
      test('whoever has the focus in what renews itself keeps it', async () => {
        mail.hold();
        await begin('Watched');
        const entry = page.getByRole('navigation', { name: /^States/ }).getByRole('link', { name: /^Sent/ });
        await entry.focus();
        for (const count of [1, 2]) {
          mail.pass(1);
          await shows(sent(count));
        }
        await getsFocus(entry, 'the focus is lost');
      });
    }
  });
}
