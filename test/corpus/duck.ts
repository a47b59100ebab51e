/** DuckDB as the oracle of the corpus tests. */
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';

/** An in-memory database. */
export async function openDuck(): Promise<DuckDBConnection> {
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' });
  return instance.connect();
}

/** Rows of a query as JSON-able objects. */
export async function query(
  duck: DuckDBConnection,
  sql: string,
): Promise<Record<string, unknown>[]> {
  const reader = await duck.runAndReadAll(sql);
  return reader.getRowObjectsJson() as Record<string, unknown>[];
}

/** Rows of one file that are not in the other, both ways, counted with their multiplicity. */
export async function differences(
  duck: DuckDBConnection,
  left: string,
  right: string,
): Promise<number> {
  const sql = (a: string, b: string) =>
    `SELECT count(*)::INT AS n FROM (FROM ${a} EXCEPT ALL FROM ${b})`;
  const [forth] = await query(duck, sql(left, right));
  const [back] = await query(duck, sql(right, left));
  return Number(forth!['n']) + Number(back!['n']);
}

/** A table with every kind of column that is carried. `n` rows; text with nulls, duplicates and non-ASCII. */
export function everyTypeSql(n: number): string {
  return `
    SELECT
      'doc-' || i AS id,
      CASE WHEN i % 17 = 3 THEN NULL
           WHEN i % 11 = 5 THEN ''
           WHEN i % 5 = 0 THEN 'same text for many rows'
           ELSE repeat('Zeile ' || i || ' – süß 漢字 🙂' || chr(10), 1 + (i % 40)::INT) END AS text,
      (i % 2 = 0) AS flag,
      CASE WHEN i % 3 = 0 THEN NULL ELSE (i % 127)::TINYINT END AS tiny,
      (i * 3)::SMALLINT AS small, (i * 1000003 % 2147483647)::INTEGER AS int, (i * 900719925474099)::BIGINT AS big,
      (i % 200)::UTINYINT AS utiny, (i % 60000)::USMALLINT AS usmall, (4294967295 - i)::UINTEGER AS uint,
      (18446744073709551615 - i)::UBIGINT AS ubig, (i::HUGEINT * 170141183460469231)::HUGEINT AS huge,
      (i / 7)::FLOAT AS single, CASE WHEN i % 10 = 0 THEN 'nan'::DOUBLE ELSE i / 3 END AS double,
      (i * 1.37)::DECIMAL(9, 2) AS dec9, (i * 12345678.12345)::DECIMAL(18, 5) AS dec18,
      (i::DECIMAL(38, 10) + 123456789012345678.0123456789::DECIMAL(38, 10))::DECIMAL(38, 10) AS dec38,
      DATE '1969-12-28' + i::INTEGER AS day, TIMESTAMP '1969-12-31 23:59:59.123456' + to_microseconds(i * 1234567) AS micros,
      (TIMESTAMP '2020-01-01' + to_microseconds(i * 999))::TIMESTAMP_NS AS nanos,
      (TIMESTAMP '2020-01-01' + to_milliseconds(i * 999))::TIMESTAMP_MS AS millis,
      (TIMESTAMPTZ '2020-01-01 00:00:00+00' + to_microseconds(i)) AS zoned,
      TIME '00:00:01' + to_microseconds(i * 77) AS clock, INTERVAL (i) DAY AS span,
      encode('bytes ' || i) AS blob, uuid_blob(i) AS uid,
      (CASE i % 3 WHEN 0 THEN 'red' WHEN 1 THEN 'green' ELSE 'blue' END)::ENUM('red', 'green', 'blue') AS colour,
      json_object('k', i, 'deep', json_array(1, NULL, 'x')) AS doc,
      CASE WHEN i % 4 = 0 THEN NULL WHEN i % 4 = 1 THEN [] ELSE [i, NULL, i + 1] END AS list,
      [{'a': i, 'b': ['x' || i, NULL]}, {'a': NULL, 'b': NULL}, NULL] AS structs,
      {'name': 'n' || i, 'inner': {'score': i / 2.0, 'tags': ['t', 'u' || i]}} AS nested,
      CASE WHEN i % 6 = 0 THEN NULL ELSE MAP {'k' || (i % 5): i, 'other': NULL} END AS map,
      MAP {i: {'v': 'w' || i}} AS intmap
    FROM range(${n}) t(i)`.replace(
    'uuid_blob(i)',
    "('00000000-0000-4000-8000-' || lpad(i::VARCHAR, 12, '0'))::UUID",
  );
}
