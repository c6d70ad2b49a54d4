#!/bin/sh
# Makes or updates Temporal's two schemas. Every step may be repeated. The password comes as SQL_PASSWORD.
set -eu

sql_tool() {
  temporal-sql-tool --plugin postgres12 --ep "$POSTGRES_SEEDS" -p "$DB_PORT" -u "$POSTGRES_USER" "$@"
}

prepare() {
  database=$1
  schema=$2
  # "create" fails where the database exists; a real problem shows at the next step.
  sql_tool --db "$database" create || echo "$database exists"
  sql_tool --db "$database" setup-schema -v 0.0
  sql_tool --db "$database" update-schema -d "/etc/temporal/schema/postgresql/v12/$schema/versioned"
}

prepare "$DBNAME" temporal
prepare "$VISIBILITY_DBNAME" visibility
