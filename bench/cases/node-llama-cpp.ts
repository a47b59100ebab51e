/**
 * node-llama-cpp as a contender: the same file, prompts and number of tokens, greedy, its sequences evaluated side by
 * side through its own automatic batching. Installed on demand (bench/contenders.ts).
 */
import { contender } from '../contenders.ts';

/** Settings of the peer. */
export interface PeerSettings {
  readonly modelPath: string;
  readonly nSequences: number;
  readonly nCtx: number;
  readonly nThreads: number;
  readonly device: string;
}

/** An opened peer. */
export interface Peer {
  /** Generates `nTokens[index]` tokens after each prompt. */
  generate(prompts: readonly string[], nTokens: readonly number[]): Promise<void>;
  dispose(): Promise<void>;
}

interface Sequence {
  evaluate(tokens: readonly number[], options: object): AsyncIterable<number>;
  clearHistory(): Promise<void>;
}
interface Context {
  getSequence(): Sequence;
  dispose(): Promise<void>;
}
interface Model {
  tokenize(text: string): number[];
  createContext(options: object): Promise<Context>;
  dispose(): Promise<void>;
}
interface Llama {
  loadModel(options: object): Promise<Model>;
  dispose(): Promise<void>;
}

/** Opens the model in node-llama-cpp; null when it cannot be had. */
export async function openPeer(
  settings: PeerSettings,
  log: (line: string) => void,
): Promise<Peer | null> {
  const peer = await contender('node-llama-cpp', log);
  if (peer === null) return null;
  const getLlama = peer['getLlama'] as (options: object) => Promise<Llama>;
  const gpu = settings.device === 'cpu' ? false : 'cuda';
  const llama = await getLlama({
    gpu,
    build: 'never',
    logLevel: 'disabled',
    maxThreads: settings.nThreads,
  });
  const model = await llama.loadModel({ modelPath: settings.modelPath });
  const context = await model.createContext({
    sequences: settings.nSequences,
    contextSize: settings.nCtx,
    threads: settings.nThreads,
  });
  const sequences = Array.from({ length: settings.nSequences }, () => context.getSequence());
  return {
    async generate(prompts, nTokens) {
      let next = 0;
      await Promise.all(
        sequences.map(async (sequence) => {
          while (next < prompts.length) {
            const index = next++;
            let left = nTokens[index] ?? 1;
            await sequence.clearHistory();
            const options = { temperature: 0, yieldEogToken: true };
            for await (const _ of sequence.evaluate(model.tokenize(prompts[index]!), options)) {
              if (--left <= 0) break;
            }
          }
        }),
      );
    },
    async dispose() {
      await context.dispose();
      await model.dispose();
      await llama.dispose();
    },
  };
}
