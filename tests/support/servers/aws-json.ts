/**
 * The JSON protocol of AWS services without an SDK, for setting up what a test needs. The servers of the tests take any
 * signature; the region is in it.
 */
export async function callAws<T>(place: AwsPlace, target: string, body: unknown): Promise<T> {
  const { endpoint, region, service } = place
  const scope = `${place.accessKeyId ?? 'test'}/20260101/${region}/${service}/aws4_request`
  const response = await fetch(endpoint, {
    method: 'POST',
    headers: {
      'Content-Type': service === 'dynamodb' ? 'application/x-amz-json-1.0' : 'application/x-amz-json-1.1',
      'X-Amz-Target': target,
      'X-Amz-Date': '20260101T000000Z',
      Authorization: `AWS4-HMAC-SHA256 Credential=${scope}, SignedHeaders=host;x-amz-date, Signature=0`,
    },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(30_000),
  })
  const text = await response.text()
  if (!response.ok) throw new AwsRefusal(target, response.status, text)
  return JSON.parse(text) as T
}

export interface AwsPlace {
  readonly endpoint: string
  readonly region: string
  readonly service: 'dynamodb' | 'kms' | 'secretsmanager'
  /** `test` by default. */
  readonly accessKeyId?: string
}

/** What a service answered instead of a result. */
export class AwsRefusal extends Error {
  override readonly name = 'AwsRefusal'
  readonly status: number
  /** The exception's name, as `ConditionalCheckFailedException`. */
  readonly type: string

  constructor(target: string, status: number, body: string) {
    super(`${target} was refused with ${status}: ${body}`)
    this.status = status
    this.type = /"__type"\s*:\s*"(?:[^"#]*#)?([^"]+)"/.exec(body)?.[1] ?? ''
  }
}
