import { databaseWork, type RowStore } from './row-store.ts'

/** One generation of the system key, and what hangs on it. */
export interface Generation {
  /** Unix seconds. */
  readonly created: number
  readonly intermediateKeys: number
  readonly records: number
}

export interface Census {
  readonly generations: readonly Generation[]
  readonly owners: number
  readonly keyRows: number
  readonly keyBytes: number
}

// A record names its intermediate key, and that key's row its system key.
const generationsQuery = `
  WITH used AS (
    SELECT _sealed ->> '$.Key.ParentKeyMeta.KeyId' AS id, _sealed ->> '$.Key.ParentKeyMeta.Created' AS created,
      count(*) AS records
    FROM protected_row GROUP BY 1, 2
  ), intermediate AS (
    SELECT id, key_record ->> '$.Created' AS created, key_record ->> '$.ParentKeyMeta.Created' AS parent
    FROM encryption_key WHERE key_record ->> '$.ParentKeyMeta.KeyId' = :systemKeyId
  ), under AS (
    SELECT parent, count(*) AS keys, sum(coalesce(records, 0)) AS records
    FROM intermediate LEFT JOIN used USING (id, created) GROUP BY parent
  )
  SELECT key_record ->> '$.Created' AS created, coalesce(keys, 0) AS keys, coalesce(records, 0) AS records
  FROM encryption_key LEFT JOIN under ON parent = key_record ->> '$.Created'
  WHERE id = :systemKeyId ORDER BY 1`

const sizeQuery = `
  SELECT count(*) AS keyRows, sum(length(id) + length(created) + length(key_record)) AS keyBytes,
    (SELECT count(DISTINCT _owner) FROM protected_row) AS owners
  FROM encryption_key`

/** What the database tells about its keys, without opening any. @throws JobError `ERR_DATABASE` */
export function takeCensus({ path, database }: RowStore, systemKeyId: string): Census {
  const [generations, size] = databaseWork(path, () => [
    database.prepare(generationsQuery).all({ systemKeyId }),
    database.prepare(sizeQuery).get(),
  ])
  return {
    generations: generations.map(({ created, keys, records }) => ({
      created: Number(created),
      intermediateKeys: Number(keys),
      records: Number(records),
    })),
    owners: Number(size?.['owners']),
    keyRows: Number(size?.['keyRows']),
    keyBytes: Number(size?.['keyBytes']),
  }
}
