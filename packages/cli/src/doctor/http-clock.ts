import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'

/**
 * A service's clock by the `Date` of any answer, an error included; undefined where it gives none. Answers are dated by the
 * second, so half a second is added.
 */
export function httpClock(url: string, timeoutMs: number, ca?: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const request = url.startsWith('https:') ? httpsRequest : httpRequest
    const call = request(url, {
      method: 'GET',
      timeout: timeoutMs,
      agent: false,
      ...(ca !== undefined && { ca }),
    })
    const before = Date.now()
    call.on('response', (response) => {
      response.resume()
      const date = Date.parse(response.headers.date ?? '')
      const now = (before + Date.now()) / 2
      resolve(Number.isNaN(date) ? undefined : date + 500 - now)
      call.destroy()
    })
    call.on('timeout', () => call.destroy(new Error(`no answer within ${timeoutMs} ms`)))
    call.on('error', reject)
    call.end()
  })
}
