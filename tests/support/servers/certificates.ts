import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { runTool } from './tool.ts'

/** The PEM files of a certificate and its key. */
export interface CertificatePair {
  readonly certificate: string
  readonly key: string
}

/** What the servers of one test run are certified with; every member names a PEM file. */
export interface Certificates {
  /** The authority's certificate. */
  readonly authority: string
  /** For localhost and 127.0.0.1. */
  readonly server: CertificatePair
  /** As `server`, but out of date since yesterday. */
  readonly expired: CertificatePair
  /** By the same authority, for the name elsewhere.invalid only. */
  readonly otherHost: CertificatePair
  /** For localhost and 127.0.0.1, by an authority that nobody trusts. */
  readonly untrusted: CertificatePair
  readonly untrustedAuthority: string
  /** A client's, with the common name asherah-client. */
  readonly client: CertificatePair
}

/** Which certificate a server shows. */
export type CertificateKind = 'server' | 'expired' | 'otherHost' | 'untrusted'

const local = 'subjectAltName=DNS:localhost,IP:127.0.0.1'
const day = 86_400_000

/** Makes an authority and its certificates in `folder` with the openssl command (measured: 0.2 s). */
export async function createCertificates(folder: string): Promise<Certificates> {
  mkdirSync(folder, { recursive: true })
  const [authority, stranger] = await Promise.all([
    createAuthority(folder, 'authority'),
    createAuthority(folder, 'stranger'),
  ])
  const [server, expired, otherHost, untrusted, client] = await Promise.all([
    issue(folder, authority, { name: 'server', subject: 'localhost', extension: local }),
    issue(folder, authority, {
      name: 'expired',
      subject: 'localhost',
      extension: local,
      from: new Date(Date.now() - 30 * day),
      until: new Date(Date.now() - day),
    }),
    issue(folder, authority, {
      name: 'other-host',
      subject: 'elsewhere.invalid',
      extension: 'subjectAltName=DNS:elsewhere.invalid',
    }),
    issue(folder, stranger, { name: 'untrusted', subject: 'localhost', extension: local }),
    issue(folder, authority, {
      name: 'client',
      subject: 'asherah-client',
      extension: 'extendedKeyUsage=clientAuth\nsubjectAltName=DNS:asherah-client',
    }),
  ])
  return {
    authority: authority.certificate,
    server,
    expired,
    otherHost,
    untrusted,
    untrustedAuthority: stranger.certificate,
    client,
  }
}

async function createAuthority(folder: string, name: string): Promise<CertificatePair> {
  const pair = files(folder, name)
  await createKey(pair.key)
  await runTool('openssl', [
    ...['req', '-x509', '-new', '-key', pair.key, '-out', pair.certificate, '-days', '2'],
    ...['-subj', `/CN=asherah test ${name}`],
    ...['-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign,cRLSign'],
  ])
  return pair
}

interface Subject {
  readonly name: string
  readonly subject: string
  readonly extension: string
  readonly from?: Date
  readonly until?: Date
}

/** `openssl ca` is the only command of OpenSSL 3.0 that takes both ends of the validity; each has a database of its own. */
async function issue(folder: string, authority: CertificatePair, request: Subject): Promise<CertificatePair> {
  const {
    name,
    subject,
    extension,
    from = new Date(Date.now() - day),
    until = new Date(Date.now() + 2 * day),
  } = request
  const pair = files(folder, name)
  const own = join(folder, `${name}.ca`)
  mkdirSync(own)
  writeFileSync(join(own, 'index.txt'), '')
  const settings = join(own, 'settings.cnf')
  writeFileSync(
    settings,
    [
      '[ca]\ndefault_ca=own\n[own]',
      `dir=${own}\nnew_certs_dir=${own}\ndatabase=${own}/index.txt\nrand_serial=yes`,
      'default_md=sha256\npolicy=any\nunique_subject=no\nx509_extensions=extensions',
      '[any]\ncommonName=supplied\n[extensions]\nbasicConstraints=critical,CA:FALSE',
      `${extension}\n`,
    ].join('\n'),
  )
  await createKey(pair.key)
  const csr = join(own, 'request.pem')
  await runTool('openssl', ['req', '-new', '-key', pair.key, '-out', csr, '-subj', `/CN=${subject}`])
  await runTool('openssl', [
    ...['ca', '-batch', '-notext', '-config', settings, '-in', csr, '-out', pair.certificate],
    ...['-cert', authority.certificate, '-keyfile', authority.key],
    ...['-startdate', asn1Time(from), '-enddate', asn1Time(until)],
  ])
  return pair
}

async function createKey(file: string): Promise<void> {
  // P-256: every client of the tests knows it, and a key costs 5 ms instead of RSA's 100.
  await runTool('openssl', [
    'genpkey',
    '-algorithm',
    'EC',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-out',
    file,
  ])
  chmodSync(file, 0o600)
}

function files(folder: string, name: string): CertificatePair {
  return { certificate: join(folder, `${name}.pem`), key: join(folder, `${name}-key.pem`) }
}

/** `YYYYMMDDHHMMSSZ` (RFC 5280, section 4.1.2.5.2). */
function asn1Time(time: Date): string {
  return `${time.toISOString().replaceAll(/[-:T]|\.\d+/g, '')}`
}
