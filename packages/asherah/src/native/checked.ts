import { AsherahError, type AsherahErrorCode } from '../errors.ts'
import { keyLength, miss, overdue, unwrapAuthentication } from './binding.ts'
import { loadNative } from './load.ts'

/** The data plane's faults by number: what was wrong, and what to do. */
const faults: ReadonlyMap<number, readonly [AsherahErrorCode, string]> = new Map([
  [
    -1,
    [
      'ERR_RECORD_MALFORMED',
      'This is no DataRowRecord: pass the JSON text that encrypt returned, unchanged.',
    ],
  ],
  [
    -2,
    [
      'ERR_RECORD_FOREIGN',
      'The record belongs to another partition, service or product: decrypt it with a session of the one that wrote it.',
    ],
  ],
  [
    -3,
    [
      'ERR_RECORD_DATA_AUTHENTICATION',
      "The record's Data was changed after it was encrypted, or belongs to another record: restore the original.",
    ],
  ],
  [
    -4,
    [
      'ERR_RECORD_KEY_AUTHENTICATION',
      "The record's Key was changed after it was encrypted, or was sealed under another intermediate key: restore the " +
        'original, and check that this metastore is the one it was written with.',
    ],
  ],
  [-5, ['ERR_PAYLOAD_TOO_LARGE', 'The payload is larger than 64 MiB: split it into several records.']],
  [-6, ['ERR_TEXT_NOT_UTF8', 'The record holds bytes that are no UTF-8 text: read them with decrypt.']],
  [-7, ['ERR_CLOSED', 'The session, ring or key was closed: get a new session from an open factory.']],
  [
    -8,
    [
      'ERR_MEMORY_FORKED',
      'The process was forked without exec, and its keys stayed with the parent: start a new process for this work.',
    ],
  ],
  [
    -9,
    ['ERR_MEMORY_WIPED', 'The process is ending and its keys are wiped: finish this work before the exit.'],
  ],
  [
    -10,
    [
      'ERR_MEMORY_LOCK_LIMIT',
      'Locked memory is required, and the lock limit does not allow it: raise it (`ulimit -l`, LimitMEMLOCK= of systemd, ' +
        '--ulimit memlock of a container), or lower hotSlots.',
    ],
  ],
  [
    -11,
    [
      'ERR_MEMORY_CANARY',
      'Something wrote over the edge of the memory for keys, which is not used any more: restart the process, and look ' +
        'for a native module that writes out of bounds.',
    ],
  ],
  [
    -12,
    [
      'ERR_MEMORY_EXHAUSTED',
      'Every slot of the guarded memory, or every handle, is in use: close sessions and factories, or use fewer threads.',
    ],
  ],
  [-13, ['ERR_ENTROPY', 'The operating system gave no random bytes: check that getrandom is allowed here.']],
  [-14, ['ERR_NATIVE_FAILURE', 'The data plane panicked; nothing was returned. Please report this.']],
  [-15, ['ERR_NATIVE_FAILURE', 'The cipher library failed; nothing was returned. Please report this.']],
  [
    unwrapAuthentication,
    [
      'ERR_KEY_CORRUPT',
      'A stored key does not open under its parent: its row was changed, or the master key is another.',
    ],
  ],
  [
    keyLength,
    ['ERR_KEY_CORRUPT', 'A key is not 32 bytes long, or a stored one not 60: its row was changed.'],
  ],
  [-18, ['ERR_CLOSED', 'The factory was closed: make a new one.']],
  [
    -19,
    [
      'ERR_MEMORY_EXHAUSTED',
      'The system gives no memory that can be guarded: check the limits on address space and mappings.',
    ],
  ],
  [
    -20,
    [
      'ERR_HARDENING',
      'The process could not be kept from core dumps and debuggers: that needs Linux, and a sandbox that allows prctl and ' +
        'setrlimit. Leave the option out, or limit core dumps outside (`ulimit -c 0`, LimitCORE= of systemd).',
    ],
  ],
  [
    miss,
    [
      'ERR_KEY_CONTENTION',
      'The key left the ring, or expired, before it could be used: try again; raise ringSize above the partitions in use at once.',
    ],
  ],
  [overdue, ['ERR_KEY_CONTENTION', "The key's check became overdue before it could be used: call again."]],
])

/** The answer itself when it is no fault. */
export function checked(answer: number): number {
  if (answer < 0) throw faultError(answer)
  return answer
}

/** The error for a number below 0. */
export function faultError(fault: number): AsherahError {
  const [code, message] = faults.get(fault) ?? [
    'ERR_NATIVE_FAILURE',
    `The data plane answered ${fault}. Please report this.`,
  ]
  return new AsherahError(code, code === 'ERR_MEMORY_LOCK_LIMIT' ? `${message} ${lockLimit()}` : message)
}

function lockLimit(): string {
  const { lockLimitBytes } = loadNative().memoryStatus()
  return lockLimitBytes === undefined ? 'The limit is unknown.' : `The limit is ${lockLimitBytes} bytes.`
}
