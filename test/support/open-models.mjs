/**
 * A process that opens model files and says what came of it: one path a line on stdin, one JSON line a path on stdout.
 * Whoever reads the answers sees an abort as the end of this process.
 */
import { createInterface } from 'node:readline';

const [, , library, inspection] = process.argv;
const { native } = await import(library);
const { inspectModel } = await import(inspection);
const frame = {
  prefix: 'Is this text worth reading?\n',
  suffix: '\nAnswer: ',
  addBos: true,
  trimStart: false,
  trimEnd: false,
  maxTokens: 100,
  truncate: 'content',
};
const data = new TextEncoder().encode('A mill by the river.\nSubscribe <s> now! 12 é \u2581');
const documents = { data, offsets: Int32Array.of(0, data.length) };

async function tryEngine(modelPath) {
  const options = { modelPath, device: 'cpu', nThreads: 1, nSlots: 2, nCtxSlot: 256, nUbatch: 64 };
  const engine = await native().openEngine(options);
  try {
    const request = { ...documents, docs: null, frame };
    await engine.scoreDocuments({ ...request, answers: ['keep_doc()', 'drop_doc()'] });
    await engine.generateText({ ...request, maxNewTokens: 3 });
  } finally {
    await engine.dispose();
  }
}

async function tryScorer(modelPath) {
  const scorer = await native().openLineScorer({ modelPath, device: 'cpu', nThreads: 1 });
  try {
    await scorer.score({
      bagStarts: Int32Array.of(0, 2, 3),
      windowStarts: scorer.info.nCtx > 1 ? Int32Array.of(0, 2) : Int32Array.of(0, 1, 2),
      bagIds: Int32Array.of(0, 1, 2),
      bagWeights: Float32Array.of(0.5, 0.5, 1),
    });
  } finally {
    scorer.dispose();
  }
}

async function tryTokenizer(path) {
  const tokenizer = await native().openTokenizer(path);
  try {
    await tokenizer.encode(documents);
  } finally {
    tokenizer.dispose();
  }
}

async function outcome(call) {
  try {
    await call();
    return 'ok';
  } catch (error) {
    return error.code === undefined ? `uncoded ${error.stack}` : `${error.code} ${error.message}`;
  }
}

for await (const path of createInterface({ input: process.stdin })) {
  const scores = path.endsWith('.score.gguf');
  const model = await outcome(() => (scores ? tryScorer(path) : tryEngine(path)));
  const tokenizer = scores ? null : await outcome(() => tryTokenizer(path));
  const inspected = await outcome(() => inspectModel(path));
  process.stdout.write(`${JSON.stringify({ model, tokenizer, inspected })}\n`);
}
