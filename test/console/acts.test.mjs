// The rest of the life of an integration, through the page: a poisonous event is skipped, rejected
// events are looked at, retried and deleted, the integration is stopped, edited, moved and deleted,
// and what was published is replayed.
import assert from 'node:assert/strict';
import { goTo, share } from './scenario.mjs';
import { event, until } from './service.mjs';

const scenario = share();

// Chromium writes each response of 4xx and 5xx to its console. What is expected is named; 404 is the
// refresh that was in flight when an integration was deleted.

/** Buttons by their exact names. */
const buttons = (page) => (name) => page.getByRole('button', { name, exact: true });

scenario('a poisonous event is skipped, and the stream goes on', async (s) => {
  const receiver = await s.receiver();
  const api = await s.api();
  receiver.answer = ({ name }) => (name === 'order.poisonous' ? 500 : 200);
  await api.register('shop', receiver.url);
  const page = await s.open({ view: '/i/shop' });
  const [poisonous, good] = await api.publish(event('order.poisonous'), event('order.good'));
  await page.getByText('It waits for the event').getByRole('link', { name: poisonous }).waitFor();
  await buttons(page)('Skip this event …').click();
  await page.getByRole('dialog').getByText(poisonous).waitFor();
  await buttons(page)('Skip it').click();
  await page.getByText('Up to date.').waitFor();
  await page.getByRole('row').filter({ hasText: good }).getByText('Delivered').waitFor();
  await page.getByRole('link', { name: 'Rejected events' }).click();
  await page.getByRole('row').filter({ hasText: poisonous }).getByText('Skipped').waitFor();

  // What became of both.
  await page.getByRole('link', { name: 'Find an event' }).click();
  await page.getByLabel('Event id').fill(poisonous);
  await buttons(page)('Find').click();
  await page.getByRole('heading', { name: 'order.poisonous' }).waitFor();
  await page.getByRole('row').filter({ hasText: 'shop' }).locator('.badge').getByText('Skipped').waitFor();
  await page.getByLabel('Event id').fill(good);
  await buttons(page)('Find').click();
  await page.getByRole('heading', { name: 'order.good' }).waitFor();
  await page.getByRole('row').filter({ hasText: 'shop' }).locator('.badge').getByText('Delivered').waitFor();
});

scenario('rejected events are looked at, retried and deleted, one and several', async (s) => {
  const receiver = await s.receiver();
  const api = await s.api();
  receiver.answer = 400;
  await api.register('shop', receiver.url);
  const names = ['a', 'b', 'c', 'd', 'e', 'f'].map((letter) => `order.${letter}`);
  const ids = await api.publish(...names.map((name) => event(name, { order: name, lines: [{ sku: 'größe "L" & <b>' }] })));
  await until('all are rejected', async () => (await api.rejected('shop')).length === names.length);
  const page = await s.open({ view: '/i/shop/rejected', expected: /502 \(Bad Gateway\)/ });
  const row = (i) => page.getByRole('row').filter({ hasText: ids[i] });
  const button = buttons(page);
  const left = (...wanted) => until(`only ${wanted} are left`, async () => {
    const shown = await page.locator('tbody tr .id').allInnerTexts();
    return shown.toSorted().join() === wanted.map((i) => ids[i]).toSorted().join();
  });

  await row(0).getByRole('button', { name: 'View' }).click();
  const payload = JSON.parse(await page.getByRole('dialog').locator('pre').innerText());
  assert.equal(payload.id, ids[0]);
  assert.equal(payload.payload.lines[0].sku, 'größe "L" & <b>');
  await button('Close').click();

  await row(0).getByRole('button', { name: 'Retry' }).click();
  await row(0).getByRole('alert').getByText(/\b400\b/).waitFor();
  receiver.answer = 200;
  await row(0).getByRole('button', { name: 'Retry' }).click();
  await left(1, 2, 3, 4, 5);

  await row(1).getByRole('button', { name: /^Delete / }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Delete', exact: true }).click();
  await left(2, 3, 4, 5);

  await row(2).getByRole('checkbox').check();
  await row(3).getByRole('checkbox').check();
  await button('Retry 2').click();
  await left(4, 5);
  assert.deepEqual(receiver.calls.slice(-2).map((call) => call.event.id).toSorted(), [ids[2], ids[3]].toSorted());

  await page.getByLabel('Choose all').check();
  await button('Delete 2 …').click();
  await page.getByRole('dialog').getByRole('button', { name: 'Delete', exact: true }).click();
  await page.getByText('No rejected events').waitFor();

  await page.getByRole('link', { name: 'Log' }).click();
  await page.getByText(/2 rejected events were deleted via API/).waitFor();
  await page.getByRole('link', { name: 'Deliveries' }).click();
  const note = page.getByText('then delivered by a retry');
  await note.first().waitFor();
  const retried = await page.getByRole('row').filter({ has: note }).locator('.id').allInnerTexts();
  assert.deepEqual(retried.toSorted(), [ids[0], ids[2], ids[3]].toSorted());
});

scenario('an integration is stopped, edited, moved, started and deleted', async (s) => {
  const [old, moved] = [await s.receiver(), await s.receiver()];
  const api = await s.api();
  await api.register('shop', old.url, { callback_parameters: { callback_url: old.url, api_key: 'a-key-that-is-kept' } });
  const page = await s.open({ view: '/i/shop', expected: /400 \(Bad Request\)|404 \(Not Found\)/ });
  const button = buttons(page);
  await api.publish(event('order.first'));
  await until('it arrives', () => old.calls.length === 1);

  await button('Stop').click();
  await page.getByText('Stopped by hand.').waitFor();
  await page.getByText(/Start it by .+, and nothing is lost\./).waitFor();
  await api.publish(event('order.meanwhile'), event('refund.meanwhile'));
  await page.getByText('2 events wait.').waitFor();

  await page.getByRole('link', { name: 'Edit' }).click();
  await page.getByLabel('URL').fill(moved.url);
  await button('Save').click();
  await page.getByText('send “API key” again').waitFor(); // a key is not sent where it was not given for
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute('aria-invalid')), 'true');
  await page.getByLabel('API key').fill('another-key');
  await page.getByLabel('Add a name, or an entity').fill('order');
  await button('Add').click();
  await button('Save').click();
  await page.getByText('order.*').waitFor();

  await button('Start').click();
  await page.getByText('Up to date.').waitFor();
  assert.deepEqual(moved.calls.map((call) => call.event.name), ['order.meanwhile']);
  assert.equal(moved.calls[0].headers.authorization, 'Bearer another-key');

  await button('Stop').click();
  await page.getByText('Stopped by hand.').waitFor();
  await button('Start from …').click();
  await page.getByLabel('From a given time').check();
  await page.getByRole('dialog').getByText('2 events').waitFor(); // of the two entities only one passes
  await page.getByRole('dialog').getByRole('button', { name: 'Start' }).click();
  await until('what was sent before is sent again', () => moved.calls.some((call) => call.event.name === 'order.first'));
  await page.getByRole('link', { name: 'Log' }).click();
  await page.getByText('Start moved').and(page.locator('.what')).waitFor();

  await button('Delete …').click();
  assert.ok(await button('Delete').isDisabled());
  await page.getByLabel('Type shop to delete it').fill('sho');
  assert.ok(await button('Delete').isDisabled());
  await page.getByLabel('Type shop to delete it').fill('shop');
  await button('Delete').click();
  await page.getByText('No integrations yet').waitFor();
  assert.deepEqual((await api.call('GET', api.at('').slice(0, -1))).integrations, []);
});

scenario('what was published is replayed, with an estimate before and its progress then', async (s) => {
  const [live, again] = [await s.receiver(), await s.receiver()];
  const api = await s.api();
  await api.register('shop', live.url);
  const names = Array.from({ length: 30 }, (_, i) => (i % 3 === 0 ? 'refund.created' : 'order.created'));
  await api.publish(...names.map((name) => event(name)));
  await until('they are through', () => live.calls.length === names.length);

  const page = await s.open({ view: '/replay', expected: /404 \(Not Found\)/ });
  const button = buttons(page);
  await page.getByText('30 events').waitFor();
  await button('+ order.*').click();
  await page.getByText('20 events').waitFor();
  await page.getByLabel('URL').fill(again.url);
  // Until tomorrow, so that there is progress to see.
  await page.getByLabel('Id', { exact: true }).fill('again');
  const tomorrow = new Date(Date.now() + 24 * 3600_000).toISOString().slice(0, 16);
  await page.getByLabel('To', { exact: true }).fill(tomorrow);
  await button('Start the replay').click();
  await until('the past ones are sent', () => again.calls.length === 20);
  await page.getByText(/\d+ %: 30 read, 10 filtered out, 20 delivered,\s+0 rejected, 0 skipped/).waitFor();
  assert.ok(await page.getByLabel('Progress of the replay').getAttribute('value'));

  await button('Pause').click();
  await page.locator('.sentence').getByText('Paused.').waitFor();
  await page.locator('.title .badge').getByText('Paused').waitFor();
  await button('Resume').click();
  await page.locator('.sentence').getByText('Paused.').waitFor({ state: 'detached' });
  await api.publish(event('order.late'));
  await until('it goes on', () => again.calls.length === 21);
  await button('Cancel …').click();
  await page.getByLabel('Type again to cancel it').fill('again');
  await button('Cancel the replay').click();
  await page.getByRole('link', { name: 'shop' }).waitFor();
});

scenario('deliveries are filtered by name, outcome, time and id', async (s) => {
  const receiver = await s.receiver();
  const api = await s.api();
  receiver.answer = ({ name }) => (name === 'order.bad' ? 400 : 200);
  await api.register('shop', receiver.url);
  const [good, bad] = await api.publish(event('order.good'), event('order.bad'));
  const page = await s.open({ view: '/i/shop', expected: /400 \(Bad Request\)/ });
  const [goodRow, badRow] = [good, bad].map((id) => page.getByRole('row').filter({ hasText: id }));
  await goodRow.waitFor();
  await badRow.waitFor();
  const filter = page.getByRole('search');
  const only = async (shown, hidden) => {
    await hidden.waitFor({ state: 'detached' });
    await shown.waitFor();
    await filter.getByRole('button', { name: 'Clear' }).click();
    await hidden.waitFor();
  };
  await filter.getByLabel('Name').fill('order.good');
  await filter.getByRole('button', { name: 'Filter' }).click();
  await only(goodRow, badRow);
  await filter.getByLabel('Outcome').selectOption('rejected');
  await only(badRow, goodRow);
  await filter.getByText('By time or event id').click();
  await filter.getByLabel('Event id').fill(bad);
  await filter.getByRole('button', { name: 'Filter' }).click();
  await only(badRow, goodRow);
  await filter.getByLabel('From').fill('2020-01-01T00:00');
  await filter.getByLabel('To').fill('2020-01-02T00:00');
  await filter.getByRole('button', { name: 'Filter' }).click();
  await page.getByText('No matching deliveries').waitFor();
  await filter.getByLabel('Name').fill('<img src=x onerror=alert(1)>');
  await filter.getByRole('button', { name: 'Filter' }).click();
  await page.getByText('That did not work').waitFor();
});

scenario('each error of the API is beside its field', async (s) => {
  const receiver = await s.receiver();
  const api = await s.api();
  await api.register('shop', receiver.url);
  const page = await s.open({ view: '/new', expected: /400 \(Bad Request\)|409 \(Conflict\)/ });
  const send = page.getByRole('button', { name: 'Register' });
  // The field is called as the form labels it, and not as the API does.
  const wrong = async (label, text) => {
    const field = page.getByLabel(label, { exact: true });
    await until(`${label} is marked`, async () => (await field.getAttribute('aria-invalid')) === 'true');
    assert.ok(await field.evaluate((one) => one === document.activeElement), `${label} has the focus`);
    const ids = (await field.getAttribute('aria-describedby')).split(' ');
    const said = (await Promise.all(ids.map((id) => page.locator(`[id="${id}"]`).innerText().catch(() => '')))).join(' ');
    assert.match(said, text);
    assert.doesNotMatch(said, /[a-z]_[a-z]/);
  };
  await page.getByLabel('Id', { exact: true }).fill('shop');
  await page.getByLabel('URL').fill(receiver.url);
  await send.click();
  await wrong('Id', /already/);
  await page.getByLabel('Id', { exact: true }).fill('other');
  await page.getByLabel('URL').fill('http://user@127.0.0.1/');
  await send.click();
  await wrong('URL', /“URL” /);
  await page.getByLabel('URL').fill(receiver.url);
  await page.getByLabel('Signing secret').fill('whsec_short');
  await send.click();
  await wrong('Signing secret optional', /“Signing secret” /);
  await page.getByLabel('Signing secret').fill('');
  await page.getByLabel('Starts at').fill('2199-01-01T00:00');
  await send.click();
  await wrong('Starts at optional', /“Starts at” /);
  await page.getByLabel('Starts at').fill('20261-01-01T00:00'); // a slip of the finger, which the field takes
  await send.click();
  await wrong('Starts at optional', /“Starts at” /);
});

scenario('a link to a view works with a token in the address, which leaves it', async (s) => {
  const receiver = await s.receiver();
  await (await s.api()).register('shop', receiver.url);
  const page = await s.open({ view: '/i/shop/log' });
  await page.getByText('Registered').and(page.locator('.what')).waitFor();
  assert.equal(new URL(page.url()).hash, '#/i/shop/log');
  await page.reload();
  await page.getByText('Registered').and(page.locator('.what')).waitFor();
  await goTo(page, '/');
  await page.getByRole('link', { name: 'shop' }).waitFor();
  await page.goBack();
  await page.getByText('Registered').and(page.locator('.what')).waitFor();
  assert.deepEqual(await page.context().cookies(), []);
  assert.equal(await page.evaluate(() => localStorage.length), 0);
});
