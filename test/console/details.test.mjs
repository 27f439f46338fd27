// What readers look for: how many events were rejected, the target of another integration, the event that a
// log speaks of, which of two equal times, and where the focus is after a dialog.
import assert from 'node:assert/strict';
import { goTo, share } from './scenario.mjs';
import { event, until } from './service.mjs';

const scenario = share();

scenario('how many events were rejected is said in the list, without a further call, and on the tab', async (s) => {
  const [api, receiver] = [await s.api(), await s.receiver()];
  receiver.answer = ({ name }) => (name === 'order.bad' ? 400 : 200);
  await api.register('shop', receiver.url);
  await api.register('erp', receiver.url, { filter_conditions: { event_filter: ['order.good'] } });
  await api.publish(event('order.bad'), event('order.good'), event('order.bad'));
  await until('they are rejected', async () => (await api.rejected('shop')).length === 2);
  const calls = [];
  const page = await s.open({ before: async (p) => { p.on('request', (request) => calls.push(request.url())); } });
  const row = (id) => page.getByRole('row').filter({ hasText: id });
  await row('shop').getByRole('link', { name: '2 rejected' }).waitFor();
  assert.equal(await row('erp').getByRole('link', { name: 'rejected' }).count(), 0);
  assert.ok(calls.every((url) => !url.includes('rejected_events')));
  await row('shop').getByRole('link', { name: '2 rejected' }).click();
  await page.getByRole('link', { name: 'Rejected events (2)' }).waitFor();
  await page.getByRole('button', { name: 'Delete all …' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Delete', exact: true }).click();
  await page.getByRole('link', { name: 'Rejected events (0)' }).waitFor();
  await page.getByRole('link', { name: 'Log' }).click();
  await page.getByText('Rejected event deleted').and(page.locator('.what')).waitFor();
  await page.getByRole('link', { name: 'Rejected events (0)' }).waitFor();
});

scenario('a replay goes to the target of an integration, whose secrets are typed again', async (s) => {
  const [api, receiver] = [await s.api(), await s.receiver()];
  await api.register('shop', receiver.url, { callback_parameters: { callback_url: receiver.url, api_key: 'key-of-the-shop', signing_secret: `whsec_${btoa('s'.repeat(32))}` } });
  await api.register('plain', `${receiver.url}/plain`);
  await api.call('POST', api.at(''), {
    id: 'archive', integration_type: 'permanent',
    s3_parameters: { aws_access_key_id: 'EXAMPLEKEYID', aws_secret_access_key: 'example-secret-access-key', aws_region: 'eu-central-1', bucket: 'my-events', endpoint: 'http://127.0.0.1:9' },
  });
  await api.publish(event('order.again'));
  await until('it arrives', () => receiver.calls.length > 0);
  const page = await s.open({ view: '/replay', expected: /404 \(Not Found\)/ });
  const same = page.getByLabel('The same target as');
  const hint = page.getByRole('status').filter({ hasText: 'cannot be read' });
  await same.selectOption('archive');
  assert.equal(await page.getByLabel('Bucket', { exact: true }).inputValue(), 'my-events');
  assert.equal(await page.getByLabel('Secret access key').inputValue(), '');
  assert.match(await hint.innerText(), /Secrets of archive cannot be read: type the Secret access key again\./);
  await same.selectOption('plain');
  assert.equal(await page.getByLabel('URL').inputValue(), `${receiver.url}/plain`);
  assert.equal(await hint.count(), 0);
  await same.selectOption('shop');
  assert.match(await hint.innerText(), /type the API key and the Signing secret again, or choose/);
  assert.equal(await page.getByLabel('API key').inputValue(), '');
  await page.getByLabel('API key').fill('key-of-the-shop');
  const start = page.getByRole('button', { name: 'Start the replay' });
  const secret = page.getByLabel('Signing secret');
  await start.click(); // calls that are not signed would be refused
  assert.ok(await secret.evaluate((one) => one === document.activeElement && one.validity.valueMissing));
  await same.selectOption('');
  assert.ok(await secret.evaluate((one) => one.validity.valid));
  await same.selectOption('shop');
  await page.getByLabel('API key').fill('key-of-the-shop');
  await secret.fill(`whsec_${'a'.repeat(32)}`);
  await page.getByLabel('Id', { exact: true }).fill('again');
  const before = receiver.calls.length;
  await start.click();
  await until('it is sent again', () => receiver.calls.length > before);
  assert.equal(receiver.calls.at(-1).headers.authorization, 'Bearer key-of-the-shop');
});

scenario('the ids of events in the log lead to the events', async (s) => {
  const [api, receiver] = [await s.api(), await s.receiver()];
  receiver.answer = 400;
  await api.register('shop', receiver.url);
  const own = '7f3c1b9e-2f64-4f0e-9d0b-5a6f2f1c0a11'; // which does not tell its time
  const [made] = await api.publish(event('order.made'));
  const old = '019bfc4c-2f64-7f0e-9d0b-5a6f2f1c0a12'; // which tells that of its order, in January
  await api.publish({ id: own, ...event('order.own') }, { id: old, ...event('order.old') });
  const page = await s.open({ view: '/i/shop/log', expected: /40[04] / });
  for (const [id, name] of [[made, 'order.made'], [own, 'order.own'], [old, 'order.old']]) {
    await goTo(page, '/i/shop/log');
    await page.locator('.log .why').getByRole('link', { name: id }).click();
    await page.getByRole('heading', { name }).waitFor();
  }
  for (const [id, name] of [[own, 'order.own'], [old, 'order.old']]) { // as a receiver's log has it
    await goTo(page, '/event');
    await page.getByRole('heading', { name: 'The event' }).waitFor({ state: 'detached' });
    await page.getByLabel('Event id').fill(id);
    await page.getByRole('button', { name: 'Find' }).click();
    await page.getByRole('heading', { name }).waitFor();
  }
});

scenario('every time has one form, and two of them in the hour that is repeated are not alike', async (s) => {
  // A view that calls nothing, so that the page's own clock counts.
  const page = await s.open({
    view: '/token', context: { timezoneId: 'Europe/Berlin' },
    before: (p) => p.clock.install({ time: new Date('2026-10-25T12:00:00Z') }),
  });
  await page.getByRole('heading', { name: 'Access token' }).waitFor();
  const said = (...times) => page.evaluate(async (all) => {
    const { clock, dayOf, time } = await import('./format.js');
    return all.flatMap((at) => [clock(Date.parse(at)), clock(Date.parse(at), true), time(at).textContent, dayOf(Date.parse(at))]);
  }, times);
  assert.deepEqual(await said('2026-10-25T00:30:00Z', '2026-10-25T01:30:00Z'), [
    '02:30 UTC+2', '02:30:00 UTC+2', '02:30:00 UTC+2', '25 Oct', '02:30 UTC+1', '02:30:00 UTC+1', '02:30:00 UTC+1', '25 Oct']);
  assert.deepEqual(await said('2026-10-24T23:59:59Z', '2026-10-25T02:00:00Z'), [
    '01:59', '01:59:59', '01:59:59', '25 Oct', '03:00', '03:00:00', '03:00:00', '25 Oct']);
  assert.deepEqual(await said('2026-03-29T01:30:00Z', '2025-12-31T22:00:00Z'), [
    '29 Mar, 03:30', '29 Mar, 03:30:00', '29 Mar, 03:30:00', '29 Mar', '31 Dec 2025, 23:00', '31 Dec 2025, 23:00:00', '31 Dec 2025, 23:00:00', '31 Dec 2025']);
});

scenario('a browser of 2023 has colours in both themes, and calls the API', async (s) => {
  await (await s.api()).register('shop', (await s.receiver()).url);
  const grounds = [];
  for (const colorScheme of ['light', 'dark']) {
    const page = await s.open({
      context: { colorScheme },
      before: async (p) => {
        await p.addInitScript(() => { delete AbortSignal.any; });
        await p.route('**/console.css', async (route) => { // it does not know this function
          const response = await route.fetch();
          await route.fulfill({ response, body: (await response.text()).replaceAll('light-dark(', 'unknown(') });
        });
      },
    });
    await page.getByRole('link', { name: 'shop' }).waitFor();
    grounds.push(await page.evaluate(() => getComputedStyle(document.body).backgroundColor));
  }
  assert.deepEqual(grounds, ['rgb(246, 247, 248)', 'rgb(20, 24, 27)']);
});

scenario('the focus is where a dialog was opened, or beside it if the button is gone', async (s) => {
  const [api, receiver] = [await s.api(), await s.receiver()];
  await api.register('shop', receiver.url);
  await api.stop('shop');
  const page = await s.open({ view: '/i/shop' });
  const button = (name) => page.getByRole('button', { name, exact: true });
  const focused = (locator) => locator.evaluate((one) => one === document.activeElement);
  await button('Start from …').click();
  await button('Cancel').click();
  assert.ok(await focused(button('Start from …')));
  await button('Start from …').click();
  await api.call('POST', api.at('shop', '/_start'), {}); // by somebody else
  await button('Stop').waitFor({ state: 'attached' });
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  assert.ok(await focused(button('Stop')), 'what had the focus has gone under the dialog');
  await api.stop('shop');
  await button('Start from …').click();
  await page.getByRole('dialog').getByRole('button', { name: 'Start', exact: true }).click();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await button('Start from …').waitFor({ state: 'detached' });
  await until('the focus is on what has come in its place', () => focused(button('Stop')));
  await page.keyboard.press('Enter');
  await until('the focus is on what has come in its place', () => focused(button('Start')));
  await page.keyboard.press('Enter');
  receiver.answer = 503;
  await api.publish(event('order.paid'));
  await button('Restart to try now').focus();
  receiver.answer = 200;
  await page.keyboard.press('Enter');
  await button('Restart to try now').waitFor({ state: 'detached' });
  await page.getByText('Up to date.').waitFor();
  const tag = () => page.evaluate(() => document.activeElement.tagName);
  assert.equal(await until('the focus is kept', async () => (await tag()) !== 'BODY' && tag()), 'MAIN'); // and not on Stop
});

scenario('the bar says up to when events are handled, and nothing of times while none waits', async (s) => {
  const [api, receiver] = [await s.api(), await s.receiver()];
  await api.register('shop', receiver.url);
  await api.publish(event('order.paid'));
  await until('it is through', () => receiver.calls.length === 1);
  await api.stop('shop');
  const page = await s.open({ view: '/i/shop' });
  const reached = page.locator('.mark.position');
  await reached.getByText('nothing waits', { exact: true }).waitFor();
  await api.publish(event('order.waits'));
  const { delivered_through: through } = await api.health('shop');
  const clock = await page.evaluate(async (at) => (await import('./format.js')).clock(Date.parse(at)), through);
  await reached.getByText(`handled up to ${clock}`, { exact: true }).waitFor();
});

scenario('attempts of an outage that goes on are in the chart of the last day', async (s) => {
  const [api, receiver] = [await s.api(), await s.receiver()];
  receiver.answer = 503;
  await api.register('shop', receiver.url);
  await api.publish(event('order.paid'));
  await until('it fails', async () => (await api.health('shop')).failing?.attempts >= 3);
  const page = await s.open();
  const chart = page.getByRole('img', { name: /Last 24 h: 0 delivered, 0 rejected, ([3-9]|\d\d) failed attempts/ });
  await chart.waitFor();
  assert.notEqual(await chart.locator('.failed').getAttribute('d'), '');
});

scenario('an id that is nowhere is not found, whenever it is asked for', async (s) => {
  const page = await s.open({ view: '/event', expected: /40[04] / });
  await page.evaluate(() => { // a clock that moves on between any two looks at it
    let at = Date.now();
    Date.now = () => { at += 7; return at; };
  });
  await page.getByLabel('Event id').fill('7f3c1b9e-2f64-4f0e-9d0b-5a6f2f1c0a11');
  await page.getByRole('button', { name: 'Find' }).click();
  await page.getByText('The event log has no event with this id').waitFor();
});

scenario('a new address in a tab that asks for a token leads to the integrations', async (s) => {
  await (await s.api()).register('shop', (await s.receiver()).url);
  const page = await s.open({ view: '/token' });
  await page.getByRole('heading', { name: 'Access token' }).waitFor();
  await page.evaluate((token) => { location.hash = `token=${token}`; }, await s.token());
  await page.getByRole('link', { name: 'shop' }).waitFor();
});
