/** The longest key id that a record may name, here as in the Rust peer (contract section 2.6). */
const recordLimitBytes = 4096

/** Why a store of this kind cannot hold the id, or undefined when it can. */
export function unstorableReason(metastoreKind: string, keyId: string): string | undefined {
  const bytes = Buffer.byteLength(keyId)
  if (bytes > recordLimitBytes) return `it has ${bytes} bytes, and a record may name ${recordLimitBytes}`
  switch (metastoreKind) {
    case 'rdbms':
      // VARCHAR(255) of contract section 4.2 counts characters; Postgres text cannot hold NUL.
      if (bytes > 255 && [...keyId].length > 255)
        return `it has ${[...keyId].length} characters, and the column holds 255`
      return keyId.includes('\0') ? 'it has a NUL character' : undefined
    case 'dynamodb':
      return bytes > 2048 ? `it has ${bytes} bytes, and a DynamoDB hash key holds 2048` : undefined
    default:
      return undefined
  }
}
