// A person at a browser. Whatever the browser complains about on the way fails the test: errors in the console, scripts that throw, requests that fail,
// violations of the content security policy, a dialog that nobody asked for.
import assert from 'node:assert/strict';
import { AxeBuilder, HtmlValidate, chromium } from './packages.mjs';

let browser;
export async function theBrowser() {
  browser ??= await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-dev-shm-usage'] });
  return browser;
}
export async function closeBrowser() {
  await browser?.close();
  browser = undefined;
}

const validator = new HtmlValidate({
  extends: ['html-validate:recommended'],
  rules: {
    'doctype-style': 'off',
    'void-style': 'off',
    // Safari forgets that a list without bullets is one.
    'no-redundant-role': 'off',
    // Boxes of one question share a name; so do buttons that do one thing to several.
    'form-dup-name': ['error', { shared: ['radio', 'checkbox', 'submit', 'button'] }],
  },
});

export const WCAG = ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa'];
// What another colour scheme can change.
const COLOUR_RULES = ['color-contrast', 'link-in-text-block'];

// options: script (false switches JavaScript off), width, height, and what newContext takes.
export async function visitor(server, { script = true, width = 1280, height = 900, ...options } = {}) {
  const context = await (await theBrowser()).newContext({
    baseURL: server.address,
    javaScriptEnabled: script,
    viewport: { width, height },
    locale: 'en-GB',
    timezoneId: 'Europe/Berlin',
    colorScheme: 'light',
    ...options,
  });
  context.setDefaultTimeout(10_000);
  await context.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (e) => console.error(`content security policy: ${e.violatedDirective} ${e.blockedURI} ${e.sample}`));
  });
  const page = await context.newPage();
  return new Visitor(server, context, page, script);
}

class Visitor {
  faults = [];
  allowed = [];

  constructor(server, context, page, script) {
    Object.assign(this, { server, context, page, script });
    const fault = (text) => {
      if (!this.allowed.some((pattern) => pattern.test(text))) this.faults.push(`${text}   [on ${page.url()}]`);
    };
    page.on('console', (message) => {
      // A failed request is told with its address below.
      if (message.type() === 'error' && !/^Failed to load resource/.test(message.text())) fault(`console: ${message.text()}`);
    });
    page.on('pageerror', (error) => fault(`script: ${error.message}`));
    page.on('crash', () => fault('the page crashed'));
    page.on('dialog', (dialog) => {
      fault(`dialog: ${dialog.message()}`);
      dialog.dismiss();
    });
    page.on('requestfailed', (request) => {
      // A newer request replaced it, a person went on to another page, or what came was a download.
      if (request.failure()?.errorText !== 'net::ERR_ABORTED') fault(`request: ${request.method()} ${request.url()}: ${request.failure()?.errorText}`);
    });
    page.on('response', (response) => {
      if (response.status() >= 400) fault(`answer: ${response.status()} ${response.request().method()} ${new URL(response.url()).pathname}`);
    });
  }

  // Complaints that belong to the test, such as /^answer: 422/.
  allow(...patterns) {
    this.allowed.push(...patterns);
  }

  // Goes to a page and has it checked.
  async open(path, { status = 200, check = true } = {}) {
    if (status >= 400) this.allow(new RegExp(`^answer: ${status} GET ${path.split('?')[0].replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}`));
    const answer = await this.page.goto(path);
    assert.equal(answer.status(), status, `GET ${path}`);
    this.calm();
    if (check) await this.check(await answer.text());
    return answer;
  }

  // Nothing complained until now.
  calm() {
    assert.deepEqual(this.faults, [], 'the browser complained');
  }

  // All that holds for every page, whatever it shows. `source` is its HTML as it came.
  async check(source) {
    const { page } = this;
    const where = new URL(page.url()).pathname;
    const text = source ?? (await page.content());
    assert.deepEqual(await invalid(text), [], `${where}: the HTML is not valid`);
    if (this.script) {
      await this.axe(where, 'light');
      await page.emulateMedia({ colorScheme: 'dark' });
      await this.axe(where, 'dark', COLOUR_RULES);
      await page.emulateMedia({ colorScheme: 'light' });
    }
    await this.fits(where);
    assert.equal(await page.evaluate(() => window.xss), undefined, `${where}: a script in somebody's text ran`);
    assert.equal(await page.evaluate(() => document.querySelectorAll('img[src="x"]').length), 0, `${where}: somebody's text became an element`);
    assert.equal(await page.evaluate(() => document.querySelectorAll('h1').length), 1, `${where}: one h1`);
    assert.ok((await page.title()).trim(), `${where}: a title`);
    this.calm();
  }

  async axe(where, scheme, rules) {
    let builder = new AxeBuilder({ page: this.page }).withTags(WCAG);
    if (rules) builder = new AxeBuilder({ page: this.page }).withRules(rules);
    const { violations } = await builder.analyze();
    const told = violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.slice(0, 3).map((node) => `${node.html.slice(0, 200)} ${node.any[0]?.message ?? ''}`).join(' | ')}`);
    assert.deepEqual(told, [], `${where}: axe, ${scheme}`);
  }

  // No scrolling sideways on a telephone.
  async fits(where) {
    const before = this.page.viewportSize();
    await this.page.setViewportSize({ width: 390, height: 844 });
    const wide = await this.page.evaluate(() => {
      const edge = document.documentElement.clientWidth;
      if (document.documentElement.scrollWidth <= edge) return [];
      const over = [...document.querySelectorAll('body *')].filter((element) => element.getBoundingClientRect().right > edge + 1);
      return [`${document.documentElement.scrollWidth} px wide`, ...over.slice(0, 5).map((e) => `${e.tagName.toLowerCase()}.${e.className}: ${e.textContent.trim().slice(0, 40)}`)];
    });
    assert.deepEqual(wide, [], `${where}: scrolls sideways at 390 px`);
    await this.page.setViewportSize(before);
  }

  async close() {
    this.calm();
    await this.context.close();
  }
}

export async function invalid(html) {
  const report = await validator.validateString(html);
  return report.results.flatMap(({ messages }) => messages.map(({ ruleId, message, line, column }) => `${line}:${column} ${ruleId}: ${message} — ${(html.split('\n')[line - 1] ?? '').trim().slice(0, 120)}`));
}
