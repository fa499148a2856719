// One side of hypercore 10: "serve FOLDER RECORDS" appends the records to a log and serves
// it over Noise on TCP; "take FOLDER HOST PORT KEY LENGTH" replicates it into an empty one.
// Each prints one line of JSON: where it listens, or what it took.
const fs = require('fs')
const net = require('net')
const Hypercore = require('hypercore')

async function serve (folder, records) {
  const core = new Hypercore(folder)
  await core.ready()
  const lines = fs.readFileSync(records, 'utf8').split('\n').filter(Boolean)
  for (let i = 0; i < lines.length; i += 1000) await core.append(lines.slice(i, i + 1000).map(l => Buffer.from(l)))
  const server = net.createServer(socket => {
    const stream = core.replicate(false)
    stream.on('error', () => {})
    socket.on('error', () => {})
    socket.pipe(stream).pipe(socket)
  })
  server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port, key: core.key.toString('hex'), records: core.length })))
}

async function take (folder, host, port, key, length) {
  const core = new Hypercore(folder, Buffer.from(key, 'hex'))
  await core.ready()
  const before = process.cpuUsage()
  const began = Date.now()
  const socket = net.connect(Number(port), host)
  const stream = core.replicate(true)
  stream.on('error', err => { console.error(err); process.exit(1) })
  socket.pipe(stream).pipe(socket)
  await core.download({ start: 0, end: Number(length) }).done()
  const seconds = (Date.now() - began) / 1000
  const cpu = process.cpuUsage(before)
  console.log(JSON.stringify({ records: core.contiguousLength, seconds, cpu: (cpu.user + cpu.system) / 1e6 }))
  process.exit(0)
}

const [what, ...rest] = process.argv.slice(2)
;({ serve, take })[what](...rest).catch(err => { console.error(err); process.exit(1) })
