/** The process of a local expert's engine; see expert-engine.ts. */
import { GristmillError } from '../../errors.ts';
import type { NativeEngineOptions } from '../../native/engine.ts';
import { type ServedCall, serve } from '../../work/serve.ts';
import { type ExpertEngine, openExpertHere, type PromptsRequest } from './expert-engine.ts';

let engine: ExpertEngine | null = null;

serve({
  async open(options: NativeEngineOptions) {
    engine = await openExpertHere(options);
    return engine.info;
  },
  async answer(request: PromptsRequest, { signal }: ServedCall) {
    if (!engine) throw new GristmillError('DISPOSED', { object: 'engine' });
    return engine.answer(request, { signal });
  },
});
