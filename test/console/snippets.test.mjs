// The code that the page offers to receivers takes a delivery that the service has signed, and
// nothing else.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { apiOf, event, startService, until } from './service.mjs';

globalThis.location = new URL('http://127.0.0.1/'); // a module of the page looks at it
const { languages } = await import('../../internal/console/static/snippets.js');

const secret = 'whsec_' + Buffer.alloc(32, 7).toString('base64');
let service, server, folder;
const received = [];

before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'sluice-snippets-'));
  server = createServer(async (request, response) => {
    const parts = [];
    for await (const part of request) parts.push(part);
    received.push({ headers: request.headers, body: Buffer.concat(parts).toString() });
    response.end();
  });
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  service = await startService();
  const api = apiOf(service, await service.token());
  await api.register('shop', `http://127.0.0.1:${server.address().port}/`, {
    callback_parameters: { callback_url: `http://127.0.0.1:${server.address().port}/`, signing_secret: secret },
  });
  await api.publish(event('order.created', { note: 'größer than "this" \\ & é' }));
  await until('a delivery is there', () => received.length > 0);
});

after(async () => {
  await service.remove();
  server.closeAllConnections();
  await new Promise((closed) => server.close(closed));
  await rm(folder, { recursive: true });
});

// How the code of each language is made a program that reads a case and prints what it says of it.
const programs = {
  Python: { file: 'check.py', run: ['python3'], wrap: (code) => `${code}
import json, sys
case = json.load(open(sys.argv[1]))
print(str(genuine(case["headers"], case["body"].encode(), case["secret"])).lower())` },
  Node: { file: 'check.mjs', run: [process.execPath], wrap: (code) => `${code}
import { readFileSync } from 'node:fs';
const given = JSON.parse(readFileSync(process.argv[2], 'utf8'));
console.log(genuine(given.headers, Buffer.from(given.body), given.secret));` },
  Go: { file: 'check.go', run: ['go', 'run'], wrap: (code) => `package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

${code}
func main() {
	var given struct {
		Headers      map[string]string
		Body, Secret string
	}
	data, _ := os.ReadFile(os.Args[1])
	if err := json.Unmarshal(data, &given); err != nil {
		panic(err)
	}
	headers := http.Header{}
	for name, value := range given.Headers {
		headers.Set(name, value)
	}
	fmt.Println(genuine(headers, []byte(given.Body), given.Secret))
}` },
};

for (const [language, code] of languages) {
  test(`the code in ${language} tells a genuine delivery from others`, async () => {
    const program = programs[language];
    const file = path.join(folder, program.file);
    await writeFile(file, program.wrap(code));
    const [{ headers, body }] = received;
    const other = 'whsec_' + Buffer.alloc(32, 8).toString('base64');
    const cases = {
      genuine: [true, { headers, body, secret }],
      'while the secret changes': [true, { headers: { ...headers, 'webhook-signature': `v1,${'A'.repeat(43)}= ${headers['webhook-signature']}` }, body, secret }],
      'another secret': [false, { headers, body, secret: other }],
      'another body': [false, { headers, body: body.replace('order', 'ordre'), secret }],
      'another id': [false, { headers: { ...headers, 'webhook-id': '0' }, body, secret }],
      'sent again later': [false, { headers: { ...headers, 'webhook-timestamp': '1600000000' }, body, secret }],
      'an empty signature': [false, { headers: { ...headers, 'webhook-signature': '' }, body, secret }],
    };
    for (const [name, [wanted, given]] of Object.entries(cases)) {
      const at = path.join(folder, 'case.json');
      await writeFile(at, JSON.stringify(given));
      const [command, ...args] = program.run;
      const { stdout } = await promisify(execFile)(command, [...args, file, at]);
      assert.equal(stdout.trim(), String(wanted), name);
    }
  });
}
