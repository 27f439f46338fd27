// What must hold of every view: nothing stands in the way of people who see, hear or move
// differently, nothing is wider than the window, nothing from outside became markup or script.
import { createRequire } from 'node:module';
import { until } from './service.mjs';

const tools = createRequire(new URL('../../.console-tools/package.json', import.meta.url));
const axe = tools('axe-core').source;

/** Fails if axe-core finds anything, in what is shown now. */
export async function accessible(page, what) {
  if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(axe);
  const found = await page.evaluate(async () => {
    const { violations } = await window.axe.run(document, { resultTypes: ['violations'] });
    return violations.flatMap(({ id, help, nodes }) => nodes.map(({ target, failureSummary }) => `${id}: ${help}: ${target}: ${failureSummary}`));
  });
  if (found.length > 0) throw new Error(`${what}: axe-core found\n${found.join('\n')}`);
}

/** Fails if the document can be scrolled sideways, or something that no box scrolls sticks out of the
 * window or of its dialog. */
export async function fits(page, what) {
  const out = () => page.evaluate(() => {
    const wide = document.documentElement.clientWidth;
    const found = [];
    if (document.documentElement.scrollWidth > wide) found.push(`the document has ${document.documentElement.scrollWidth} px`);
    for (const element of document.querySelectorAll('body *')) {
      if (element.closest('.unseen, .skip, svg, [hidden], datalist, template') || !element.checkVisibility()) continue;
      const box = element.getBoundingClientRect();
      if (box.width === 0 || box.right <= wide + 1 && box.left >= -1) continue;
      let scrolled = false;
      for (let up = element.parentElement; up && !scrolled; up = up.parentElement) {
        scrolled = up !== document.body && up !== document.documentElement && ['auto', 'scroll'].includes(getComputedStyle(up).overflowX);
      }
      if (!scrolled) found.push(`<${element.localName} class="${element.className}"> from ${Math.round(box.left)} to ${Math.round(box.right)} px: ${element.textContent.slice(0, 40)}`);
    }
    return found.length > 0 && `in ${wide} px: ${found.slice(0, 5).join('; ')}`;
  });
  // A view that is being laid out may be too wide for a moment.
  let last;
  await until('it fits', async () => !(last = await out())).catch(() => { throw new Error(`${what}: ${last}`); });
}

/** Markup with a script, and with a mark by which it is found again. */
export const markup = (mark) => `<img src=x onerror="window.hurt='${mark}'">${mark}<script>window.hurt='${mark}'</script>`;

/** The same, which also turns around what follows it, and begins with what only looks like a time. */
export const hostile = (mark) => `2026-99-99T99:99:99Z \u202e${markup(mark)}`;

/** Fails if a hostile text became an element or a script, or turns the text around it. */
export async function harmless(page, what) {
  const found = await page.evaluate(() => {
    const wrong = [];
    if (window.hurt) wrong.push(`a script ran: ${window.hurt}`);
    for (const element of document.querySelectorAll('img[src="x"], body script, [onerror], [style*="hurt"]')) wrong.push(`markup: ${element.outerHTML}`);
    for (const link of document.querySelectorAll('a[href]')) {
      if (!/^https?:$/.test(new URL(link.href, location.href).protocol)) wrong.push(`a link to ${link.href}`);
    }
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
      const text = texts.currentNode;
      if (!text.data.includes('\u202e') || !text.parentElement.checkVisibility()) continue;
      let box = text.parentElement;
      const apart = (element) => getComputedStyle(element).display !== 'inline' || /isolate|plaintext/.test(getComputedStyle(element).unicodeBidi);
      while (!apart(box)) box = box.parentElement;
      // What follows the text in the same line would be turned around with it.
      const range = document.createRange();
      range.setStart(text, text.length);
      range.setEndAfter(box.lastChild);
      const end = text.data.lastIndexOf('</script>');
      const after = (end < 0 ? '' : text.data.slice(end + 9)) + range.toString();
      if (after.replace(/[\u2069\s]/g, '') !== '') wrong.push(`"${after.trim().slice(0, 60)}" is turned around, as it follows hostile text in <${box.localName} class="${box.className}">`);
    }
    return wrong;
  });
  if (found.length > 0) throw new Error(`${what}: ${found.join('\n')}`);
}
