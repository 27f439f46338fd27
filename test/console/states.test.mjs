// Every view while it loads, when the service fails, when the connection is lost, and for tokens that
// may not do everything.
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { accessible, fits } from './checks.mjs';
import { goTo, pictures, share } from './scenario.mjs';
import { event, until } from './service.mjs';

const scenario = share();
const calls = '**/api/**';

/** A tenant with one integration, and an event. */
async function one(s) {
  const receiver = await s.receiver();
  const api = await s.api();
  await api.register('shop', receiver.url);
  const [id] = await api.publish(event());
  await until('it arrives', () => receiver.calls.length === 1);
  return { api, receiver, id };
}

/** The views that call the API when they are opened. */
const views = (id) => ({
  integrations: '/', deliveries: '/i/shop', rejected: '/i/shop/rejected', log: '/i/shop/log', edit: '/i/shop/edit', event: `/event/${id}`,
});

scenario('every view says that it loads, and then shows what it loaded', async (s) => {
  const { id } = await one(s);
  const page = await s.open({ view: '/token' });
  for (const [name, view] of Object.entries(views(id))) {
    let answer;
    const held = new Promise((go) => { answer = go; });
    await page.route(calls, async (route) => { await held; await route.fallback(); });
    await goTo(page, view);
    await page.locator('main').getByText(/^\s*Loading /).first().waitFor();
    await draw(page, `loading-${name}`);
    answer();
    await until('nothing is loading', async () => (await page.locator('.loading').count()) === 0);
    assert.equal(await page.locator('main .state.failed').count(), 0, `${name} failed`);
    await page.unroute(calls);
    await goTo(page, '/token');
  }
});

const failure = (error_code, message) => ({ error_code, message, request_id: 'ABCDEFGHIJKLMNOPQRSTUVWXYZ' });
const answering = (status, body) => (route) => route.fulfill({ status, contentType: 'application/json', body: JSON.stringify(body) });

scenario('every view says what failed, and mends itself', async (s) => {
  const { id } = await one(s);
  const page = await s.open({ view: '/token', expected: /status of 500/ });
  const body = failure('internal_error', 'Something went wrong.');
  for (const [name, view] of Object.entries(views(id))) {
    await page.route(calls, answering(500, body));
    await goTo(page, view);
    const alert = page.locator('main .state.failed').filter({ hasText: 'The service has a problem' }).first();
    await alert.getByText(body.message).waitFor();
    await alert.getByText(body.request_id).waitFor();
    await draw(page, `failed-${name}`);
    await page.unroute(calls);
    // What is asked for once stays until it is asked for again.
    if (!['edit', 'event'].includes(name)) await page.locator('main .state.failed').first().waitFor({ state: 'detached' });
    await goTo(page, '/token');
  }
});

for (const [name, status, body, title] of [
  ['by the service', 503, failure('unavailable', 'The log is busy; try again.'), 'The service has a problem'],
  ['by a gateway', 503, { message: 'Service Unavailable' }, 'The service has a problem'],
  ['by a proxy', 502, 'Bad gateway', 'The service has a problem'],
  ['too many calls', 429, failure('too_many_requests', 'Wait a second.'), 'Too many calls'],
  ['forbidden', 403, failure('forbidden', 'The token lacks integrations:read.'), 'This token may not do that'],
]) {
  scenario(`a refusal is explained: ${name}`, async (s) => {
    const page = await s.open({ expected: new RegExp(`status of ${status}`), before: (p) => p.route(calls, answering(status, body)) });
    const alert = page.locator('main .state.failed').filter({ hasText: title });
    await alert.waitFor();
    if (body.message) await alert.getByText(body.message).waitFor();
    await draw(page, `refused-${name.replaceAll(' ', '-')}`);
    await page.unroute(calls);
    // Only what may pass by itself is tried again without being asked.
    if (status === 403) await page.getByRole('button', { name: 'Try again' }).click();
    await page.getByText('No integrations yet').waitFor();
  });
}

scenario('a lost connection is said, what was shown stays, and it is mended', async (s) => {
  const service = await s.ownService();
  const { api, receiver } = await one(s);
  const page = await s.open({ view: '/i/shop', expected: /ERR_CONNECTION|ERR_EMPTY_RESPONSE|ERR_SOCKET/ });
  await page.getByText('Up to date.').waitFor();
  await service.kill();
  const notice = page.getByRole('alert').filter({ hasText: 'Connection lost.' });
  await notice.waitFor();
  await page.getByText('Up to date.').waitFor(); // as it was
  await draw(page, 'connection-lost');
  await service.start();
  await notice.waitFor({ state: 'detached' });
  await api.publish(event('order.after'));
  await page.getByText('order.after').waitFor();
  assert.equal(receiver.calls.at(-1).event.name, 'order.after');
});

scenario('without a connection the first view says so, and comes by itself', async (s) => {
  await one(s);
  const page = await s.open({
    expected: /ERR_FAILED|ERR_INTERNET_DISCONNECTED/, before: (p) => p.route(calls, (route) => route.abort('internetdisconnected')),
  });
  await page.getByText('No connection').waitFor();
  await draw(page, 'no-connection');
  await page.unroute(calls);
  await page.getByRole('link', { name: 'shop' }).waitFor();
});

scenario('a call that hangs is not repeated beside itself', async (s) => {
  await one(s);
  let asked = 0, answer;
  const held = new Promise((go) => { answer = go; });
  const page = await s.open({
    before: async (p) => {
      await p.clock.install();
      await p.route(calls, async (route) => { asked++; await held; await route.continue().catch(() => {}); });
    },
  });
  await until('it asks', () => asked === 1);
  await page.clock.runFor(15_000); // less than the page waits for an answer
  assert.equal(asked, 1);
  answer();
  await page.getByRole('link', { name: 'shop' }).waitFor();
});

scenario('empty lists say what will be there', async (s) => {
  const page = await s.open({ expected: /404 \(Not Found\)/ });
  await page.getByText('No integrations yet').waitFor();
  await draw(page, 'empty-integrations');
  const receiver = await s.receiver();
  await (await s.api()).register('shop', receiver.url);
  for (const [view, text] of [['/i/shop', 'No deliveries yet'], ['/i/shop/rejected', 'No rejected events']]) {
    await goTo(page, view);
    await page.getByText(text).waitFor();
    await draw(page, `empty-${text.slice(3).replace(' ', '-')}`);
  }
  await goTo(page, '/i/shop/log');
  await page.getByLabel('Show').selectOption('Event skipped');
  await page.getByText('No such entries').waitFor();
  await goTo(page, '/i/gone');
  await page.getByText('Not found').first().waitFor();
  await draw(page, 'not-found-integration');
  await goTo(page, '/event/01a22750-7ffb-7e17-a571-24b2950261f7');
  await page.locator('.state.failed').getByText('Not found').waitFor();
});

scenario('a read-only token sees everything and is offered nothing to change', async (s) => {
  const { api, receiver } = await one(s);
  receiver.answer = 400;
  await api.publish(event('order.bad'));
  await until('it is rejected', async () => (await api.rejected('shop')).length === 1);
  receiver.answer = 503;
  await api.publish(event('order.stuck'));
  const page = await s.open({ token: await s.token({ scopes: ['integrations:read'] }) });
  const nothingToChange = async (where, allowed) => {
    const offered = await page.locator('main button:visible, main a.button:visible').allInnerTexts();
    assert.deepEqual(offered.filter((text) => !allowed.includes(text)), [], `${where} offers too much`);
  };
  await page.getByRole('link', { name: 'shop' }).waitFor();
  await page.getByText('Read-only').waitFor();
  assert.deepEqual(await page.getByRole('navigation', { name: 'Main' }).getByRole('link').allInnerTexts(), ['Integrations', 'Find an event']);
  await nothingToChange('the list', []);
  await draw(page, 'read-only');
  await goTo(page, '/i/shop');
  await page.getByText('It waits for the event').waitFor();
  await page.getByText('order.stuck').first().waitFor();
  await nothingToChange('the integration', ['Filter', 'Clear']);
  await goTo(page, '/i/shop/rejected');
  await page.getByRole('button', { name: /^View / }).click();
  await page.getByRole('dialog').getByText('order.bad').waitFor();
  await nothingToChange('the rejected events', ['View', 'Copy', 'Close']);
  await page.keyboard.press('Escape');
  for (const view of ['/new', '/replay', '/i/shop/edit']) {
    await goTo(page, view);
    await page.getByText('This token may not do that').waitFor();
    await nothingToChange(view, []);
  }
});

scenario('a token that has expired, or is none, says so and asks for another', async (s) => {
  await one(s);
  const page = await s.open({
    token: await s.token({ ttl: '1h' }), expected: /401/,
    before: async (p) => { await p.clock.install({ time: Date.now() }); },
  });
  await page.getByRole('link', { name: 'shop' }).waitFor();
  await page.getByText('The access token expires at').waitFor({ state: 'detached' });
  // The page's clock is an hour ahead, as if it had been open so long; what the service says of the time is kept from it.
  await page.route(calls, (route) => route.fulfill({
    status: 401, contentType: 'application/json',
    body: JSON.stringify({ error_code: 'unauthorized', message: 'The token has expired.', request_id: 'ABCDEFGHIJKLMNOPQRSTUVWXYZ' }),
  }));
  await page.clock.runFor(3605_000);
  await page.getByRole('alert').getByText('The access token has expired.').waitFor();
  await page.getByText('The access token is not accepted').waitFor();
  await draw(page, 'expired');
  await page.getByRole('link', { name: 'paste another token' }).first().click();
  await page.unroute(calls);
  await page.getByLabel('Token').fill(await s.token({ ttl: '2h' }));
  await page.getByRole('button', { name: 'Use this token' }).click();
  await page.getByRole('link', { name: 'shop' }).waitFor();
  await goTo(page, '/token');
  await page.getByRole('button', { name: 'Forget the token' }).click();
  await page.getByRole('heading', { name: 'Access token' }).waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  assert.deepEqual(await page.getByRole('navigation').count(), 0);
});

scenario('without a token, or with one that is none, the page asks for one', async (s) => {
  const page = await s.open({ token: '', expected: /401/ });
  await page.getByRole('heading', { name: 'Access token' }).waitFor();
  await draw(page, 'no-token');
  for (const token of ['nonsense', 'a.b.c', `x.${btoa('{"scope": 7, "exp": "soon", "tenant": {}}')}.y`, `x.${btoa('null')}.y`]) {
    await goTo(page, '/token');
    await page.getByLabel('Token').fill(token);
    await page.getByRole('button', { name: 'Use this token' }).click();
    await page.getByText('The access token is not accepted').waitFor();
  }
});

async function draw(page, name) {
  await mkdir(pictures, { recursive: true });
  await accessible(page, name);
  await fits(page, name);
  await page.screenshot({ path: `${pictures}state-${name}.png` });
}
