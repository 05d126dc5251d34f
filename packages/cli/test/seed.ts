// Seals 'secret of PARTITION' for each partition named, and writes the record to PARTITION.json.
import { readFileSync, writeFileSync } from 'node:fs'
import { SessionFactory } from 'asherah'

const factory = new SessionFactory(JSON.parse(readFileSync('asherah.json', 'utf8')))
for (const partition of process.argv.slice(2)) {
  writeFileSync(`${partition}.json`, factory.getSession(partition).encryptString(`secret of ${partition}`))
}
factory.close()
