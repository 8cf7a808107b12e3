// A person at a browser. Whatever the browser complains about on the way fails the test: errors in the console, scripts that throw, requests that fail,
// violations of the content security policy, a dialog that nobody asked for.
import assert from 'node:assert/strict';
import { AxeBuilder, HtmlValidate, chromium } from './packages.mjs';

// Its own language says in which order a date is typed, whatever language a visitor has.
export const BROWSER = { executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-dev-shm-usage', '--lang=en-US'] };
// A promise, so that visitors who come at the same moment share one.
let browser;
async function theBrowser() {
  browser ??= chromium.launch(BROWSER);
  return browser;
}
export async function closeBrowser() {
  const closing = browser;
  browser = undefined;
  await (await closing)?.close();
}

const validator = new HtmlValidate({
  extends: ['html-validate:recommended'],
  rules: {
    'doctype-style': 'off',
    'void-style': 'off',
    // Safari forgets that a list without bullets is one.
    'no-redundant-role': 'off',
    // Boxes of one question share a name, and a field for one more value does too.
    'form-dup-name': 'off',
    // A list may have a name, too.
    'aria-label-misuse': ['error', { allowAnyNamable: true }],
    // A focusable box that scrolls is a region, whatever it is made of.
    'prefer-native-element': ['error', { exclude: ['region'] }],
    // What people typed can be long, and can end in spaces.
    'long-title': 'off',
    // Only where there are no scripts: work that goes on looks again by itself.
    'meta-refresh': 'off',
    'no-trailing-whitespace': 'off',
  },
});

export const WCAG = ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa'];
// What another colour scheme can change.
const COLOUR_RULES = ['color-contrast', 'link-in-text-block'];

// options: script (false switches JavaScript off), width, height, a browser that is not the one of all, and what newContext takes.
export async function visitor(server, { script = true, width = 1280, height = 900, browser = theBrowser(), ...options } = {}) {
  const context = await (await browser).newContext({
    baseURL: server.address,
    javaScriptEnabled: script,
    viewport: { width, height },
    locale: 'en-GB',
    timezoneId: 'Europe/Berlin',
    colorScheme: 'light',
    // Colours that are on their way from one to another are neither.
    reducedMotion: 'reduce',
    ...options,
  });
  context.setDefaultTimeout(10_000);
  await context.addInitScript(() => {
    // What the texts of hostile.mjs call.
    window.ran = (number) => {
      (window.xss ??= []).push(number);
      console.error(`a text ran as a script: ${number}`);
    };
    document.addEventListener('securitypolicyviolation', (e) => console.error(`content security policy: ${e.violatedDirective} ${e.blockedURI} ${e.sample}`));
  });
  const page = await context.newPage();
  return new Visitor(server, context, page, script);
}

class Visitor {
  faults = [];
  allowed = [];
  // What to do when the browser asks whether to leave what was typed; without it the person leaves.
  asked = (dialog) => dialog.accept();

  constructor(server, context, page, script) {
    Object.assign(this, { server, context, page, script });
    const fault = (text) => {
      if (!this.allowed.some((pattern) => pattern.test(text))) this.faults.push(`${text}   [on ${page.url()}]`);
    };
    page.on('console', (message) => {
      // A failed request is told with its address below; one that a newer one replaced did not fail.
      if (message.type() === 'error' && !/^Failed to load resource|^htmx:(afterRequest|sendAbort)/.test(message.text())) fault(`console: ${message.text()}`);
    });
    page.on('pageerror', (error) => fault(`script: ${error.stack}`));
    page.on('crash', () => fault('the page crashed'));
    page.on('dialog', (dialog) => {
      if (dialog.type() === 'beforeunload') return this.asked(dialog);
      fault(`dialog: ${dialog.message()}`);
      dialog.dismiss();
    });
    page.on('requestfailed', (request) => {
      // A newer request replaced it, a person went on to another page, or what came was a download.
      if (request.failure()?.errorText !== 'net::ERR_ABORTED') fault(`request: ${request.method()} ${request.url()}: ${request.failure()?.errorText}`);
    });
    page.on('response', (response) => {
      // The page as it came, for the validator. A redirect is no page.
      const request = response.request();
      if (request.isNavigationRequest() && request.frame() === page.mainFrame() && !(response.status() >= 300 && response.status() < 400)) this.document = response;
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
    if (check) await this.check();
    return answer;
  }

  // Nothing complained until now.
  calm() {
    assert.deepEqual(this.faults, [], 'the browser complained');
  }

  // All that holds for every page, whatever it shows.
  async check() {
    const { page } = this;
    const where = new URL(page.url()).pathname;
    assert.deepEqual(await invalid(await this.document.text()), [], `${where}: the HTML is not valid`);
    if (this.script) await bothSchemes(page, where);
    else await this.axeBeside(where);
    await this.fits(where);
    assert.equal(await page.evaluate(() => window.xss), undefined, `${where}: a script in somebody's text ran`);
    assert.equal(await page.evaluate(() => document.querySelectorAll('img[src="x"]').length), 0, `${where}: somebody's text became an element`);
    assert.equal(await page.evaluate(() => document.querySelectorAll('h1').length), 1, `${where}: one h1`);
    assert.ok((await page.title()).trim(), `${where}: a title`);
    this.calm();
  }

  // Axe is a script. Where there are none it looks at the same document beside it, in a window in which only the scripts of the page are kept away.
  async axeBeside(where) {
    const address = this.page.url();
    const document = { contentType: 'text/html; charset=utf-8', body: await this.document.text() };
    const context = await (await theBrowser()).newContext({ viewport: this.page.viewportSize(), locale: 'en-GB', timezoneId: 'Europe/Berlin', colorScheme: 'light', reducedMotion: 'reduce' });
    try {
      const page = await context.newPage();
      await page.route('**', async (route) => {
        const kind = route.request().resourceType();
        if (kind === 'script') return route.abort('aborted');
        if (kind === 'document' && route.request().frame() === page.mainFrame()) return route.fulfill(document);
        // What is there only for want of scripts is there.
        if (kind !== 'stylesheet') return route.continue();
        const response = await route.fetch();
        return route.fulfill({ response, body: (await response.text()).replaceAll('(scripting: enabled)', '(scripting: none)') });
      });
      await page.goto(address);
      await bothSchemes(page, where);
    } finally {
      await context.close();
    }
  }

  // No scrolling sideways: not on a telephone, and not where there is room for all columns of a table.
  async fits(where) {
    const before = this.page.viewportSize();
    for (const width of [390, 900, 1440]) {
      await this.page.setViewportSize({ width, height: 844 });
      const wide = await this.page.evaluate(() => {
        // Tables drop columns as it gets narrow; what is left needs no scrolling either.
        const tables = [...document.querySelectorAll('.scroll')].filter((box) => box.scrollWidth > box.clientWidth + 1);
        if (tables.length > 0) return tables.map((box) => `${box.getAttribute('aria-label')}: ${box.scrollWidth - box.clientWidth} px are hidden`);
        const edge = document.documentElement.clientWidth;
        if (document.documentElement.scrollWidth <= edge) return [];
        const over = [...document.querySelectorAll('body *')].filter((element) => element.getBoundingClientRect().right > edge + 1);
        return [`${document.documentElement.scrollWidth} px wide`, ...over.slice(0, 5).map((e) => `${e.tagName.toLowerCase()}.${e.className}: ${e.textContent.trim().slice(0, 40)}`)];
      });
      assert.deepEqual(wide, [], `${where}: scrolls sideways at ${width} px`);
    }
    await this.page.setViewportSize(before);
  }

  async close() {
    this.calm();
    await this.context.close();
  }
}

async function bothSchemes(page, where) {
  await axe(page, where, 'light');
  await page.emulateMedia({ colorScheme: 'dark' });
  await axe(page, where, 'dark', COLOUR_RULES);
  await page.emulateMedia({ colorScheme: 'light' });
}

async function axe(page, where, scheme, rules) {
  // Frames hold mails, which have their own makers; they run no scripts, so axe could not look at them anyway.
  const builder = new AxeBuilder({ page }).setLegacyMode(true).options({ iframes: false });
  if (rules) builder.withRules(rules);
  else builder.withTags(WCAG);
  const { violations } = await builder.analyze();
  const told = violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.slice(0, 3).map((node) => `${node.html.slice(0, 200)} ${node.any[0]?.message ?? ''}`).join(' | ')}`);
  assert.deepEqual(told, [], `${where}: axe, ${scheme}`);
}

export async function invalid(html) {
  const report = await validator.validateString(html);
  const lines = html.split('\n');
  // A form that only holds radio buttons together sends nothing.
  const grouping = ({ ruleId, line }) => ruleId === 'wcag/h32' && /<form id="[\w-]+"><\/form>/.test(lines[line - 1]);
  return report.results.flatMap(({ messages }) => messages.filter((message) => !grouping(message)).map(({ ruleId, message, line, column }) => `${line}:${column} ${ruleId}: ${message} — ${(lines[line - 1] ?? '').trim().slice(0, 120)}`));
}
