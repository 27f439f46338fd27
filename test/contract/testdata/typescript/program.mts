import createClient from "openapi-fetch";
import type { paths } from "./sluice.js";

declare const process: { argv: string[] };
const [url = "", token = ""] = process.argv.slice(2);
const api = createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${token}` } });
const base = "/api/v1/org/integrations/eventstream";

function ok<T>(call: { data?: T; error?: { message: string } }): T {
  if (call.data === undefined) throw new Error(call.error?.message);
  return call.data;
}

const published = ok(await api.POST("/api/v1/org/events", {
  body: { name: "order.created", payload: { order: 1, lines: [{ sku: "a-1", price: 19.5, gift: false, note: null }] } },
}));
console.log("published", published.events.length);
ok(await api.POST(base, {
  body: { id: "made", integration_type: "permanent", callback_parameters: { callback_url: "http://receiver.example/hooks" } },
}));
const made = ok(await api.GET(`${base}/{integration_id}`, { params: { path: { integration_id: "made" } } }));
console.log("made", made.id, made.status, made.integration_type, made.callback_parameters?.callback_url);
const health = ok(await api.GET(`${base}/{integration_id}/health`, { params: { path: { integration_id: "made" } } }));
console.log("health", health.state);
const list = ok(await api.GET(`${base}/{integration_id}/rejected_events`, { params: { path: { integration_id: "refusing" } } }));
for (const e of list.rejected_events) console.log("rejected", e.event_name, e.reason, e.status_code, e.created_at);
