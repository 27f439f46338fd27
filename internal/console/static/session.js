/**
 * The access token, and what it allows. It comes in the address (`#token=…`, where no server sees
 * it, and which is taken out of the address at once) or is pasted. It is kept for this tab only.
 */

const stored = 'sluice.token';
const storedTenant = 'sluice.tenant';

/** @typedef {{ token: string, tenant: string, scopes: string[], expires: number | null, claims: Record<string, any> }} Session */

/** @type {Session | null} */
let current = null;

/** What is kept for this tab; only in memory where the browser forbids storage, as in some frames. */
const tab = {
  /** @type {Map<string, string>} */
  memory: new Map(),
  /** @param {string} name */
  get(name) {
    try {
      return sessionStorage.getItem(name) ?? '';
    } catch {
      return this.memory.get(name) ?? '';
    }
  },
  /** Keeps a value, or forgets it if it is ''. @param {string} name @param {string} value */
  set(name, value) {
    try {
      if (value === '') sessionStorage.removeItem(name);
      else sessionStorage.setItem(name, value);
    } catch {
      this.memory.set(name, value);
    }
  },
};

/** Takes the token out of the address, or what this tab had. Call it before anything else.
 * @param {string} view the path to show if the address names none */
export function open(view = '/') {
  const given = new URLSearchParams(location.hash.replace(/^#\/?/, ''));
  const token = given.get('token');
  if (token !== null) {
    given.delete('token');
    const wanted = given.get('view') ?? view;
    history.replaceState(null, '', location.pathname + '#' + (wanted.startsWith('/') ? wanted : '/'));
    tab.set(storedTenant, '');
    use(token);
    return;
  }
  use(tab.get(stored));
}

/** Keeps a token, or forgets it if it is ''. @param {string} token */
export function use(token) {
  token = token.replace(/^\s*Bearer\s+/i, '').replace(/\s+/g, ''); // as pasted from a terminal that wraps
  tab.set(stored, token);
  if (token === '') {
    tab.set(storedTenant, '');
    current = null;
    return;
  }
  const claims = claimsOf(token);
  current = {
    token,
    claims,
    tenant: tab.get(storedTenant),
    scopes: scopesOf(claims),
    expires: typeof claims.exp === 'number' ? claims.exp * 1000 : null,
  };
}

export const session = () => current;

/** The server decides; this only says what is worth offering. @param {string} scope */
export function may(scope) {
  if (!current) return false;
  const { scopes } = current;
  return scopes.includes(scope) || (scope === 'integrations:read' && scopes.includes('integrations:write'));
}

export const mayWrite = () => may('integrations:write');
let tenantClaim = 'tenant';

/** Sets the claim that names a token's tenant. @param {string} name */
export const nameTenantClaim = (name) => (tenantClaim = name);

/** The tenant of the token itself, '' if it names none. */
export const ownTenant = () => String(current?.claims[tenantClaim] ?? '');

/** Whether the token acts for every tenant: one that names a tenant is that tenant's. */
export const isPlatform = () => may('tenants:any') && current?.claims[tenantClaim] === undefined;

/** Whether a token can be sent in a header. @param {string} token */
export const isToken = (token) => /^[\x21-\x7e]+$/.test(token.replace(/\s+/g, ''));

/** Chooses the tenant that a platform token acts for. @param {string} tenant */
export function actFor(tenant) {
  if (!current) return;
  current.tenant = tenant;
  tab.set(storedTenant, tenant);
}

/** The claims of a JWT, or none: an opaque token works too. @param {string} token @returns {Record<string, any>} */
function claimsOf(token) {
  try {
    const part = token.split('.')[1].replace(/-/g, '+').replace(/_/g, '/');
    const bytes = Uint8Array.from(atob(part), (c) => c.charCodeAt(0));
    const claims = JSON.parse(new TextDecoder().decode(bytes));
    return claims !== null && typeof claims === 'object' ? claims : {};
  } catch {
    return {};
  }
}

/** As the service reads them: `scope`, separated by spaces, or `scp`. Without either all is offered.
 * @param {Record<string, any>} claims @returns {string[]} */
function scopesOf(claims) {
  const scopes = claims.scope ?? claims.scp;
  if (typeof scopes === 'string') return scopes.split(' ').filter(Boolean);
  if (Array.isArray(scopes)) return scopes.map(String);
  return ['integrations:write'];
}
