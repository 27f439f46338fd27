// The service that the browser tests play against, and what it calls: a node of the real binary on a
// free port of loopback, its API past the page, and a receiver whose responses can be switched.
import { spawn, execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

/** Limits every wait, in ms. Only a failure takes that long, or a machine that others keep busy. */
export const patience = Number(process.env.CONSOLE_PATIENCE ?? 60_000);

/** Polls until look returns something that is true, and returns that. An error counts as "not yet". */
export async function until(what, look) {
  const deadline = Date.now() + patience;
  for (;;) {
    let last;
    try {
      const seen = await look();
      if (seen) return seen;
      last = seen;
    } catch (error) {
      last = error.message;
    }
    if (Date.now() > deadline) throw new Error(`waited in vain until ${what}; the last look: ${last}`);
    await new Promise((go) => setTimeout(go, 50));
  }
}

/** Starts a node with settings, or takes the service that CONSOLE_URL and CONSOLE_TOKEN name. */
export async function startService(settings = {}) {
  if (process.env.CONSOLE_URL) {
    return { url: process.env.CONSOLE_URL, token: async () => process.env.CONSOLE_TOKEN, remove: async () => {} };
  }
  const node = new Node(await mkdtemp(path.join(tmpdir(), 'sluice-console-')), settings);
  await node.start();
  return node;
}

/** A process of the binary with a data directory of its own. */
class Node {
  constructor(folder, settings) {
    this.folder = folder;
    this.data = path.join(folder, 'data');
    this.settings = settings;
    this.address = '127.0.0.1:0';
  }

  /** Starts it, at the address that it had before, and returns when it listens. */
  async start() {
    this.process = spawn(process.env.CONSOLE_BINARY, ['serve', '--dev', '--addr', this.address, '--data', this.data], {
      env: { ...process.env, SLUICE_RETRY_MIN: '200ms', SLUICE_RETRY_MAX: '2s', ...this.settings },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.ended = new Promise((resolve) => this.process.once('exit', resolve));
    this.address = await listening(this.process.stderr);
    this.url = `http://${this.address}`;
  }

  /** Ends it as a power failure would. */
  async kill() {
    this.process.kill('SIGKILL');
    await this.ended;
  }

  async remove() {
    await this.kill();
    await rm(this.folder, { recursive: true });
  }

  /** An access token by `sluice token`: of a tenant, or of a platform if that is ''. */
  async token({ tenant = 'acme', scopes = [], ttl = '1h' } = {}) {
    const args = ['token', '--data', this.data, '--ttl', ttl, ...(tenant ? ['--tenant', tenant] : ['--any-tenant'])];
    if (scopes.length > 0) args.push('--scope', scopes.join(','));
    const { stdout } = await promisify(execFile)(process.env.CONSOLE_BINARY, args);
    return stdout.trim();
  }
}

/** Reads a node's log to its end, and returns where it listens once it does. */
function listening(stderr) {
  const lines = [];
  return new Promise((resolve, reject) => {
    const input = createInterface(stderr);
    input.on('line', (line) => {
      lines.push(line);
      const entry = line.startsWith('{') ? JSON.parse(line) : {};
      if (entry.msg === 'listening') resolve(entry.addr);
    });
    input.on('close', () => reject(new Error(`the node ended:\n${lines.join('\n')}`)));
  });
}

/** A webhook receiver. Its `answer` can be changed at any time: a status, { status, headers, body },
 * 'hang', or a function of the event and the host called that returns one of these. It is an egress
 * proxy too, which responds for every host. */
export async function startReceiver() {
  const receiver = { answer: 200, calls: [] };
  const server = createServer(async (request, response) => {
    let text = '';
    for await (const chunk of request.setEncoding('utf8')) text += chunk;
    const event = JSON.parse(text);
    const chosen = typeof receiver.answer === 'function' ? receiver.answer(event, request.headers.host) : receiver.answer;
    receiver.calls.push({ event, chosen, headers: request.headers });
    if (chosen === 'hang') return;
    const { status, headers, body } = typeof chosen === 'number' ? { status: chosen } : chosen;
    response.writeHead(status, headers).end(body);
  });
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  receiver.url = `http://127.0.0.1:${server.address().port}/hook`;
  receiver.remove = () => {
    server.closeAllConnections();
    return new Promise((closed) => server.close(closed));
  };
  return receiver;
}

const base = '/api/v1/org/integrations/eventstream';

/** Calls of the API, past the page. */
export function apiOf(service, token, headers = {}) {
  const call = async (method, where, body) => {
    const response = await fetch(service.url + where, {
      method,
      headers: { Authorization: `Bearer ${token}`, ...(body && { 'Content-Type': 'application/json' }), ...headers },
      body: body && JSON.stringify(body),
    });
    const answer = await response.json();
    if (!response.ok) throw new Error(`${method} ${where}: ${response.status} ${answer.message}`);
    return answer;
  };
  const at = (id, rest = '') => `${base}/${id}${rest}`;
  return {
    call,
    at,
    /** Returns the ids of the events. */
    publish: async (...events) => (await call('POST', '/api/v1/org/events', { events })).events.map((e) => e.id),
    register: (id, callback_url, more = {}) =>
      call('POST', base, { id, integration_type: 'permanent', callback_parameters: { callback_url }, ...more }),
    health: (id) => call('GET', at(id, '/health')),
    get: (id) => call('GET', at(id)),
    rejected: async (id) => (await call('GET', at(id, '/rejected_events'))).rejected_events,
    stop: async (id) => {
      await call('POST', at(id, '/_stop'));
      await until(`${id} is stopped`, async () => (await call('GET', at(id))).status === 'stopped');
    },
  };
}

/** An event, as a platform publishes it. */
export const event = (name = 'order.created', payload = { order: 1 }) => ({ name, payload });
