// Long lists: an older page costs no more to draw than a newer one, each item is shown once, and none is
// missing, also when new ones come meanwhile.
import assert from 'node:assert/strict';
import { share } from './scenario.mjs';
import { event, until } from './service.mjs';

const scenario = share();

/** Counts the templates that the page makes, each of them a piece of the document. */
const countTemplates = (page) => page.addInitScript(() => {
  window.made = 0;
  const real = document.importNode;
  document.importNode = (...args) => { window.made++; return real.apply(document, args); };
});

const shown = (page) => page.locator('.log .why').allTextContents();

/** Asks for older entries until there are none, and returns how much was made for each page. */
const toTheEnd = (page) => page.evaluate(async () => {
  const costs = [];
  const more = () => [...document.querySelectorAll('button')].find(({ textContent }) => textContent === 'Older entries');
  for (let button = more(); button; button = more()) {
    const before = document.querySelectorAll('.log li').length;
    window.made = 0;
    button.click();
    while (more() && document.querySelectorAll('.log li').length === before) await new Promise((go) => requestAnimationFrame(() => setTimeout(go)));
    costs.push(window.made);
  }
  return costs;
});

scenario('all that a node keeps of a log is paged to its end', async (s) => {
  const api = await s.api();
  const receiver = await s.receiver();
  receiver.answer = 400;
  await api.register('shop', receiver.url);
  // More than the 200 to 250 entries that a node keeps of an integration.
  await api.publish(...Array.from({ length: 300 }, (_, i) => event(`order.n${i}`)));
  await until('all are rejected', async () => receiver.calls.length === 300 && (await api.health('shop')).behind.events === 0);
  const all = await until('the log is complete', async () => {
    const entries = await everyEntry(api);
    return entries.length >= 200 && entries.some(({ reason }) => reason.includes(receiver.calls.at(-1).event.id)) && entries;
  });
  const page = await s.open({ view: '/i/shop/log' });
  await page.locator('.log li').first().waitFor();
  await toTheEnd(page);
  assert.deepEqual(await shown(page), all.map(({ reason }) => reason));
});

/** The log of the integration, past the page. */
async function everyEntry(api) {
  const all = [];
  let after = '';
  do {
    const told = await api.call('GET', api.at('shop', `/logs?limit=200${after}`));
    all.push(...told.entries);
    after = told.next ? `&after=${told.next}` : '';
  } while (after);
  return all;
}

const many = 10_000;

scenario(`a log of ${many} entries is paged to its end, each page at the same cost`, async (s) => {
  await (await s.api()).register('shop', (await s.receiver()).url);
  // On AWS a log has all entries of 30 days; a node keeps the newest, so that this many are made up.
  const entry = (i) => ({ action: 'retry_triggered', reason: `Entry ${i}.`, created_at: new Date(Date.UTC(2026, 0, 1) + i * 1000).toISOString() });
  const log = Array.from({ length: many }, (_, i) => entry(many - i));
  const page = await s.open({
    view: '/i/shop/log',
    before: async (p) => {
      await countTemplates(p);
      await p.route('**/logs?*', (route) => {
        const asked = new URL(route.request().url()).searchParams;
        const from = asked.has('after') ? log.findIndex(({ reason }) => reason === `Entry ${asked.get('after')}.`) + 1 : 0;
        const entries = log.slice(from, from + Number(asked.get('limit')));
        const next = from + entries.length < log.length ? entries.at(-1).reason.match(/\d+/)[0] : null;
        return route.fulfill({ contentType: 'application/json', body: JSON.stringify({ entries, next }) });
      });
    },
  });
  await page.getByText(`Entry ${many}.`).waitFor();
  const costs = await toTheEnd(page);
  assert.deepEqual(await shown(page), log.map(({ reason }) => reason), 'each once, and none is missing');
  assert.ok(costs.length <= many / 200, `${costs.length} pages`);
  // Of what is there already nothing is made again but the frame of each page.
  assert.ok(costs.at(-1) < costs[0] * 1.5, `templates made for each page: ${costs}`);

  // New entries come before them, and what is shown stays.
  await page.evaluate(() => { window.made = 0; document.querySelector('.log ol:last-child').marked = true; });
  log.unshift(entry(many + 2), entry(many + 1));
  await page.getByText(`Entry ${many + 2}.`).waitFor();
  assert.deepEqual(await shown(page), log.map(({ reason }) => reason));
  assert.ok(await page.evaluate(() => document.querySelector('.log ol:last-child').marked), 'what was there is not drawn again');
  assert.ok(await page.evaluate(() => window.made) < costs[0] * 1.5, 'templates made for new entries');

  // What is shown has an end even if the reader looks on for days.
  await page.getByLabel('Show').selectOption('Event skipped');
  await until('another list begins', async () => (await page.locator('.log li').count()) === 50);
});
