// The entry of every npm script. It runs on the host's own Node, sets up what a bare clone lacks, and starts the task
// on the Node that the development dependencies bring, which runs TypeScript directly.
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, realpathSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { delimiter, dirname, join, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isAtLeast, provideSystemTools } from './system-tools.mjs'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const modules = join(root, 'node_modules')
const devNode = join(modules, 'node', 'bin', process.platform === 'win32' ? 'node.exe' : 'node')
const [task = '', ...taskArguments] = process.argv.slice(2)

const hostNode = findHostNode()
checkNode()
const missing = provideSystemTools(task)
if (missing.length > 0) stop(missing.join('\n'))
installDependencies()
provideDevNode()
runTask()

function stop(message) {
  console.error(`setup: ${message.split('\n').join('\nsetup: ')}`)
  process.exit(1)
}

/** The user's Node. npm puts `node_modules/.bin` first into PATH, where `node` is the development one. */
function findHostNode() {
  const onPath = hostPath()
    .split(delimiter)
    .map((folder) => join(folder, process.platform === 'win32' ? 'node.exe' : 'node'))
  const candidates = [process.env.npm_node_execpath, process.execPath, ...onPath]
  return candidates.find((file) => file && existsSync(file) && !isOurs(file)) || process.execPath
}

function isOurs(file) {
  return existsSync(modules) && realpathSync(file).startsWith(realpathSync(modules) + sep)
}

function hostPath() {
  const entries = (process.env.PATH || '').split(delimiter)
  return entries.filter((folder) => !folder.startsWith(modules + sep)).join(delimiter)
}

function checkNode() {
  const version = spawnSync(hostNode, ['--version'], { encoding: 'utf8' }).stdout.trim().slice(1)
  if (!isAtLeast(version, [20, 19])) {
    stop(`Node ${version} is too old: install Node 20.19 or newer from https://nodejs.org`)
  }
}

/** `npm ci`, when there is no node_modules or the lock file is another than the one it was made from. */
function installDependencies() {
  const stamp = join(modules, '.installed-from')
  const lock = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lock) return
  console.log('setup: installing the npm dependencies')
  const result = npm(['ci', '--no-audit', '--no-fund', '--loglevel=error'], root)
  if (result.status !== 0) stop(`npm ci failed\n${withoutUsage(result.stdout + result.stderr)}`)
  writeFileSync(stamp, lock)
}

/** npm's errors carry the whole usage of the command, which hides what is wrong. */
function withoutUsage(text) {
  return text.split(/^npm error Usage:/m)[0].trimEnd()
}

function npm(args, cwd) {
  const options = { cwd, encoding: 'utf8', env: { ...process.env, PATH: hostPath() } }
  const cli = process.env.npm_execpath
  return cli?.endsWith('.js')
    ? spawnSync(hostNode, [cli, ...args], options)
    : spawnSync('npm', args, { ...options, shell: process.platform === 'win32' })
}

/** Where npm's policy blocked the install script of the package `node`, that script is run from here. */
function provideDevNode() {
  if (devNodeWorks()) return
  console.log('setup: fetching Node 24 for development')
  const result = spawnSync(hostNode, ['installArchSpecificPackage.js'], {
    cwd: join(modules, 'node'),
    encoding: 'utf8',
    env: { ...process.env, PATH: hostPath() },
  })
  if (!devNodeWorks()) {
    stop(`Node 24 could not be had from the npm package \`node\`\n${result.stdout}${result.stderr}`)
  }
}

function devNodeWorks() {
  const result = spawnSync(devNode, ['--version'], { encoding: 'utf8' })
  return result.status === 0 && isAtLeast(result.stdout.trim().slice(1), [24])
}

function runTask() {
  const child = spawn(devNode, [join(root, 'scripts', 'task.ts'), task, ...taskArguments], {
    stdio: 'inherit',
    env: { ...process.env, ASHERAH_HOST_NODE: hostNode },
  })
  // Ctrl-C reaches the whole process group; waiting lets the task clean up and keeps its exit code.
  process.on('SIGINT', () => undefined)
  process.on('SIGTERM', () => child.kill('SIGTERM'))
  child.on('exit', (code, signal) => {
    process.exitCode = code === null ? 128 + (constants.signals[signal] || 0) : code
  })
}
