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
  const refiner = await openRefiner({ chunkModel: 'random', threads: 1 });
  const outcomes = await refiner.refine(['A text from a worker thread.\nHome | About']);
  parentPort.postMessage(`refined in a worker: ${outcomes.map(({ status }) => status).join()}`);
  await refiner.dispose();
}
