/**
 * A CommonJS ETL job: a corpus in, a refined corpus out, resumable. Run: `node examples/etl.cjs IN OUT`.
 */
const { GristmillError, refineCorpus } = require('gristmill');

async function main([input = 'examples/corpus.parquet', out = 'refined-etl']) {
  const summary = await refineCorpus({
    inputs: [input],
    out,
    idColumn: 'id',
    limit: 64,
    onProgress: ({ rows, kept, edited, dropped }) => {
      console.error(`${rows} rows: ${kept} kept, ${edited} edited, ${dropped} dropped`);
    },
  });
  const { rowsIn, kept, edited, dropped, failed } = summary;
  console.log(JSON.stringify({ rowsIn, kept, edited, dropped, failed }));
}

main(process.argv.slice(2)).catch((error) => {
  // Every failure of a run has a code; those of single documents are rows with a status and a reason.
  console.error(error instanceof GristmillError ? `${error.code}: ${error.message}` : error);
  process.exitCode = 1;
});
