/** Opens models in a process of its own, so that what aborts is an answer of the test and not its end. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** `ok`, a code with its message, `uncoded …`, or `died …`. */
export interface Opened {
  readonly model: string;
  readonly tokenizer: string | null;
  readonly inspected: string;
}

const SCRIPT = fileURLToPath(new URL('./open-models.mjs', import.meta.url));
const LIBRARY = ['native/index.js', 'model/inspect.js'].map(
  (name) => new URL(`../../dist/${name}`, import.meta.url).href,
);
const TIMEOUT_MS = 60_000;

/** One process at a time, started again after a death. */
export class ModelOpener {
  #child: ChildProcess | null = null;
  #lines: Interface | null = null;

  async open(path: string): Promise<Opened> {
    if (!this.#child) {
      this.#child = spawn(process.execPath, [SCRIPT, ...LIBRARY], {
        stdio: ['pipe', 'pipe', 'pipe'],
      });
      this.#child.stdin!.on('error', () => {});
      this.#lines = createInterface({ input: this.#child.stdout! });
    }
    const child = this.#child;
    let stderr = '';
    const onStderr = (chunk: Buffer) => {
      stderr = `${stderr}${chunk}`.slice(-2000);
    };
    child.stderr!.on('data', onStderr);
    const timer = setTimeout(() => child.kill('SIGKILL'), TIMEOUT_MS);
    const gone = new AbortController();
    try {
      child.stdin!.write(`${path}\n`);
      const signal = gone.signal;
      const answer = await Promise.race([
        once(this.#lines!, 'line', { signal }).then(([line]) => JSON.parse(line) as Opened),
        once(child, 'close', { signal }).then(([code, name]) => `died ${name ?? code}: ${stderr}`),
      ]);
      if (typeof answer !== 'string') return answer;
      this.#child = null;
      return { model: answer, tokenizer: answer, inspected: answer };
    } finally {
      clearTimeout(timer);
      gone.abort();
      child.stderr!.off('data', onStderr);
    }
  }

  close(): void {
    this.#child?.kill();
  }
}
