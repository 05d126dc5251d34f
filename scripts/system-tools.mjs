// Runs on any Node from 14 up: the version check itself lives behind this file's import.
import { spawnSync } from 'node:child_process'

/**
 * Everything the scripts need from the system, in one table. A tool is missing when its probe does not run or does
 * not report at least `atLeast`. Where `apt` names packages, a root user on a Debian-like system gets them installed;
 * everybody else reads `hint`.
 *
 * @typedef {object} SystemTool
 * @property {string} name what the message calls it
 * @property {readonly string[]} probe command that must exit with 0
 * @property {readonly number[]} [atLeast] smallest version, compared with the first number the probe prints
 * @property {readonly string[]} [apt] Debian packages that bring it
 * @property {string} hint what to do where it cannot be installed from here
 * @property {readonly string[]} [tasks] the tasks that need it; without it, all do
 */

/** The tasks that start servers. */
const serverTasks = ['test', 'test:integration', 'soak']

/** @type {readonly SystemTool[]} */
export const systemTools = [
  {
    name: 'cargo (Rust 1.89 or newer)',
    probe: ['cargo', '--version'],
    atLeast: [1, 89],
    hint: 'install Rust from https://rustup.rs, or run `rustup update stable`',
  },
  {
    name: 'a C compiler (the cipher library is C and assembly)',
    probe: [process.env.CC || 'cc', '--version'],
    apt: ['build-essential'],
    hint: 'install gcc or clang, for instance with `sudo apt-get install build-essential` or `xcode-select --install`',
  },
  {
    name: 'rustfmt',
    probe: ['cargo', 'fmt', '--version'],
    hint: 'run `rustup component add rustfmt`',
    tasks: ['test', 'test:lint', 'test:fast', 'lint', 'format'],
  },
  {
    name: 'clippy',
    probe: ['cargo', 'clippy', '--version'],
    hint: 'run `rustup component add clippy`',
    tasks: ['test', 'test:lint', 'test:fast', 'lint'],
  },
  {
    name: 'git',
    probe: ['git', '--version'],
    apt: ['git'],
    hint: 'install git, for instance with `sudo apt-get install git`',
    tasks: ['test', 'test:unit', 'test:fast', 'test:lint', 'lint', 'format'],
  },
  {
    name: 'gdb, for core files',
    probe: ['gdb', '--version'],
    apt: ['gdb'],
    hint: 'install gdb, for instance with `sudo apt-get install gdb`',
    tasks: ['test', 'test:unit', 'test:fast'],
  },
  {
    name: 'PostgreSQL 15 or newer, its server',
    // Debian keeps the server's programs out of PATH.
    probe: shell('PATH="$PATH:$(echo /usr/lib/postgresql/*/bin | tr " " :)"; postgres --version'),
    atLeast: [15],
    apt: ['postgresql-15'],
    hint: 'install it, for instance with `sudo apt-get install postgresql-15` or `brew install postgresql@15`',
    tasks: serverTasks,
  },
  {
    name: 'MariaDB, its server',
    probe: shell(
      'PATH="$PATH:/usr/sbin"; mariadbd --version && mariadb --version && command -v mariadb-install-db',
    ),
    apt: ['mariadb-server', 'mariadb-client'],
    hint: 'install it, for instance with `sudo apt-get install mariadb-server` or `brew install mariadb`',
    tasks: serverTasks,
  },
  {
    name: 'a Java development kit, 17 or newer (DynamoDB Local and the Java peer run on it)',
    probe: ['javac', '-version'],
    atLeast: [17],
    apt: ['openjdk-17-jdk-headless'],
    hint: 'install it, for instance with `sudo apt-get install openjdk-17-jdk-headless`',
    tasks: serverTasks,
  },
  {
    name: 'Maven (it brings DynamoDB Local and the Java peer)',
    probe: ['mvn', '--version'],
    apt: ['maven'],
    hint: 'install it, for instance with `sudo apt-get install maven`',
    tasks: serverTasks,
  },
  {
    name: 'Python 3.10 or newer with venv (moto and the Rust peer run on it)',
    probe: shell('python3 -c "import ensurepip, venv" && python3 --version'),
    atLeast: [3, 10],
    apt: ['python3', 'python3-venv'],
    hint: 'install it, for instance with `sudo apt-get install python3-venv`',
    tasks: serverTasks,
  },
  {
    name: 'Go 1.24 or newer (clients of the sidecar are built with it)',
    probe: shell('PATH="$PATH:/usr/local/go/bin"; go version'),
    atLeast: [1, 24],
    hint: 'install it from https://go.dev/dl',
    tasks: serverTasks,
  },
  {
    name: 'systemd-analyze (it checks the sample unit)',
    probe: ['systemd-analyze', '--version'],
    apt: ['systemd'],
    hint: 'install systemd, for instance with `sudo apt-get install systemd`',
    tasks: serverTasks,
  },
  {
    name: 'valgrind (it counts instructions)',
    probe: ['valgrind', '--version'],
    apt: ['valgrind'],
    hint: 'install it, for instance with `sudo apt-get install valgrind`',
    tasks: ['test', 'test:instructions'],
  },
  {
    name: 'openssl (the command)',
    probe: ['openssl', 'version'],
    apt: ['openssl'],
    hint: 'install it, for instance with `sudo apt-get install openssl`',
    tasks: serverTasks,
  },
  {
    name: 'the time zones of the system',
    probe: ['test', '-e', '/usr/share/zoneinfo/America/New_York'],
    apt: ['tzdata'],
    hint: 'install them, for instance with `sudo apt-get install tzdata`',
    tasks: serverTasks,
  },
]

function shell(script) {
  return ['sh', '-c', script]
}

/** Installs what can be installed and returns one line for each tool that is still missing. */
export function provideSystemTools(task) {
  const needed = systemTools.filter((tool) => tool.tasks === undefined || tool.tasks.includes(task))
  const missing = needed.filter((tool) => !present(tool))
  const packages = [...new Set(missing.flatMap((tool) => tool.apt || []))]
  if (packages.length > 0 && canInstall()) {
    console.log(`setup: installing ${packages.join(', ')}`)
    apt(['update', '-qq'])
    apt(['install', '-y', '-qq', '--no-install-recommends', ...packages])
  }
  const absent = missing.filter((tool) => !present(tool))
  // Without cargo its components are missing too: one line is enough. A shell is never what is missing.
  const first = absent.filter(
    (tool, at) =>
      tool.probe[0] === 'sh' || absent.findIndex(({ probe }) => probe[0] === tool.probe[0]) === at,
  )
  return first.map((tool) => `${tool.name} is missing: ${tool.hint}`)
}

function present(tool) {
  const result = spawnSync(tool.probe[0], tool.probe.slice(1), { encoding: 'utf8', timeout: 60_000 })
  if (result.status !== 0) return false
  if (tool.atLeast === undefined) return true
  const found = /\d+(\.\d+)+/.exec(result.stdout)
  return found !== null && isAtLeast(found[0], tool.atLeast)
}

/** Whether a dotted version is the given one or newer. */
export function isAtLeast(version, smallest) {
  const parts = version.split('.').map(Number)
  for (const [position, wanted] of smallest.entries()) {
    const part = parts[position] || 0
    if (part !== wanted) return part > wanted
  }
  return true
}

function canInstall() {
  return (
    process.getuid !== undefined && process.getuid() === 0 && spawnSync('apt-get', ['--version']).status === 0
  )
}

function apt(args) {
  const result = spawnSync('apt-get', args, {
    encoding: 'utf8',
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  })
  if (result.status !== 0) console.error(`setup: apt-get ${args[0]} failed\n${result.stdout}${result.stderr}`)
}
