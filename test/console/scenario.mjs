// What a browser test is made of: a service and a browser that the tests of a file share, a tenant of
// its own, and pages that fail the test for what no page may do.
import { mkdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { apiOf, patience, startReceiver, startService } from './service.mjs';

const tools = createRequire(new URL('../../.console-tools/package.json', import.meta.url));
const { chromium } = tools('playwright-core');

/** The folder for pictures. git ignores it. */
export const pictures = fileURLToPath(new URL('./screenshots/', import.meta.url));

/** Chromium with an empty profile, which calls home for nothing. */
const startBrowser = () => chromium.launch({
  executablePath: process.env.CONSOLE_CHROMIUM,
  args: ['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});

/** Declares that the scenarios of this file share a service with these settings. */
export function share(settings = {}) {
  let service, browser, tenants = 0;
  before(async () => { [service, browser] = await Promise.all([startService(settings), startBrowser()]); });
  after(() => Promise.all([browser?.close(), service?.remove()]));

  return (name, play) => test(name, { timeout: 5 * patience }, async () => {
    const s = new Scenario(name, service, browser, `tenant-${++tenants}`);
    try {
      await play(s);
    } catch (error) {
      await s.draw(error);
      s.failures.unshift(error);
    }
    await s.end();
  });
}

class Scenario {
  constructor(name, service, browser, tenant) {
    Object.assign(this, { name, service, browser, tenant, failures: [], undo: [], pages: [] });
  }

  /** Does it when the scenario ends, the last one first. */
  defer(what) {
    this.undo.unshift(what);
  }

  async end() {
    for (const what of this.undo) await what().catch((error) => this.failures.push(error));
    const [first, ...more] = this.failures;
    if (!first) return;
    for (const error of more) first.message += `\nand: ${error.message}`;
    throw first;
  }

  /** A picture of every page of a scenario that failed. */
  async draw(error) {
    await mkdir(pictures, { recursive: true });
    for (const [i, page] of this.pages.entries()) {
      const file = `${pictures}failed-${this.name.replace(/\W+/g, '-')}-${i}.png`;
      await page.screenshot({ path: file, timeout: 10_000 }).then(() => { error.message += `\nsee ${file}`; }, () => {});
    }
  }

  /** An access token of this scenario's tenant, with all scopes if none are named. */
  token(options = {}) {
    return this.service.token({ tenant: this.tenant, ...options });
  }

  async api() {
    return apiOf(this.service, await this.token());
  }

  /** A service of its own, which may be killed. */
  async ownService(settings = {}) {
    this.service = await startService(settings);
    this.defer(() => this.service.remove());
    return this.service;
  }

  async receiver() {
    const receiver = await startReceiver();
    this.defer(() => receiver.remove());
    return receiver;
  }

  /**
   * Opens the console in a browser context of its own. When the scenario ends, it fails for every script
   * error, console message, dialog and request beyond the origin that was not expected.
   *
   * @param options.token in the address; a new one if undefined, none if ''
   * @param options.view of the page, as '/integrations/shop'
   * @param options.expected a pattern for console messages that the scenario brings about
   * @param options.context of the browser: viewport, colorScheme, …
   * @param options.before is called with the page before it is opened
   */
  async open({ token, view = '', expected = /$^/, context = {}, before: prepare = async () => {} } = {}) {
    const made = await this.browser.newContext({
      viewport: { width: 1280, height: 900 }, locale: 'en-GB', timezoneId: 'Europe/Berlin', reducedMotion: 'reduce', ...context,
    });
    made.setDefaultTimeout(patience);
    const page = await made.newPage();
    this.pages.push(page);
    const mishaps = watch(page, new URL(this.service.url).origin);
    this.defer(async () => {
      await made.close();
      const found = mishaps.filter((text) => !expected.test(text));
      if (found.length > 0) throw new Error(`the page did what no page may:\n${found.join('\n')}`);
    });
    await prepare(page);
    await page.goto(address(this.service, token ?? await this.token(), view));
    return page;
  }
}

/** The address of the console with a token and a view, which are in the fragment. */
export function address(service, token, view = '') {
  const fragment = new URLSearchParams({ ...(token && { token }), ...(view && { view }) });
  return `${service.url}/console/#${fragment}`;
}

/** Goes to another view of an open page. */
export const goTo = (page, view) => page.evaluate((hash) => { location.hash = hash; }, view);

/** Collects what no page may do. */
function watch(page, origin) {
  const mishaps = [];
  page.on('pageerror', (error) => mishaps.push(`script error: ${error.stack ?? error}`));
  page.on('dialog', (dialog) => {
    mishaps.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) mishaps.push(`console: ${message.text()} (${message.location().url})`);
  });
  page.on('request', (request) => {
    if (!request.url().startsWith(`${origin}/`)) mishaps.push(`request beyond the origin: ${request.url().slice(0, 200)}`);
  });
  return mishaps;
}
