// The main job, as a person does it. Each function is a step: it begins on some page of the application and looks at what the step must show.
// All of them work with and without scripts; where a script would act by itself, a person without one presses the button that is there instead.
import assert from 'node:assert/strict';
import { until } from './helpers/api.mjs';
import { answered } from './helpers/keys.mjs';

export const DOMAIN = 'walk.example';

// 2,000 people as a spreadsheet writes them: a byte order mark, semicolons, quotes, line breaks in a cell, and rows that cannot be taken.
export function peopleCsv({ good = 2000, own }) {
  const rows = [['First name', 'Last name', 'E-mail', 'Company', 'Job title', 'City', 'State']];
  const bad = [
    ['Nora', 'Noaddress', '', 'Oakhurl', 'Engineer', 'Austin', 'Texas'],
    ['Bert', 'Badaddress', 'bert at example', 'Oakhurl', 'Engineer', 'Austin', 'Texas'],
    ['', 'Nameless', `nameless.${own}@${DOMAIN}`, 'Oakhurl', 'Engineer', 'Austin', 'Texas'],
    ['Lou', 'Toolong', `lou.${own}@${DOMAIN}`, 'x'.repeat(80), 'Engineer', 'Austin', 'Texas'],
  ];
  for (let n = 0; n < good; n++) {
    const company = n % 7 === 0 ? 'Quill; "Moor" & Söhne' : `Company ${n % 9}`;
    rows.push([`Person${n}`, `Number ${n}`, address(n, own), company, jobTitle(n), n % 100 === 0 ? 'Round Rock' : 'Austin', 'Texas']);
    if (n % 500 === 250) rows.push(bad[(n - 250) / 500]);
  }
  const cell = (text) => (/[;"\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  // In which line of the file a row begins.
  const lineOf = (row) => rows.slice(0, rows.indexOf(row)).reduce((line, cells) => line + cells.join().split('\n').length, 1);
  return { text: `\uFEFF${rows.map((row) => row.map(cell).join(';')).join('\r\n')}\r\n`, good, bad: bad.length, badLines: bad.map(lineOf) };
}

// Some cells have two lines, as somebody typed them with Alt and Enter.
const jobTitle = (n) => (n % 50 === 0 ? 'Data Engineer\nand host' : n % 2 ? 'Software Engineer' : 'Data Engineer');

export const address = (n, own) => `person${n}.${own}@${DOMAIN}`;

export class Walk {
  constructor(person, { own }) {
    Object.assign(this, { person, own, page: person.page, script: person.script });
  }

  at = (path) => assert.match(new URL(this.page.url()).pathname, path);

  // What the server tells after a redirect.
  async toast(words) {
    await this.page.locator('.toasts').getByText(words).first().waitFor();
  }

  async open(path) {
    await this.person.open(path, { check: false });
  }

  // Presses something that leads to another page, and has that page checked.
  async press(target, { check = false } = {}) {
    await Promise.all([this.page.waitForEvent('load'), target.click()]);
    if (check) await this.person.check();
    this.person.calm();
  }

  button = (name, options = {}) => this.page.getByRole('button', { name, ...options });
  link = (name, options = {}) => this.page.getByRole('link', { name, ...options });

  // ---------------------------------------------------------------------------------------------------------------- people

  async firstRun() {
    await this.person.open('/app');
    for (const offer of ['Import a CSV file', 'Add a person', 'Load demo data']) await this.page.getByRole('heading', { name: offer }).waitFor();
  }

  // A file is looked at before anything is stored; then it is imported, and the page says what became of every row.
  async importPeople({ text, good, bad, badLines }) {
    await this.open('/app/people/import');
    await this.page.getByLabel('File').setInputFiles({ name: 'members.csv', mimeType: 'text/csv', buffer: Buffer.from(text) });
    await this.press(this.button('Check the file'), { check: true });
    const would = this.page.getByRole('region', { name: 'What would happen' });
    assert.match(await would.textContent(), new RegExp(`New people\\s*${num(good)}[^]*left out\\s*${bad}`));
    const faults = this.page.getByRole('region', { name: 'Rows that are left out' }).last();
    for (const row of ['Noaddress', 'Badaddress', 'Nameless', 'Toolong']) await faults.getByText(row).first().waitFor();
    assert.deepEqual(await faults.locator('tbody tr td:first-child').allTextContents(), badLines.map(String), 'each row is told by its line in the file');
    assert.equal((await this.person.server.api.get('/users/?size=1')).total, 0, 'nothing is stored by looking');
    await this.press(this.button(`Import ${num(good)} people`));
    await until('the import to end', async () => {
      if (await this.page.getByRole('heading', { name: 'Imported' }).count()) return true;
      // The page renews itself, too: one of the two gives way.
      await this.page.reload().catch(() => {});
      return false;
    });
    assert.match(await this.page.getByRole('main').textContent(), new RegExp(`People added\\s*${num(good)}[^]*left out\\s*${bad}`));
    await this.person.check();
    await this.person.server.api.settled();
    const { items } = await this.person.server.api.get(`/users/?email=${encodeURIComponent(address(50, this.own))}`);
    assert.deepEqual(items.map(({ firstName, jobTitle, company }) => [firstName, jobTitle, company]), [['Person50', jobTitle(50), 'Company 5']], 'a cell of two lines, and the cells beside it');
  }

  // A filter by the whole value of a city, then the button that names how many.
  async filterAndMail({ city, count }) {
    await this.open('/app/people');
    const box = this.page.getByRole('checkbox', { name: new RegExp(`^${city}`) });
    if (!(await box.isVisible())) await this.page.getByText('City', { exact: true }).first().click();
    await box.check();
    if (this.script) await this.page.locator('#results').getByText(`${num(count)} people`).first().waitFor();
    else await this.press(this.button('Apply filters'));
    await this.page.getByRole('heading', { name: `${num(count)} people` }).waitFor();
    await this.press(this.link(`Mail these ${num(count)} people`));
  }

  // The mails of one person stand on their page.
  async mailsOfPerson({ name, subject }) {
    await this.open('/app/people');
    const field = this.page.getByLabel('Search people');
    if (this.script) {
      // It looks by itself, and by Enter at once: what comes last stays.
      await answered(this.page, name, () => field.fill(name));
      await answered(this.page, name, () => field.press('Enter'));
    } else {
      await field.fill(name);
      await Promise.all([this.page.waitForEvent('load'), field.press('Enter')]);
    }
    const found = this.page.getByRole('region', { name: 'People, table' }).getByRole('link', { name: new RegExp(`${name} `) });
    await found.first().waitFor();
    await this.press(found.first());
    await this.page.getByRole('region', { name: 'Timeline' }).getByText(subject).waitFor();
  }

  // ---------------------------------------------------------------------------------------------------------------- events

  async createEvent({ title, capacity }) {
    await this.open('/app/events');
    await this.press(this.page.getByRole('main').getByRole('link', { name: /new event/i }).first());
    await this.page.getByLabel('Title', { exact: true }).fill(title);
    await this.page.getByLabel(/^Public page/).check();
    await this.page.getByLabel('Starts').fill('2031-05-08T18:00');
    // First a mistake, as people make them: it ends before it starts.
    await this.page.getByLabel('Ends').fill('2031-05-08T17:00');
    await this.page.getByLabel('Capacity').fill(String(capacity));
    this.person.allow(/^answer: 422 POST \/app\/events\/new/);
    await this.press(this.button('Save event').last(), { check: true });
    await this.page.locator('#endAt-fault').waitFor();
    assert.equal(await this.page.getByLabel('Title', { exact: true }).inputValue(), title, 'nothing typed is lost');
    await this.page.getByLabel('Ends').fill('2031-05-08T21:00');
    await this.page.getByLabel('Time zone').selectOption('Europe/Berlin');
    await this.press(this.button('Save event').last());
    this.at(/^\/app\/events\/[^/]+$/);
    await this.page.getByRole('heading', { level: 1, name: title }).waitFor();
    return new URL(this.page.url()).pathname;
  }

  async addAttendee(event, name) {
    if (new URL(this.page.url()).pathname !== event) await this.open(event);
    const field = this.page.getByLabel('Add a person by name or address');
    if (this.script) await answered(this.page, name, () => field.pressSequentially(name, { delay: 10 }));
    else {
      await field.fill(name);
      await this.press(this.button('Find').first());
    }
    await this.press(this.page.locator('#found').getByRole(this.script ? 'option' : 'button', { name }).first());
    await this.page.getByRole('row', { name: new RegExp(name) }).first().waitFor();
  }

  // As anybody, on the public page.
  async register(slug, { firstName, email }) {
    await this.open(`/e/${slug}`);
    await this.page.getByLabel('First name').fill(firstName);
    await this.page.getByLabel('Email').fill(email);
    await this.press(this.button('Take a place'), { check: true });
    await this.page.getByRole('heading', { name: 'Check your mail' }).waitFor();
  }

  async isFull(event, slug, capacity) {
    await this.open(event);
    await this.page.getByText(`All ${capacity} places are taken`).first().waitFor();
    await this.open(`/e/${slug}`);
    await this.page.getByRole('heading', { name: `All ${capacity} places are taken` }).waitFor();
    await this.person.check();
  }

  // ------------------------------------------------------------------------------------------------------------- campaigns

  // In the composer, with the audience already chosen by the filter that led here.
  async compose({ subject, body, count }) {
    this.at(/^\/app\/campaigns\/new$/);
    await this.page.locator('#audience').getByText(`${num(count)} people match`).waitFor();
    await this.page.getByRole('group', { name: 'Format of the body' }).getByText('Text', { exact: true }).click();
    await this.page.getByLabel('Subject', { exact: true }).fill(subject);
    await this.page.getByLabel('Body', { exact: true }).fill(body);
    if (this.script) {
      await this.page.locator('#preview').getByText('Hello Person').first().waitFor();
      this.person.calm();
    } else {
      await this.press(this.button('Check audience and mail'));
      await this.page.locator('#preview').getByText('Hello Person').first().waitFor();
      assert.equal(await this.page.getByLabel('Subject', { exact: true }).inputValue(), subject, 'nothing typed is lost');
    }
  }

  // Who gets it and who does not, then the button that names how many.
  async reviewAndSend({ count, leftOut = 0 }) {
    await this.press(this.button('Save and review').first(), { check: true });
    this.at(/\/preflight$/);
    const who = this.page.getByRole('region', { name: 'Who gets it' });
    await who.getByText(`${num(count)} ${count === 1 ? 'person gets' : 'people get'} it`).waitFor();
    if (leftOut) await who.getByText(`− ${num(leftOut)}`).first().waitFor();
    await this.button(/^Send [\d,]+ mails?…$/).click();
    await this.press(this.page.getByRole('dialog').getByRole('button', { name: `Send ${num(count)} mail` }));
    this.at(/^\/app\/campaigns\/[^/]+$/);
    return new URL(this.page.url()).pathname;
  }

  // The page moves by itself where there are scripts; without, a person looks again.
  async watch({ count, total = count }) {
    const done = this.page.locator('.page-head').getByText('Sent', { exact: true });
    if (this.script) await done.waitFor({ timeout: 90_000 });
    else {
      await until('the campaign to end', async () => {
        if (await done.count()) return true;
        await this.page.reload();
        return done.count();
      }, 90);
    }
    await this.page.waitForLoadState();
    await this.page.locator('#progress').getByText(`${num(count)} of ${num(total)} sent`).waitFor();
    await this.person.check();
  }

  // By the link in a mail, as somebody without any sign-in. Looking changes nothing; the button does.
  async unsubscribe(link) {
    await this.person.open(new URL(link).pathname);
    await this.press(this.button('Unsubscribe'), { check: true });
    await this.page.getByRole('heading', { level: 1 }).getByText(/no more|unsubscribed|stopped/i).waitFor();
  }

  async ledgerOf(campaign, address, state) {
    await this.open(campaign);
    await this.page.getByLabel('Search the ledger by address').fill(address);
    await this.press(this.page.locator('form').filter({ has: this.page.getByLabel('Search the ledger by address') }).getByRole('button', { name: 'Search' }));
    const row = this.page.getByRole('region', { name: 'Ledger, table' }).getByRole('row', { name: address });
    await row.getByText(state, { exact: true }).waitFor();
  }
}

// As the pages write numbers for readers of English.
export const num = (value) => value.toLocaleString('en-GB');
