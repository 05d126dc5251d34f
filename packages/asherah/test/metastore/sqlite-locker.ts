// A process of its own that holds the write lock of an SQLite file: it says "locked", and lets go after so many milliseconds.
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'

const [path = '', ms = '0'] = process.argv.slice(2)
const database = new DatabaseSync(path)
database.exec('PRAGMA busy_timeout = 5000; BEGIN IMMEDIATE')
process.stdout.write('locked\n')
await sleep(Number(ms))
database.exec('COMMIT')
database.close()
