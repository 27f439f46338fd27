// A tenant with an integration in every state, and the views that show them.
import { readFile } from 'node:fs/promises';
import { event, until } from './service.mjs';

const samples = new URL('../../events/samples/', import.meta.url);

/** Sample events of an entity, without their ids, so that they can be published again. */
export async function sampleEvents(entity) {
  const text = await readFile(new URL(`${entity}.ndjson`, samples), 'utf8');
  return text.trim().split('\n').map((line) => {
    const { name, payload } = JSON.parse(line);
    return { name, payload };
  });
}

/**
 * Sets the stage: shop is healthy and has rejected events, erp fails, billing is stopped, archive has a
 * bucket that nobody serves, and a replay is complete.
 *
 * @returns what the views need: ids of events, and the receivers
 */
export async function setStage(s) {
  const api = await s.api();
  const [shop, erp] = await Promise.all([s.receiver(), s.receiver()]);
  shop.answer = ({ name }) => (name === 'refund_request.declined' ? 400 : 200);
  erp.answer = ({ name }) => (name === 'order.created' ? 200 : 503);
  await api.register('shop', shop.url);
  await api.register('erp', erp.url, { filter_conditions: { entity_filter: ['order'] } });
  await api.register('billing', shop.url, { filter_conditions: { event_filter: ['order.created', 'order.paid'] } });
  await api.stop('billing');
  const [delivered] = await api.publish(event('order.created', { order_id: 'o-1001', total: 4200, currency: 'EUR' }));
  await until('the first event is through', async () => shop.calls.length > 0 && erp.calls.length > 0);
  await api.publish(...await sampleEvents('refund_request'));
  const [stuck] = await api.publish(...await sampleEvents('order'));
  await until('erp fails', async () => (await api.health('erp')).failing?.attempts > 1);
  await api.call('POST', api.at(''), {
    id: 'archive', integration_type: 'permanent',
    s3_parameters: {
      aws_access_key_id: 'EXAMPLEKEYID', aws_secret_access_key: 'example-secret-access-key', aws_region: 'eu-central-1',
      bucket: 'my-events', endpoint: `http://127.0.0.1:9`,
    },
  });
  const ends = new Date();
  await api.call('POST', api.at(''), {
    id: 'replay-of-refunds', integration_type: 'temporary', starts_at: new Date(ends - 3600_000).toISOString(), ends_at: ends.toISOString(),
    callback_parameters: { callback_url: shop.url }, filter_conditions: { entity_filter: ['refund_request'] },
  });
  const rejected = await until('events are rejected', async () => { const all = await api.rejected('shop'); return all.length > 1 && all; });
  await until('the replay is complete', async () => (await api.health('replay-of-refunds')).state === 'complete');
  return { api, shop, erp, delivered, stuck, rejected: rejected[0].id };
}

/** The views: a name, the fragment, and what is seen when it is there.
 * @returns {[string, string, string | RegExp][]} */
export const viewsOf = (stage) => [
  ['integrations', '/', 'replay-of-refunds'],
  ['new', '/new', 'Some of the names seen'],
  ['registered', '/i/shop/registered', 'Check the signature'],
  ['replay', '/replay', /\d+ events/],
  ['find', '/event', 'Event id'],
  ['event', `/event/${stage.delivered}`, 'Why'],
  ['healthy', '/i/shop', 'Up to date.'],
  ['rejected', '/i/shop/rejected', stage.rejected],
  ['log', '/i/erp/log', /Request to URL/],
  ['failing', '/i/erp', 'It waits for the event'],
  ['stopped', '/i/billing', 'Stopped by hand.'],
  ['edit', '/i/billing/edit', 'Save'],
  ['files', '/i/archive', 'Endpoint'],
  ['complete', '/i/replay-of-refunds', 'The replay is complete.'],
  ['token', '/token', 'Use this token'],
  ['not-found', '/nonsense', 'This page has no such view.'],
];

/** The dialogs: a name, the view, and the button that opens it. */
export const dialogs = [
  ['start-from', '/i/billing', 'Start from …'],
  ['test', '/i/shop', 'Send a test event …'],
  ['delete', '/i/shop', 'Delete …'],
  ['skip', '/i/erp', 'Skip this event …'],
  ['payload', '/i/shop/rejected', /^View/],
  ['delete-rejected', '/i/shop/rejected', 'Delete all …'],
];

/** Goes to a view, and returns when it shows what it is there for. */
export async function show(page, view, seen) {
  await page.evaluate((hash) => { location.hash = hash; }, view);
  await page.locator('main').getByText(seen).first().waitFor();
  await until('nothing is loading', async () => (await page.locator('.loading').count()) === 0);
}

/** Opens a dialog and returns it when it is loaded. */
export async function openDialog(page, button) {
  await page.getByRole('button', { name: button, exact: true }).first().click();
  const dialog = page.getByRole('dialog');
  await dialog.waitFor();
  await until('nothing is loading', async () => (await page.locator('.loading').count()) === 0);
  return dialog;
}
