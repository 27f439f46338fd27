/**
 * What the platform has set: its name, logo and colour, and the rules that sentences need.
 */

import { day } from './format.js';

export const brand = { name: 'Sluice', logo: '', tenantClaim: 'tenant', retention: 30 * day, load };

async function load() {
  try {
    const response = await fetch('./config.json', { credentials: 'omit', signal: AbortSignal.timeout(5000) });
    if (!response.ok) return;
    const told = await response.json();
    brand.name = String(told.name || brand.name);
    brand.logo = String(told.logo ?? '');
    brand.tenantClaim = String(told.tenant_claim || brand.tenantClaim);
    brand.retention = Number(told.retention_ms) || brand.retention;
    if (/^#[0-9a-f]{6}$/i.test(told.accent ?? '')) colour(told.accent);
  } catch {
    // The page works without it.
  }
}

/** Text on the accent is black or white, whichever can be read (WCAG's relative luminance).
 * @param {string} accent #rrggbb */
function colour(accent) {
  const [r, g, b] = [1, 3, 5].map((i) => {
    const c = parseInt(accent.slice(i, i + 2), 16) / 255;
    return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  });
  const luminance = 0.2126 * r + 0.7152 * g + 0.0722 * b;
  const style = document.documentElement.style;
  style.setProperty('--accent', accent);
  style.setProperty('--on-accent', luminance > 0.179 ? '#000' : '#fff');
}
