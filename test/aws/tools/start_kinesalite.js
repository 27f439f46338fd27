'use strict'
// Starts kinesalite on loopback only, which its command cannot do, and prints
// its URL once it listens.

// A client that disconnects while it waits must not crash the server.
process.on('uncaughtException', function (err) {
  if (err.code === 'ECONNRESET' || err.code === 'EPIPE') return
  console.error(err.stack)
  process.exit(1)
})

const server = require('kinesalite')({
  createStreamMs: 10,
  deleteStreamMs: 10,
  updateStreamMs: 10,
  shardLimit: 10000,
})

server.keepAliveTimeout = 0 // the client closes connections

server.listen(0, '127.0.0.1', function () {
  console.log('ready http://127.0.0.1:' + server.address().port)
})
