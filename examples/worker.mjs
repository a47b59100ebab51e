/**
 * The same inside a worker thread: nothing of the package is tied to the main one. Run: `node examples/worker.mjs`.
 */
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import { openRefiner } from 'gristmill';

if (isMainThread) {
  const worker = new Worker(new URL(import.meta.url));
  worker.on('message', (line) => console.log(line));
  worker.on('error', (error) => {
    console.error(error);
    process.exitCode = 1;
  });
} else {
  const refiner = await openRefiner({ threads: 1 });
  const text = `The kettle stood on the stove, and nobody had thought of the tea for an hour.
When the water had boiled away the metal began to tick, and the cat left the kitchen.
She came back with the first rain, and slept on the warm lid until the evening.`;
  const outcomes = await refiner.refine([text, '404 - Not found']);
  parentPort.postMessage(`refined in a worker: ${outcomes.map(({ status }) => status).join()}`);
  await refiner.dispose();
}
