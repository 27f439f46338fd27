// How every view looks, in both themes: nothing for axe-core to find, nothing wider than the window
// from a phone's to a wall's, and pictures in screenshots/ to look at.
import { mkdir } from 'node:fs/promises';
import { accessible, fits } from './checks.mjs';
import { pictures, share } from './scenario.mjs';
import { dialogs, openDialog, setStage, show, viewsOf } from './stage.mjs';

const scenario = share({ SLUICE_OPERATOR_TENANT: 'operator', SLUICE_ALERT_FAILING_AFTER: '1s' });

const sizes = [[360, 740], [640, 450], [2560, 1300]]; // a phone; 1,280 x 900 at 200 %; a large screen

for (const theme of ['light', 'dark']) {
  scenario(`every view is for everybody, ${theme}`, async (s) => {
    const stage = await setStage(s);
    const page = await s.open({ context: { colorScheme: theme } });
    await mkdir(pictures, { recursive: true });
    for (const [name, view, seen] of viewsOf(stage)) {
      await show(page, view, seen);
      await look(page, `${name}-${theme}`);
    }
    for (const [name, view, button] of dialogs) {
      await show(page, view, button);
      await openDialog(page, button);
      await look(page, `dialog-${name}-${theme}`);
      await page.keyboard.press('Escape');
      await page.getByRole('dialog').waitFor({ state: 'detached' });
    }
  });
}

scenario('the view over all tenants is for everybody', async (s) => {
  await setStage(s);
  await mkdir(pictures, { recursive: true });
  const token = await s.service.token({ tenant: '' });
  for (const theme of ['light', 'dark']) {
    const page = await s.open({ token, context: { colorScheme: theme } });
    const row = page.getByRole('row').filter({ hasText: s.tenant }).filter({ hasText: 'erp' });
    await row.getByText('Failing').waitFor();
    await look(page, `all-tenants-${theme}`);
    await row.getByRole('link', { name: 'erp' }).click();
    await page.getByText('It waits for the event').waitFor();
    await page.getByRole('link', { name: 'All tenants' }).click();
    await page.getByLabel('Tenant').fill(s.tenant);
    await page.getByRole('button', { name: 'Open' }).click();
    await page.getByRole('link', { name: 'billing' }).waitFor();
    await page.getByRole('button', { name: 'Change' }).click();
    await look(page, `dialog-tenant-${theme}`);
  }
});

/** Checks and draws what is shown. */
async function look(page, name) {
  await page.setViewportSize({ width: 1280, height: 900 });
  await accessible(page, name);
  await fits(page, name);
  await page.screenshot({ path: `${pictures}${name}.png` });
  for (const [width, height] of sizes) {
    await page.setViewportSize({ width, height });
    await fits(page, name);
    if (width === 360) {
      await accessible(page, `${name} at 360 px`);
      await page.screenshot({ path: `${pictures}${name}-360.png` });
    }
  }
}
