import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { prepareGrpcClients } from '../../support/servers/grpc-clients.ts'
import { findProgram, runTool, runToolWithInput } from '../../support/servers/tool.ts'

const folder = join(import.meta.dirname, '..', '..', '..', 'samples', 'sidecar')
const sample = (name: string): string => readFileSync(join(folder, name), 'utf8')

test('the unit is one that systemd takes', async (context) => {
  const own = mkdtempSync(join(tmpdir(), 'asherah-unit-'))
  context.after(() => rmSync(own, { recursive: true }))
  const unit = join(own, 'asherah-sidecar.service')
  // The accounts are made by whoever installs it.
  writeFileSync(unit, sample('asherah-sidecar.service').replaceAll(/^(User|Group)=.*$/gm, '$1=root'))
  await runTool(findProgram('systemd-analyze'), ['verify', '--man=no', unit])
  writeFileSync(
    unit,
    sample('asherah-sidecar.service').replace('Type=exec', 'Type=nonsense\nExecStart=missing'),
  )
  await assert.rejects(runTool(findProgram('systemd-analyze'), ['verify', '--man=no', unit]))
})

test('the Kubernetes manifest is YAML, and its probes ask where the sidecar listens', async () => {
  const { python } = await prepareGrpcClients()
  const script = 'import json,sys,yaml; print(json.dumps(yaml.safe_load(sys.stdin)))'
  const { spec } = JSON.parse(await runToolWithInput(python[0], ['-c', script], sample('kubernetes.yaml')))
  const [sidecar] = spec.template.spec.initContainers
  const [application] = spec.template.spec.containers
  assert.equal(sidecar.restartPolicy, 'Always')
  for (const probe of [sidecar.startupProbe, sidecar.livenessProbe]) {
    assert.ok(sidecar.args.includes(`--health-address=0.0.0.0:${probe.grpc.port}`))
  }
  const [{ mountPath }] = sidecar.volumeMounts
  const [{ value: target }] = application.env
  assert.ok(sidecar.args.includes(`--socket-file=${target.replace('unix://', '')}`))
  assert.ok(target.startsWith(`unix://${mountPath}/`))
  assert.deepEqual(application.volumeMounts, sidecar.volumeMounts)
})
