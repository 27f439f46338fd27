// Receives events from Sluice, with Node.js and standardwebhooks.
//
// It verifies the signature, stores the event, and responds; whatever takes longer is
// for a worker that reads the inbox. Settings, from the environment:
//
//   WEBHOOK_SECRET  the integration's signing_secret (whsec_...); required
//   PORT            on 127.0.0.1; 9000 by default
//   INBOX           the folder of the events; inbox by default

import { randomUUID } from 'node:crypto'
import { link, mkdir, open, unlink } from 'node:fs/promises'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { Webhook } from 'standardwebhooks'

const MAX_BODY = 1 << 20 // bytes; the service's own limit is 256 KiB an event, unless configured otherwise
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

const webhook = new Webhook(process.env.WEBHOOK_SECRET ?? '')
const inbox = process.env.INBOX ?? 'inbox'
await mkdir(inbox, { recursive: true })

// put adds an event; false if it was there before. Either way it is on disk.
//
// The inbox has a file per event id. Of two calls with the same event, even at the
// same time, one makes the link. In a database a unique key does the same. Keep the
// ids for as long as the service keeps events (30 days), since a replay sends them
// again.
async function put (id, body) {
  const part = join(inbox, `${randomUUID()}.part`)
  await writeToDisk(part, body)
  let added = true
  try {
    await link(part, join(inbox, `${id}.json`))
  } catch (error) {
    if (error.code !== 'EEXIST') throw error
    added = false
  } finally {
    await unlink(part)
  }
  const folder = await open(inbox)
  await folder.sync().finally(() => folder.close())
  return added
}

async function writeToDisk (path, body) {
  const file = await open(path, 'wx')
  try {
    await file.writeFile(body)
    await file.sync()
  } finally {
    await file.close()
  }
}

// check throws for an event that can never be used; put your own rules here.
function check (event) {
  if (!UUID.test(event.id)) throw new Error('the id is no UUID')
  if (event.name === 'order.created' && typeof event.payload.order_id !== 'string') {
    throw new Error('order.created needs payload.order_id, a string')
  }
}

// receive returns the status and the text of the response to one call.
async function receive (headers, body) {
  try {
    // Over the bytes as they arrived: JSON written anew has another signature.
    webhook.verify(body, headers, { jsonParse: false })
  } catch {
    return [401, 'the signature is wrong or too old']
  }
  if (headers['sluice-test'] === '1') {
    console.log('test')
    return [204]
  }
  let event
  try {
    event = JSON.parse(body)
    check(event)
  } catch (error) {
    return [400, error.message] // goes into the list of rejected events; the stream goes on
  }
  const added = await put(event.id, body)
  console.log(added ? 'stored' : 'again', event.id, event.name)
  return [204]
}

// read returns the bytes of the body; null if it has no length or is too long.
async function read (request) {
  if (!(Number(request.headers['content-length']) <= MAX_BODY)) return null
  const chunks = []
  for await (const chunk of request) chunks.push(chunk)
  return Buffer.concat(chunks)
}

async function handle (request) {
  if (request.method !== 'POST') return [405]
  const body = await read(request)
  if (!body) return [413]
  try {
    return await receive(request.headers, body)
  } catch (error) {
    console.log('the inbox failed:', error.message)
    return [503, 'try again'] // the stream waits, and nothing is lost
  }
}

const server = createServer(async (request, response) => {
  try {
    const [status, text = ''] = await handle(request)
    response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8' }).end(text)
  } catch {
    response.destroy() // the call broke off
  }
})

server.keepAliveTimeout = 60_000 // ms; the service closes its idle connections earlier

server.listen(Number(process.env.PORT ?? 9000), '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}/`)
})
