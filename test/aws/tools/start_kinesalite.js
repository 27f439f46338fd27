'use strict'
// Starts kinesalite on loopback alone, which its command cannot do, and says
// where once it listens.

// A client that goes away while it waits must not end the server for all.
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

server.keepAliveTimeout = 0 // the client decides when a connection ends

server.listen(0, '127.0.0.1', function () {
  console.log('ready http://127.0.0.1:' + server.address().port)
})
