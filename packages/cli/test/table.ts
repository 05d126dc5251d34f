// `table make PARTITION…` makes the table `orders` in keys.db, with two rows for each partition, whose records were sealed a
// hundred days ago; they are unique by id, and by owner and id together. `table show` prints each row's text and the age of its key. `table spoil` leaves one row without a record
// and one without a partition.
import { readFileSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { SessionFactory } from 'asherah'

const [what, ...partitions] = process.argv.slice(2)
const config = JSON.parse(readFileSync('asherah.json', 'utf8'))
const now = Date.now()
const longAgo = { now: () => now - 100 * 86_400_000, monotonic: () => performance.now() }
const factory = new SessionFactory(what === 'make' ? { ...config, clock: longAgo } : config)
const database = new DatabaseSync('keys.db')
if (what === 'make') {
  database.exec('CREATE TABLE orders (id INTEGER PRIMARY KEY, owner TEXT, card TEXT, note TEXT)')
  database.exec('CREATE UNIQUE INDEX orders_by_owner ON orders (owner, id)')
  const insert = database.prepare('INSERT INTO orders (owner, card, note) VALUES (?, ?, ?)')
  for (const owner of partitions) {
    const session = factory.getSession(owner)
    for (const order of [1, 2]) {
      const note = order === 1 ? session.encryptString(`note of ${owner}`) : null
      insert.run(owner, session.encryptString(`card ${order} of ${owner}`), note)
    }
  }
} else if (what === 'spoil') {
  database.exec("UPDATE orders SET card = '4111' WHERE id = 1; UPDATE orders SET owner = '' WHERE id = 2")
} else {
  for (const { id, owner, card } of database.prepare('SELECT * FROM orders ORDER BY id').all()) {
    const text = factory.getSession(String(owner)).decryptString(String(card))
    const { Created: created } = JSON.parse(String(card)).Key.ParentKeyMeta
    const age = Date.now() / 1000 - created
    process.stdout.write(`${id} ${owner} ${text}: ${age > 86_400 ? 'old' : 'new'} key\n`)
  }
}
database.close()
factory.close()
