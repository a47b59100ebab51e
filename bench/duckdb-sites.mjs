// Contender of the bench case `sites`: what a line is on how many pages of its host, in SQL.
//
// Usage: duckdb-sites.mjs INPUT.jsonl OUTPUT.parquet. One thread. Lines are folded as gristmill folds them, but for
// compatibility characters and digits of other scripts; copies of a page are not told, and a host is not its registered domain.
import { DuckDBInstance } from '@duckdb/node-api';

const [input, output] = process.argv.slice(2);
const quoted = (path) => `'${path.replaceAll("'", "''")}'`;
const instance = await DuckDBInstance.create(':memory:', { threads: '1' });
const duck = await instance.connect();
await duck.run(`
  COPY (
    WITH pages AS (
      SELECT row_number() OVER () AS page, regexp_extract(url, '^https?://([^/:]+)', 1) AS host, text
      FROM read_json(${quoted(input)}, format = 'newline_delimited',
                     columns = {url: 'VARCHAR', text: 'VARCHAR'}, maximum_object_size = 268435456)
    ), lines AS (
      SELECT host, page,
             trim(regexp_replace(regexp_replace(lower(line), '[0-9]', '0', 'g'), '\\s+', ' ', 'g')) AS line
      FROM (SELECT host, page, unnest(string_split(text, chr(10))) AS line FROM pages)
    )
    SELECT host, hash(line) AS line, count(DISTINCT page) AS pages
    FROM lines WHERE line <> '' GROUP BY ALL HAVING count(DISTINCT page) > 1
  ) TO ${quoted(output)} (FORMAT parquet)`);
const reader = await duck.runAndReadAll(
  `SELECT count(*)::INT AS n FROM read_parquet(${quoted(output)})`,
);
process.stdout.write(JSON.stringify({ lines: reader.getRowObjectsJson()[0].n }));
