// The first scenario, which is played against both shapes: a newcomer registers a receiver by the
// page, sees events arrive, and what is said when the receiver breaks and is mended.
import assert from 'node:assert/strict';
import { share } from './scenario.mjs';
import { event, until } from './service.mjs';

const scenario = share();

scenario('a receiver is registered, gets events, breaks and is mended', async (s) => {
  const receiver = await s.receiver();
  const api = await s.api();
  const page = await s.open();
  const button = (name) => page.getByRole('button', { name, exact: true });

  await page.getByRole('link', { name: 'Register the first one' }).click();
  await page.getByLabel('Id', { exact: true }).fill('shop');
  await page.getByLabel('URL').fill(receiver.url);
  await button('Generate').click();
  await button('Register').click();
  await page.getByRole('heading', { name: 'shop is registered' }).waitFor();
  const secret = await page.locator('.secret').innerText();
  assert.match(secret, /^whsec_/);

  await button('Send a test event …').click();
  await button('Send').click();
  await page.getByRole('dialog').getByText('Delivered').waitFor();
  const [test] = receiver.calls;
  assert.equal(test.event.name, 'sluice.test');
  assert.equal(test.headers['sluice-test'], '1');
  assert.ok(test.headers['webhook-signature'], 'the test event is signed');
  await button('Close').click();

  await page.reload(); // the secret was shown once, and the form is not come back to
  await page.getByRole('heading', { name: 'shop is registered' }).waitFor();
  await page.getByRole('heading', { name: 'Check the signature' }).waitFor();
  assert.equal(await page.locator('.secret').count(), 0);
  await page.goBack();
  await page.getByRole('heading', { name: 'Integrations' }).waitFor();
  await page.goForward();

  await page.getByRole('link', { name: 'Go to shop' }).click();
  const [first] = await api.publish(event('order.created'));
  const delivery = page.getByRole('row').filter({ hasText: first });
  await delivery.getByText('Delivered').waitFor();
  await page.getByText('Up to date.').waitFor();

  receiver.answer = 503;
  const [stuck] = await api.publish(event('order.paid'), event('order.shipped'));
  const sentence = page.locator('.sentence');
  await sentence.getByText(/Waiting for your receiver since \d\d:\d\d: it answers 503\./).waitFor();
  await sentence.getByText(/Next attempt in|next attempt is about/).waitFor();
  await sentence.getByText(/2 events wait; nothing is lost until \d+ \w+( \d{4})?\./).waitFor();
  await page.getByText('It waits for the event').getByRole('link', { name: stuck }).waitFor();
  await page.getByRole('row').filter({ hasText: stuck }).getByText(/\b503\b/).waitFor();

  receiver.answer = 200;
  await page.getByText('Up to date.').waitFor();
  assert.deepEqual((await namesSeen(page)).sort(), ['order.created', 'order.paid', 'order.shipped']); // no order is promised

  await page.getByRole('link', { name: 'Log' }).click();
  await page.getByText('Delivering again after').waitFor();
});

/** The names of the deliveries that the page lists, once there are three. */
const namesSeen = (page) => until('three deliveries are listed', async () => {
  const names = await page.getByRole('table').getByRole('rowheader').getByRole('link').allInnerTexts();
  return names.length === 3 && names;
});
