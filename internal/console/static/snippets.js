/**
 * How a receiver checks a signature (Standard Webhooks, v1), in a few lines of three languages.
 * While a secret is being changed there are two signatures, separated by a space.
 */
import { html } from './html.js';
import { copy } from './ui.js';

/** @type {[string, string][]} */
export const languages = [
  ['Python', `import base64, hashlib, hmac, time

def genuine(headers, body: bytes, secret: str) -> bool:
    sent = headers["webhook-timestamp"]
    if abs(time.time() - int(sent)) > 300:
        return False  # an old one, sent again by somebody else
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f'{headers["webhook-id"]}.{sent}.'.encode() + body
    wanted = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    given = headers["webhook-signature"].split(" ")
    return any(hmac.compare_digest("v1," + wanted, one) for one in given)
`],
  ['Node', `import { createHmac, timingSafeEqual } from 'node:crypto';

// headers have names in lower case; body is the Buffer as it came, before it is parsed.
export function genuine(headers, body, secret) {
  const sent = headers['webhook-timestamp'];
  if (!(Math.abs(Date.now() / 1000 - Number(sent)) <= 300)) return false;
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
  const hmac = createHmac('sha256', key).update(\`\${headers['webhook-id']}.\${sent}.\`).update(body);
  const wanted = Buffer.from('v1,' + hmac.digest('base64'));
  return (headers['webhook-signature'] ?? '').split(' ').map((one) => Buffer.from(one))
    .some((one) => one.length === wanted.length && timingSafeEqual(one, wanted));
}
`],
  ['Go', `// genuine reports whether a request comes from the sender that has the secret. body is
// what was read from it, before it is parsed.
func genuine(h http.Header, body []byte, secret string) bool {
	sent := h.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(sent, 10, 64)
	if err != nil || time.Since(time.Unix(seconds, 0)).Abs() > 5*time.Minute {
		return false
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		return false
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", h.Get("webhook-id"), sent, body)
	wanted := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	for given := range strings.FieldsSeq(h.Get("webhook-signature")) {
		if hmac.Equal([]byte(given), []byte(wanted)) {
			return true
		}
	}
	return false
}
`],
];

export function snippets() {
  return html`<div class="snippets">${languages.map(([name, code], i) => html`<details ?open=${i === 0}><summary>${name}</summary>
    <pre tabindex="0" role="group" aria-label="${name} code"><code>${code}</code></pre>${copy(code)}</details>`)}</div>`;
}
