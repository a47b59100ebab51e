/**
 * The child process that owns one engine (see engine.ts). Started by fork(); speaks EngineMessage/EngineReply.
 *
 * It leaves when the parent goes away. What llama.cpp prints before it aborts is kept by the parent.
 */
import '../work/child-life.ts';
import { GristmillError } from '../errors.ts';
import type { EngineCallOptions } from '../native/engine.ts';
import { openLocalEngine, type RefinerEngine } from './engine.ts';
import type { EngineMessage, EngineReply } from './engine-host.ts';
import { openLocalScoring, type ScoringEngine } from './scoring-engine.ts';

let engine: RefinerEngine | ScoringEngine | null = null;
/** Of the calls under way, by number. */
const controllers = new Map<number, AbortController>();

async function answer(message: Exclude<EngineMessage, { kind: 'cancel' }>): Promise<unknown> {
  if (message.kind === 'open') {
    engine =
      message.engine === 'language'
        ? await openLocalEngine(message.options)
        : await openLocalScoring(message.options);
    return engine.info;
  }
  if (!engine) throw new GristmillError('DISPOSED', { object: 'engine' });
  // The request was built by a typed face (engine.ts, scoring-engine.ts); the method names are a closed set there.
  const methods = engine as unknown as Record<
    string,
    (request: unknown, options: EngineCallOptions) => Promise<unknown>
  >;
  const controller = new AbortController();
  controllers.set(message.id, controller);
  try {
    return await methods[message.method]!(message.request, { signal: controller.signal });
  } finally {
    controllers.delete(message.id);
  }
}

process.on('message', (message: EngineMessage) => {
  if (message.kind === 'cancel') return controllers.get(message.id)?.abort();
  answer(message).then(
    (value) => reply({ id: message.id, value }),
    (error: unknown) => {
      const coded = error instanceof GristmillError ? error : null;
      reply({
        id: message.id,
        error: {
          code: coded?.code ?? 'NATIVE_FAILED',
          details: coded
            ? { ...coded.details }
            : { operation: message.kind, reason: String(error) },
          message: String(error),
        },
      });
    },
  );
});

function reply(value: EngineReply): void {
  process.send?.(value);
}
