import { postgresDialect } from './postgres-dialect.ts'
import { sqlFaults } from './sql-faults.ts'

sqlFaults(postgresDialect)
