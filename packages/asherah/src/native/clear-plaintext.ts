export { clearPlaintext } from './plaintexts.ts'
