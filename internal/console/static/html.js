/**
 * Templates. `html` makes nodes from a template literal, and is the only place that parses markup:
 * it parses the literal's own text, once. A value becomes text, an attribute or a property, never
 * markup, so nothing that came from the API can become an element or a script.
 *
 * In an attribute's place a value is set by the attribute's name:
 *   class=${text}      the attribute, in lower case; null, undefined and false leave it out
 *   ?disabled=${bool}  an attribute without a value
 *   .value=${any}      a property of the element, in lower case
 *   @click=${function} a listener
 *
 * `render` changes what is shown as little as needed, so that focus, selection and scroll position
 * survive a refresh. Elements with a data-key are recognized by it. What is below data-keep is left
 * alone once it is there, and so is an element with data-own, which something else has put there,
 * and aria-busy.
 */

/** @typedef {(event: any) => void} Listener */
/** @typedef {Node | string | number | boolean | null | undefined | Iterable<any>} Content */

/** @type {WeakMap<TemplateStringsArray, HTMLTemplateElement>} */
const templates = new WeakMap();
/** @type {WeakMap<Node, Map<string, Listener>>} */
const listeners = new WeakMap();
/** @type {WeakMap<Node, Map<string, any>>} */
const properties = new WeakMap();

/** With Trusted Types the browser itself lets nothing else be parsed. */
const policy = /** @type {any} */ (globalThis).trustedTypes?.createPolicy('sluice', { createHTML: (/** @type {string} */ text) => text })
  ?? { createHTML: (/** @type {string} */ text) => text };

const place = /\{\{(\d+)\}\}/;
const places = /\{\{(\d+)\}\}/g;

/**
 * @param {TemplateStringsArray} strings
 * @param {...any} values
 * @returns {DocumentFragment}
 */
export function html(strings, ...values) {
  let template = templates.get(strings);
  if (!template) {
    template = document.createElement('template');
    template.innerHTML = policy.createHTML(markup(strings));
    templates.set(strings, template);
  }
  const made = document.importNode(template.content, true);
  const walker = document.createTreeWalker(made, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_COMMENT);
  /** @type {[Comment, any][]} */
  const holes = [];
  while (walker.nextNode()) {
    const node = walker.currentNode;
    if (node instanceof Element) setAttributes(node, values);
    else if (node instanceof Comment && place.test(node.data)) {
      holes.push([node, values[Number(node.data.match(place)?.[1])]]);
    }
  }
  for (const [hole, value] of holes) hole.replaceWith(...nodes(value));
  return made;
}

/**
 * Joins the literal's parts, with a mark for each value: a comment, or plain text in an attribute,
 * whose name gets a colon so that the browser makes nothing of the mark.
 * @param {TemplateStringsArray} strings
 */
function markup(strings) {
  let all = strings[0];
  for (let i = 1; i < strings.length; i++) {
    const inTag = all.lastIndexOf('<') > all.lastIndexOf('>');
    if (inTag) all = all.replace(/\s([a-z][a-z0-9-]*)=("[^"]*)?$/i, ' :$1=$2') + `{{${i - 1}}}`;
    else all += `<!--{{${i - 1}}}-->`;
    all += strings[i];
  }
  return all.replace(/^\s*\n\s*|\s*\n\s*$/g, '');
}

/** @param {Content} value @returns {Node[]} */
function nodes(value) {
  if (value === null || value === undefined || value === false || value === true || value === '') return [];
  if (value instanceof Node) return [value];
  if (typeof value === 'object') return [...value].flatMap(nodes);
  return [document.createTextNode(String(value))];
}

/** @param {Element} element @param {any[]} values */
function setAttributes(element, values) {
  for (const { name, value: text } of [...element.attributes]) {
    const whole = text.match(/^\{\{(\d+)\}\}$/);
    const value = whole ? values[Number(whole[1])] : text.replace(places, (_, i) => values[Number(i)] ?? '');
    switch (name[0]) {
      case '@':
        element.removeAttribute(name);
        listen(element, name.slice(1), value);
        break;
      case '.':
        element.removeAttribute(name);
        setProperty(element, name.slice(1), value);
        break;
      case '?':
        element.removeAttribute(name);
        element.toggleAttribute(name.slice(1), Boolean(value));
        break;
      case ':':
        element.removeAttribute(name);
        if (value === null || value === undefined || value === false || !safe(name.slice(1), value)) break;
        element.setAttribute(name.slice(1), String(value));
    }
  }
}

/** A link or a picture has an address on the web or on this page: no script.
 * @param {string} name @param {any} value */
function safe(name, value) {
  return (name !== 'href' && name !== 'src') || /^(https?:\/\/|#|\.?\/(?!\/))/.test(String(value));
}

/** @param {Element} element @param {string} type @param {Listener} listener */
function listen(element, type, listener) {
  const all = listeners.get(element) ?? new Map();
  if (!all.has(type)) element.addEventListener(type, dispatch);
  listeners.set(element, all.set(type, listener));
}

/** @this {Element} @param {Event} event */
function dispatch(event) {
  listeners.get(this)?.get(event.type)?.call(this, event);
}

/** @param {Element} element @param {string} name @param {any} value */
function setProperty(element, name, value) {
  properties.set(element, (properties.get(element) ?? new Map()).set(name, value));
  /** @type {any} */ (element)[name] = value ?? '';
}

/** Shows content in an element, in place of what it shows.
 * @param {Element} into @param {Content} content */
export function render(into, content) {
  const next = document.createDocumentFragment();
  next.append(...nodes(content));
  const back = into.contains(document.activeElement) ? placeOf(document.activeElement) : null;
  updateChildren(into, next);
  back?.();
}

const harmless = 'a[href], input:not(:disabled), select:not(:disabled), textarea:not(:disabled)';
const focusable = `${harmless}, button:not(:disabled)`;

/** Remembers where the focus is. The function returned gives it back if it was lost: to the element, or if that is
 * gone, to the first in the nearest of its surroundings that is still there: to a button only where this became another
 * one, or an Enter too many would do what was not meant; and else to the view.
 * @param {Element | null} element */
export function placeOf(element) {
  /** @type {Element[]} */
  const around = [];
  for (let up = element; up && up !== document.body; up = up.parentElement) around.push(up);
  return () => {
    if (document.activeElement && document.activeElement !== document.body) return;
    const left = around.find((one) => one.isConnected);
    const next = left === element ? left : left?.querySelector(left.matches('.buttons') ? focusable : harmless);
    const main = document.querySelector('main');
    if (next instanceof HTMLElement) next.focus({ preventScroll: true });
    else main?.focus({ preventScroll: true });
  };
}

/** Whether a node was put where it is by what it belongs to, and not by render.
 * @param {Node} node */
const isOwn = (node) => node instanceof Element && node.hasAttribute('data-own');

/** @param {Node} node */
const keyOf = (node) => (node instanceof Element ? node.getAttribute('data-key') : null);

/** @param {Node} parent @param {Node} next */
function updateChildren(parent, next) {
  const wantedKeys = new Set([...next.childNodes].map(keyOf));
  const keyed = new Map([...parent.childNodes].map((node) => [keyOf(node), node]));
  let old = parent.firstChild;
  for (const wanted of [...next.childNodes]) {
    // A node that is moved loses the focus; those that stay are not moved when others go.
    while (old && keyOf(old) !== null && !wantedKeys.has(keyOf(old)) && !isOwn(old)) {
      const gone = old;
      old = old.nextSibling;
      parent.removeChild(gone);
    }
    const key = keyOf(wanted);
    const found = key === null ? old : keyed.get(key);
    if (key !== null) keyed.delete(key); // one that comes twice is two nodes
    if (!found || !alike(found, wanted)) {
      parent.insertBefore(wanted, old);
      continue;
    }
    if (found === old) old = old.nextSibling;
    else parent.insertBefore(found, old);
    update(found, wanted);
  }
  while (old) {
    const gone = old;
    old = old.nextSibling;
    if (!isOwn(gone)) parent.removeChild(gone);
  }
}

/** @param {Node} a @param {Node} b */
function alike(a, b) {
  return a.nodeType === b.nodeType && a.nodeName === b.nodeName && keyOf(a) === keyOf(b);
}

/** @param {Node} node @param {Node} wanted */
function update(node, wanted) {
  if (!(node instanceof Element && wanted instanceof Element)) {
    if (node.nodeValue !== wanted.nodeValue) node.nodeValue = wanted.nodeValue;
    return;
  }
  if (node.hasAttribute('data-keep')) return;
  updateAttributes(node, wanted);
  listeners.get(node)?.forEach((_, type, all) => listeners.get(wanted)?.has(type) || all.set(type, () => {}));
  listeners.get(wanted)?.forEach((listener, type) => listen(node, type, listener));
  properties.get(wanted)?.forEach((value, name) => {
    if (properties.get(node)?.get(name) !== value) setProperty(node, name, value);
  });
  updateChildren(node, wanted);
}

/** What the reader has opened stays open.
 * @param {Element} node */
const isOpened = (node) => node instanceof HTMLDetailsElement || node instanceof HTMLDialogElement;

/** @param {Element} node @param {Element} wanted */
function updateAttributes(node, wanted) {
  for (const { name, value } of wanted.attributes) {
    if (node.getAttribute(name) !== value) node.setAttribute(name, value);
  }
  for (const { name } of [...node.attributes]) {
    if (!wanted.hasAttribute(name) && name !== 'aria-busy' && !(name === 'open' && isOpened(node))) node.removeAttribute(name);
  }
}
