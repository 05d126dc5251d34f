import { mysqlDialect } from './mysql-dialect.ts'
import { sqlFaults } from './sql-faults.ts'

sqlFaults(mysqlDialect)
