// Whatever comes from outside is text: no script runs, no markup appears, nothing is turned around and
// nothing is too wide, whoever says it: platforms in events, receivers in responses, customers in
// fields, strangers in the address, and a service that has been taken over.
import assert from 'node:assert/strict';
import { fits, harmless, hostile, markup } from './checks.mjs';
import { goTo, share } from './scenario.mjs';
import { dialogs, openDialog, setStage, viewsOf } from './stage.mjs';
import { apiOf, event, until } from './service.mjs';

const scenario = share({ SLUICE_MAX_EVENT_BYTES: '2MiB' });

/** Checks a view in a wide and in a narrow window. */
async function unharmed(page, what) {
  for (const width of [1280, 360]) {
    await page.setViewportSize({ width, height: 800 });
    await harmless(page, `${what} at ${width} px`);
    await fits(page, `${what} at ${width} px`);
  }
}

const loaded = (page) => until('nothing is loading', async () => (await page.locator('.loading').count()) === 0);

/** What the service's own code branches on, and what the page sends back. */
const kept = new Set(['next', 'integration_type', 'health.state', 'status', 'error_code']);
// Texts that are free; of the others the API lets nothing through that turns text around.
const free = new Set(['cause', 'because', 'reason', 'message', 'payload']);
const isTime = (text) => /^\d{4}-\d\d-\d\dT/.test(text);

/** Puts a hostile text in place of every other text of a response, as if the service were taken over. */
function taint(value, key = '', parent = '') {
  if (Array.isArray(value)) return value.map((one) => taint(one, key, parent));
  if (value && typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, taint(one, name, key)]));
  if (typeof value !== 'string' || isTime(value) || kept.has(key) || kept.has(`${parent}.${key}`) || key === 'state') return value;
  if (key === 'callback_url' || key === 'endpoint') return `javascript:window.hurt='${key}'//${markup(key)}`;
  return free.has(key) ? hostile(key) : markup(key);
}

for (const [name, alsoStates] of [['every text', false], ['every text and every state', true]]) {
  scenario(`${name} of every response is hostile`, async (s) => {
    const stage = await setStage(s);
    const page = await s.open({ view: '/token', expected: /404.*rejected_events|400.*_estimate/ }); // it believes ids and names that there are not
    await page.route('**/api/**', async (route) => {
      const url = route.request().url().replace(encodeURIComponent(markup('id')), 'shop'); // the page believes what it is told
      const response = await route.fetch({ url }).catch(() => null);
      if (!response) return route.abort().catch(() => {});
      let body = JSON.stringify(taint(await response.json()));
      if (alsoStates) body = body.replace(/"(state|status)":"[a-z_]+"/g, (_, key) => `"${key}":${JSON.stringify(markup(key))}`);
      await route.fulfill({ response, body }).catch(() => {});
    });
    for (const [view, where] of viewsOf(stage)) {
      await goTo(page, where);
      await loaded(page);
      if (!['token', 'not-found', 'find'].includes(view)) {
        await until(`${view} shows a hostile text`, () => page.evaluate(() => document.body.textContent.includes('window.hurt') || [...document.querySelectorAll('input')].some((one) => one.value.includes('window.hurt'))));
      }
      await unharmed(page, view);
    }
    if (alsoStates) return;
    for (const [dialog, where, button] of dialogs) {
      await goTo(page, where);
      await openDialog(page, button);
      await unharmed(page, `dialog ${dialog}`);
      await page.keyboard.press('Escape');
    }
  });
}

scenario('errors with hostile messages are text', async (s) => {
  const stage = await setStage(s);
  const page = await s.open({ view: '/token', expected: /status of 500/ });
  await page.route('**/api/**', (route) => route.fulfill({
    status: 500, contentType: 'application/json', body: JSON.stringify(taint({ error_code: 'internal_error', message: 'x', request_id: 'x' })),
  }));
  for (const [view, where] of viewsOf(stage)) {
    await goTo(page, where);
    await loaded(page);
    await unharmed(page, view);
  }
  await goTo(page, '/new');
  await page.getByLabel('Id', { exact: true }).fill('shop');
  await page.getByLabel('URL').fill('http://127.0.0.1/');
  await page.getByRole('button', { name: 'Register' }).click();
  await page.getByText('window.hurt').first().waitFor();
  await unharmed(page, 'the form');
});

scenario('what the API lets through from customers, platforms and receivers is text', async (s) => {
  const tenant = `<img src=x onerror=window.hurt='t'>`;
  const token = await s.service.token({ tenant });
  const api = apiOf(s.service, token);
  const receiver = await s.receiver();
  const name = `${'a'.repeat(63)}.${'b'.repeat(64)}`; // as long as a name may be
  receiver.answer = ({ payload }) => (payload.refused ? 400 : {
    status: 503, body: hostile('body'), headers: { 'Retry-After': '1', 'Content-Type': 'text/html', Server: `<img src=x onerror=window.hurt='s'>` },
  });
  const url = `${receiver.url}/<img src=x onerror="window.hurt='u'">/${'w'.repeat(1500)}`;
  await api.register('shop', url, { filter_conditions: { event_filter: [name] } });
  const [refused] = await api.publish(event(name, { refused: true, text: hostile('payload'), big: 'x'.repeat(1 << 20), lines: Array(2000).fill(hostile('line')) }));
  await until('it is rejected', async () => (await api.rejected('shop')).length === 1);
  const [stuck] = await api.publish(event(name, { [hostile('key')]: 1 }));
  await until('it fails', async () => (await api.health('shop')).failing?.attempts > 1);

  const page = await s.open({ token });
  for (const [view, seen] of [
    ['/', 'shop'], ['/i/shop', 'It waits for the event'], ['/i/shop/rejected', name], ['/i/shop/log', 'window.hurt'], ['/new', 'Some of the names seen'],
    [`/event/${stuck}`, 'window.hurt'], [`/event/${refused}`, 'window.hurt'],
  ]) {
    await goTo(page, view);
    await page.locator('main').getByText(seen).first().waitFor();
    await loaded(page);
    await unharmed(page, view);
  }
  await goTo(page, '/i/shop/rejected');
  const dialog = await openDialog(page, /^View/);
  await dialog.getByText('window.hurt').first().waitFor();
  await unharmed(page, 'a payload of 1 MiB');
  await page.keyboard.press('Escape');
  await goTo(page, '/i/shop');
  await openDialog(page, 'Skip this event …');
  await unharmed(page, 'skip');
});

scenario('a receiver that responds with what is no HTTP, or leads elsewhere, is text', async (s) => {
  const api = await s.api();
  const receiver = await s.receiver();
  receiver.answer = { status: 302, headers: { Location: `https://example.com/<img src=x onerror=window.hurt='l'>` } };
  await api.register('shop', receiver.url);
  await api.publish(event());
  await until('it fails', async () => (await api.health('shop')).failing?.attempts > 1);
  const page = await s.open({ view: '/i/shop/log' });
  await page.getByText('302').first().waitFor();
  await unharmed(page, 'a redirect');
});

scenario('what strangers put into the address is text', async (s) => {
  await s.api();
  const marks = [`<img src=x onerror="window.hurt='f'">`, '\u202ereversed', '"><script>window.hurt=1</script>', '%E0%A4%A', '%', '..', '../../healthz', 'a%2Fb', 'x'.repeat(5000)];
  const page = await s.open({ expected: /40[04]|405/ });
  await page.getByText('No integrations yet').waitFor();
  for (const mark of marks) {
    for (const view of [`/i/${mark}`, `/i/${mark}/edit`, `/i/${mark}/log`, `/event/${mark}`, `/${mark}`, mark]) {
      await goTo(page, view);
      await until(`${view.slice(0, 60)} has a heading`, () => page.locator('main h1').first().isVisible());
      await loaded(page);
      await unharmed(page, view.slice(0, 60));
      assert.equal(await page.getByText('Something went wrong in this page').count(), 0, `${view.slice(0, 60)} is a fault of the page`);
    }
  }
});

scenario('what strangers put into the address is text, when it is the first that the page sees', async (s) => {
  for (const [token, view] of [[`<img src=x onerror="window.hurt='t'">`, ''], [undefined, `/i/<img src=x onerror="window.hurt='v'">`], [undefined, '/i/%E0%A4%A'], [undefined, 'javascript:window.hurt=1'], ['%E0%A4%A', '%']]) {
    const page = await s.open({ token, view, expected: /40[014]/ });
    await page.locator('main h1').first().waitFor();
    await loaded(page);
    await unharmed(page, `${token} ${view}`);
    assert.equal(await page.getByText('Something went wrong in this page').count(), 0, `${view} is a fault of the page`);
  }
});
