// One side of PouchDB over HTTP on leveldb: "serve FOLDER RECORDS" fills a database and
// serves it, compressed; "take FOLDER URL" replicates it into an empty one.
// Each prints one line of JSON: where it listens, or what it took.
const fs = require('fs')
const path = require('path')
const PouchDB = require('pouchdb')

async function serve (folder, records) {
  const db = new PouchDB('people') // in the folder it was started in
  let some = []
  let n = 0
  for (const line of fs.readFileSync(records, 'utf8').split('\n')) {
    if (line) {
      const doc = JSON.parse(line)
      doc._id = doc.id
      delete doc.id
      some.push(doc)
      n++
    }
    if (some.length === 1000 || (!line && some.length)) {
      for (const r of await db.bulkDocs(some)) if (r.error) throw r
      some = []
    }
  }
  const app = require('express')()
  app.use(require('compression')())
  app.use('/', require('express-pouchdb')(PouchDB, { mode: 'minimumForPouchDB', inMemoryConfig: true, logPath: path.join(folder, 'log.txt') }))
  const server = app.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port, records: n })))
}

async function take (folder, url) {
  const db = new PouchDB(path.join(folder, 'people'))
  const before = process.cpuUsage()
  const began = Date.now()
  await PouchDB.replicate(url, db, { batch_size: 500, batches_limit: 10 })
  const seconds = (Date.now() - began) / 1000
  const cpu = process.cpuUsage(before)
  const info = await db.info()
  console.log(JSON.stringify({ records: info.doc_count, seconds, cpu: (cpu.user + cpu.system) / 1e6 }))
  process.exit(0)
}

const [what, a, b] = process.argv.slice(2)
;({ serve, take })[what](a, b).catch(err => { console.error(err); process.exit(1) })
