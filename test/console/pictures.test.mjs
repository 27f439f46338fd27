// Four pictures of the console, for README.md and docs/console.md: `make screenshots` draws them into
// docs/images. In `make test` they go where git ignores them, and must not be too large.
import assert from 'node:assert/strict';
import { mkdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { pictures, share } from './scenario.mjs';
import { sampleEvents, show } from './stage.mjs';
import { event, until } from './service.mjs';

const scenario = share();
const folder = process.env.CONSOLE_PICTURES ?? pictures;
const most = 100 << 10; // bytes of a picture

scenario('four pictures', async (s) => {
  const receiver = await s.receiver();
  await s.ownService({ SLUICE_EGRESS_PROXY: new URL(receiver.url).origin, SLUICE_RETRY_MAX: '10s' });
  s.tenant = 'acme';
  const api = await s.api();
  let erp = 200;
  receiver.answer = ({ name }, host) => {
    if (host === 'erp.example.com') return erp;
    return ['refund_request.declined', 'order.payment_failed'].includes(name) ? 400 : 200;
  };
  await api.register('accounting', 'http://books.example.com/sluice', { filter_conditions: { entity_filter: ['refund_request', 'order'] } });
  await api.register('erp', 'http://erp.example.com/hooks', { filter_conditions: { entity_filter: ['order'] } });
  await api.register('shop', 'http://shop.example.com/events');
  await api.register('warehouse', 'http://wms.example.com/in', { filter_conditions: { entity_filter: ['fulfillment_request', 'inventory_transaction'] } });
  const through = (id) => until(`${id} is up to date`, async () => (await api.health(id)).behind.events === 0);
  for (const entity of ['order', 'refund_request', 'fulfillment_request', 'inventory_transaction']) await api.publish(...await sampleEvents(entity));
  await Promise.all(['accounting', 'erp', 'shop', 'warehouse'].map(through));
  await api.stop('accounting');
  erp = 503;
  const orders = await sampleEvents('order');
  const [looked] = await api.publish(event('order.created', { order_id: 'o-2001', total: 4200, currency: 'EUR' }), ...orders);
  await through('shop');
  await until('erp fails for a while', async () => (await api.health('erp')).failing?.attempts > 4);

  await mkdir(folder, { recursive: true });
  const page = await s.open({ context: { viewport: { width: 1080, height: 640 }, timezoneId: 'UTC' }, before: addDay });
  await show(page, '/', 'warehouse');
  await page.locator('tbody .sparkline').first().waitFor();
  await draw(page, 'console-integrations', 380);
  await show(page, '/i/erp', /Next attempt in \d+ s/);
  await page.getByRole('table').getByText('Retrying').first().waitFor();
  await draw(page, 'console-failing');
  await show(page, '/i/shop/rejected', 'order.payment_failed');
  await page.getByRole('button', { name: /^View / }).first().click();
  await page.getByRole('dialog').locator('pre').waitFor();
  await draw(page, 'console-rejected');
  await page.keyboard.press('Escape');
  await page.emulateMedia({ colorScheme: 'dark' });
  await show(page, `/event/${looked}`, 'Why');
  await page.getByRole('heading', { name: 'order.created' }).evaluate((heading) => heading.scrollIntoView());
  await draw(page, 'console-event');
});

/** Adds the 23 hours that a node of a minute has not had to the activity that it tells. */
async function addDay(page) {
  await page.route(/include=.*activity/, async (route) => {
    const response = await route.fetch();
    const body = await response.json();
    for (const [i, { activity }] of body.integrations.entries()) {
      if (!activity) continue;
      for (const [hour, counts] of activity.hours.entries()) {
        if (hour === activity.hours.length - 1) break;
        counts.delivered = Math.round(120 + 90 * Math.sin((hour + 3 * i) / 4) + 17 * ((hour * 7 + i) % 5));
        counts.rejected = (hour + i) % 9 === 0 ? 12 : 0;
      }
    }
    await route.fulfill({ response, json: body });
  });
}

/** Draws a picture without the focus, of the upper part of the window. */
async function draw(page, name, height = 640) {
  const file = path.join(folder, `${name}.png`);
  await page.evaluate(() => document.activeElement?.blur());
  await page.screenshot({ path: file, clip: { x: 0, y: 0, width: 1080, height } });
  const { size } = await stat(file);
  assert.ok(size < most, `${name}.png has ${size} bytes, more than ${most}`);
}
