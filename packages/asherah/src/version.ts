/** The version of this package; a test keeps it equal to `package.json`. */
export function version(): string {
  return '0.1.0'
}
