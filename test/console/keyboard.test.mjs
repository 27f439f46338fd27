// By keyboard alone: Tab reaches everything that can be done, it is seen where the focus is, dialogs
// keep it and give it back, and a refresh leaves it where it is.
import assert from 'node:assert/strict';
import { share } from './scenario.mjs';
import { dialogs, setStage, show, viewsOf } from './stage.mjs';
import { event, until } from './service.mjs';

const scenario = share();

/** What has the focus: a mark of its own, its words, and whether it is seen. */
const focused = (page) => page.evaluate(() => {
  const element = document.activeElement;
  if (!element || element === document.body) return null;
  const style = getComputedStyle(element);
  return {
    mark: window.marks?.get(element), text: `${element.localName} "${(element.getAttribute('aria-label') ?? element.textContent).trim().slice(0, 40)}"`,
    // Within a time field the browser shows the focus on its parts.
    seen: element.type === 'datetime-local' || (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2), inDialog: element.closest('dialog') !== null,
  };
});

/** Marks all that can be used, beside the elements, which a refresh cleans, and returns their marks and
 * words. Of a group of radio buttons Tab reaches the chosen one, arrows the others. */
const usable = (page) => page.evaluate(() => {
  const within = document.querySelector('dialog[open]') ?? document;
  window.marks = new WeakMap();
  return [...within.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex="0"]')]
    .filter((one) => one.checkVisibility({ visibilityProperty: true }) && !one.disabled && !one.closest('.skip') && !(one.type === 'radio' && !one.checked))
    .map((one, i) => [window.marks.set(one, i) && i, `${one.localName} "${(one.getAttribute('aria-label') ?? one.textContent).trim().slice(0, 40)}"`]);
});

scenario('Tab reaches everything in every view, and shows where it is', async (s) => {
  const stage = await setStage(s);
  const page = await s.open({ view: '/token' });
  for (const [name, view, seen] of viewsOf(stage)) {
    await show(page, view, seen);
    const wanted = new Map(await usable(page));
    await page.evaluate(() => { document.activeElement.blur(); window.getSelection().removeAllRanges(); });
    await page.locator('.skip').focus();
    const reached = new Set();
    for (let i = 0; i < 3 * wanted.size + 60; i++) { // a time field has a stop for each of its parts
      await page.keyboard.press('Tab');
      const now = await focused(page);
      if (!now) break;
      assert.ok(now.seen, `${name}: it is not seen that the focus is on ${now.text}`);
      if (now.mark !== undefined) reached.add(now.mark);
      if (reached.size === wanted.size) break;
    }
    const missed = [...wanted].filter(([mark]) => !reached.has(mark)).map(([, text]) => text);
    assert.deepEqual(missed, [], `${name}: Tab does not reach these`);
  }
});

scenario('the first stop leads past the header', async (s) => {
  const page = await s.open();
  await page.getByText('No integrations yet').waitFor();
  await page.keyboard.press('Tab');
  assert.match((await focused(page)).text, /Skip to the content/);
  await page.keyboard.press('Enter');
  await page.keyboard.press('Tab');
  assert.match((await focused(page)).text, /New integration|Register the first one/);
});

scenario('dialogs keep the focus, close by Escape, and give it back', async (s) => {
  await setStage(s);
  const page = await s.open();
  for (const [name, view, label] of dialogs) {
    await show(page, view, label);
    const button = page.getByRole('button', { name: label, exact: true }).first();
    await button.focus();
    await page.keyboard.press('Enter');
    const dialog = page.getByRole('dialog');
    await dialog.waitFor();
    assert.ok(await dialog.evaluate((one) => one.matches(':modal')), `${name} is modal`);
    assert.ok(await dialog.evaluate((one) => document.getElementById(one.getAttribute('aria-labelledby'))?.textContent), `${name} has a name`);
    assert.ok((await focused(page))?.inDialog, `${name}: the focus is in it`);
    await until('it is loaded', async () => (await page.locator('.loading').count()) === 0);
    const wanted = new Map(await usable(page));
    const reached = new Set();
    for (let i = 0; i < 2 * wanted.size + 12; i++) {
      await page.keyboard.press('Tab');
      const now = await focused(page);
      assert.ok(!now || now.inDialog, `${name}: Tab leaves it for ${now?.text}`);
      if (now) reached.add(now.mark);
    }
    const missed = [...wanted].filter(([mark]) => !reached.has(mark)).map(([, text]) => text);
    assert.deepEqual(missed, [], `${name}: Tab does not reach these`);
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'detached' });
    assert.ok(await button.evaluate((one) => one === document.activeElement), `${name}: the focus is where it was`);
  }
});

scenario('a refresh leaves focus, selection and what is typed', async (s) => {
  const receiver = await s.receiver();
  const api = await s.api();
  await api.register('shop', receiver.url);
  await api.register('other', receiver.url);
  const page = await s.open({ view: '/i/shop' });
  await page.getByLabel('Name').fill('order.cre');
  await page.getByLabel('Name').press('ArrowLeft');
  await api.publish(event('order.one'), event('order.two'));
  await page.getByText('order.two').waitFor();
  const field = await page.getByLabel('Name').evaluate((one) => [one === document.activeElement, one.value, one.selectionStart]);
  assert.deepEqual(field, [true, 'order.cre', 8]);

  await page.getByRole('button', { name: 'Clear' }).click();
  await page.getByRole('button', { name: 'Stop', exact: true }).focus();
  await api.publish(event('order.three'));
  await page.getByText('order.three').waitFor();
  assert.match((await focused(page)).text, /Stop/);

  await show(page, '/', 'other');
  await page.getByRole('link', { name: 'shop' }).focus();
  await api.register('another', receiver.url); // a row comes before it
  await page.getByRole('link', { name: 'another' }).waitFor();
  assert.match((await focused(page)).text, /shop/);
});

scenario('an integration is registered, stopped and deleted without a mouse', async (s) => {
  const receiver = await s.receiver();
  const page = await s.open();
  await page.getByText('No integrations yet').waitFor();
  const to = async (text) => {
    for (let i = 0; i < 60; i++) {
      const now = await focused(page);
      if (now && text.test(now.text)) return;
      await page.keyboard.press('Tab');
    }
    assert.fail(`Tab does not lead to ${text}`);
  };
  const type = async (label, text) => {
    for (let i = 0; i < 60 && !(await page.getByLabel(label, { exact: true }).evaluate((one) => one === document.activeElement)); i++) await page.keyboard.press('Tab');
    await page.keyboard.type(text);
  };
  await to(/Register the first one/);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'New integration' }).waitFor();
  await type('Id', 'shop');
  await type('URL', receiver.url);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'shop is registered' }).waitFor();
  await to(/Go to shop/);
  await page.keyboard.press('Enter');
  await page.getByText('Nothing has been delivered yet').waitFor();
  await to(/button "Stop"/);
  await page.keyboard.press('Space');
  await page.getByText('Stopped by hand.').waitFor();
  await to(/Delete …/);
  await page.keyboard.press('Enter');
  await type('Type shop to delete it', 'shop');
  await to(/button "Delete"/);
  await page.keyboard.press('Enter');
  await page.getByText('No integrations yet').waitFor();
});
