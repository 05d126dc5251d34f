// The soaked process: worker threads that use the library, and nothing else. See `load.ts`.
import { Worker } from 'node:worker_threads'
import type { LoadReport, LoadWord, SubjectReport, SubjectTask } from './load.ts'

process.once('message', (task: SubjectTask) => {
  void run(task)
})

async function run({ loads }: SubjectTask): Promise<void> {
  const reports: LoadReport[] = []
  const say = (word: LoadWord): void => {
    for (const worker of workers) worker.postMessage(word)
  }
  const workers = loads.map((load, index) => {
    const worker = new Worker(new URL('load-program.ts', import.meta.url), {
      workerData: load,
      // Else V8 takes what it likes, more whenever the load gets quicker, and a leak would be lost in that.
      resourceLimits: { maxYoungGenerationSizeMb: 16, maxOldGenerationSizeMb: 96 },
    })
    worker.on('message', (report: LoadReport) => {
      reports[index] = report
      if (reports.filter(({ finished }) => finished).length === loads.length) say('leave')
    })
    return worker
  })
  const tell = (): void => {
    globalThis.gc?.()
    const report: SubjectReport = { loads: reports.filter((one) => one !== undefined) }
    process.send?.(report)
  }
  const telling = setInterval(tell, 1_000)
  process.once('message', () => {
    say('end')
  })
  // A worker's error is not caught: it ends the process, and with it the soak.
  await Promise.all(workers.map((worker) => new Promise((resolve) => worker.once('exit', resolve))))
  clearInterval(telling)
  tell()
  process.disconnect?.()
}
