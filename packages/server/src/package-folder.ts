/** A file of this package, from the sources as from the bundle, which lies at another depth. */
export function packageFile(path: string): URL {
  return new URL(path, import.meta.resolve('asherah-server/package.json'))
}

/** A program of this package that another process runs: the source where this file is one, else the built one. */
export function packageProgram(name: string): URL {
  return packageFile(import.meta.url.endsWith('.ts') ? `src/${name}.ts` : `dist/${name}.js`)
}
