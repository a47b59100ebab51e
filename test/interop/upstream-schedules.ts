/**
 * The oracle of the schedule exports: what each trainer makes of the text that was exported for it.
 *
 * Written from the trainers' own documentation and sources (revisions in the headers of src/interop/schedules), without a
 * look at what the exporters compute: options are parsed back from the text, then the trainer's rule is applied to its own
 * counter. `rate(step)` is the rate with which the trainer makes its optimizer step `step`, 1 for the first one.
 */
import { parse } from 'yaml';
import type { ScheduleTarget } from '../../src/interop/schedules/export.ts';

export type Rate = (step: number) => number;

const halfCosine = (progress: number): number => 0.5 * (1 + Math.cos(Math.PI * progress));

/** How a Python literal in an exported file reads. */
function literal(text: string): number | string | boolean | null {
  if (text === 'None') return null;
  if (text === 'True' || text === 'False') return text === 'True';
  return JSON.parse(text) as number | string;
}

/** `key=value` of the call that an assignment makes, one a line. */
function keywords(text: string, name: string): Record<string, ReturnType<typeof literal>> {
  const body = text.slice(text.indexOf(`${name} = `));
  const found: Record<string, ReturnType<typeof literal>> = {};
  for (const [, key, value] of body.matchAll(/^ {4}(\w+)=([^\s[(]+),$/gm))
    found[key!] = value!.startsWith('SchedulerUnits.') ? value!.split('.')[1]! : literal(value!);
  return found;
}

/** megatron/learning_rates.py; DeepSpeed steps the scheduler behind the optimizer. */
function gptNeox(text: string): Rate {
  const config = parse(text) as Record<string, number> & {
    optimizer: { params: { lr: number } };
  };
  const { lr } = config.optimizer.params;
  const end = config['lr-decay-iters']!;
  const warm = config['warmup']! * end;
  const least = config['min_lr']!;
  return (step) => {
    const iteration = step - 1;
    if (warm > 0 && iteration <= warm) return (lr * Math.max(iteration, 1)) / warm;
    const behind = iteration - warm;
    const span = end - warm;
    switch (String(config['lr-decay-style'])) {
      case 'linear':
        return Math.max((lr * (span - behind)) / span, least);
      case 'cosine':
        return Math.max(least + (lr - least) * halfCosine(behind / span), least);
      case 'exponential':
        return Math.max(lr * Math.exp((-693 * behind) / (1000 * span)), least);
      case 'constant':
        return Math.max(lr, least);
      default:
        throw new Error(`no such style: ${config['lr-decay-style']}`);
    }
  };
}

/** megatron/core/optimizer_param_scheduler.py, in samples; stepped behind the optimizer. */
function megatron(text: string): Rate {
  const args = new Map(
    text
      .trim()
      .split('\n')
      .map((line) => line.split(' ') as [string, string]),
  );
  const number = (name: string): number => Number(args.get(name));
  const batch = number('--global-batch-size');
  const bySamples = args.has('--train-samples');
  const length = (name: string): number =>
    bySamples ? number(`${name}-samples`) : number(`${name}-iters`) * batch;
  const [top, least, start] = ['--lr', '--min-lr', '--lr-warmup-init'].map(number) as [
    number,
    number,
    number,
  ];
  const decaySteps = length('--lr-decay');
  const warmSteps = args.has('--lr-warmup-fraction')
    ? number('--lr-warmup-fraction') * decaySteps
    : length('--lr-warmup');
  const style = args.get('--lr-decay-style');
  const wsdSteps = style === 'WSD' ? length('--lr-wsd-decay') : 0;
  if (!(warmSteps < decaySteps))
    throw new Error('Megatron-LM asserts lr_warmup_steps < lr_decay_steps');
  return (step) => {
    const samples = (step - 1) * batch;
    if (warmSteps > 0 && samples <= warmSteps) return start + ((top - start) * samples) / warmSteps;
    if (style === 'constant') return top;
    if (samples > decaySteps) return least;
    if (style === 'inverse-square-root') {
      return Math.max(
        least,
        (top * Math.sqrt(Math.max(warmSteps, 1))) / Math.sqrt(Math.max(samples, 1)),
      );
    }
    const ratio = (samples - warmSteps) / (decaySteps - warmSteps);
    let coefficient = style === 'linear' ? 1 - ratio : halfCosine(ratio);
    if (style === 'WSD') {
      const annealStart = decaySteps - wsdSteps;
      const wsdRatio = (samples - annealStart) / wsdSteps;
      const forms: Record<string, (x: number) => number> = {
        linear: (x) => 1 - x,
        cosine: halfCosine,
        exponential: megatronExponential,
        minus_sqrt: (x) => 1 - Math.sqrt(x),
      };
      coefficient =
        samples <= annealStart ? 1 : forms[args.get('--lr-wsd-decay-style')!]!(wsdRatio);
    }
    return least + coefficient * (top - least);
  };
}

/** What Megatron-LM calls exponential: the share of max − min that is left. */
export function megatronExponential(x: number): number {
  return 2 * 0.5 ** x - 1;
}

/** torchtitan/components/optimizer/lr_scheduler.py; LambdaLR counts the steps that were made. */
function torchtitan(text: string): Rate {
  const lr = Number(/default_adamw\(lr=([^)]+)\)/.exec(text)![1]);
  const fields = keywords(text, 'lr_scheduler');
  const trained = Number(/^TRAINING_STEPS = (\d+)$/m.exec(text)![1]);
  const total = (fields['total_steps'] as number | null) ?? trained;
  const warm = Math.min(Number(fields['warmup_steps']), total);
  const ratio = fields['decay_ratio'] as number | null;
  let decay = ratio === null ? total - warm : Math.round(total * ratio);
  if (warm + decay > total) decay = total - warm;
  const stable = total + 1 - warm - decay;
  const least = Number(fields['min_lr_factor']);
  return (step) => {
    const current = step - 1;
    if (current < warm) return (lr * (current + 1)) / warm;
    if (current < warm + stable) return lr;
    const progress = (current + 1 - (warm + stable)) / decay;
    const left = {
      linear: 1 - progress,
      sqrt: 1 - Math.sqrt(progress),
      cosine: halfCosine(progress),
    }[fields['decay_type'] as 'linear' | 'sqrt' | 'cosine'];
    return lr * (least + (1 - least) * left);
  };
}

/** transformers/optimization.py; LambdaLR counts the steps that were made. */
function transformers(args: Record<string, unknown>): Rate {
  const lr = args['learning_rate'] as number;
  const warm = args['warmup_steps'] as number;
  const total = args['max_steps'] as number;
  const kwargs = (args['lr_scheduler_kwargs'] ?? {}) as Record<string, number>;
  const text = (name: string): string => String(kwargs[name]);
  const warming = (current: number): number => current / Math.max(1, warm);
  const rules: Record<string, (current: number) => number> = {
    constant: () => 1,
    constant_with_warmup: (current) => (current < warm ? warming(current) : 1),
    linear: (current) =>
      current < warm
        ? warming(current)
        : Math.max(0, (total - current) / Math.max(1, total - warm)),
    polynomial: (current) => {
      if (current < warm) return warming(current);
      const end = kwargs['lr_end']!;
      if (current > total) return end / lr;
      const remaining = 1 - (current - warm) / (total - warm);
      return ((lr - end) * remaining ** kwargs['power']! + end) / lr;
    },
    inverse_sqrt: (current) =>
      current < warm
        ? warming(current)
        : 1 / Math.sqrt((current + kwargs['timescale']! - warm) / kwargs['timescale']!),
    cosine_warmup_with_min_lr: (current) => {
      const first = kwargs['warmup_lr_rate'] as number | undefined;
      if (current < warm) {
        return first === undefined
          ? (current + 1) / Math.max(1, warm)
          : first + ((1 - first) * current) / Math.max(1, warm - 1);
      }
      const least = kwargs['min_lr_rate']!;
      return halfCosine((current - warm + 1) / Math.max(1, total - warm)) * (1 - least) + least;
    },
    warmup_stable_decay: (current) => {
      const least = kwargs['min_lr_ratio']!;
      if (text('warmup_type') !== 'linear') throw new Error('only linear is exported');
      if (current < warm) return warming(current) * (1 - least) + least;
      const stable = kwargs['num_stable_steps']!;
      const decay = kwargs['num_decay_steps']!;
      if (current < warm + stable) return 1;
      if (current >= warm + stable + decay) return least;
      const progress = (current - warm - stable) / Math.max(1, decay);
      const left = {
        linear: 1 - progress,
        cosine: halfCosine(progress),
        '1-sqrt': 1 - Math.sqrt(progress),
      }[text('decay_type')]!;
      return left * (1 - least) + least;
    },
  };
  const rule = rules[args['lr_scheduler_type'] as string];
  if (!rule) throw new Error(`no such scheduler: ${args['lr_scheduler_type']}`);
  return (step) => lr * rule(step - 1);
}

/** axolotl/core/trainers/mixins/scheduler.py: its own cosine where its ratios are set, else that of transformers. */
function axolotl(text: string): Rate {
  const { lr_scheduler: type, ...config } = parse(text) as Record<string, unknown>;
  const least = config['cosine_min_lr_ratio'] as number | undefined;
  const ratio = config['cosine_constant_lr_ratio'] as number | undefined;
  if (type !== 'cosine') return transformers({ ...config, lr_scheduler_type: type });
  if (!least || !ratio) throw new Error('only the cosine with a flat end is exported');
  const lr = config['learning_rate'] as number;
  const warm = config['warmup_steps'] as number;
  const flat = Math.trunc((config['max_steps'] as number) * ratio);
  return (step) => {
    const current = step - 1;
    if (current < warm) return (lr * current) / Math.max(1, warm);
    const progress = (Math.min(current, flat) - warm) / Math.max(1, flat - warm);
    return lr * (Math.max(0, (1 - least) * halfCosine(progress)) + least);
  };
}

/** nanotron/helpers.py; LambdaLR counts the steps that were made. */
function nanotron(text: string): Rate {
  const config = parse(text) as {
    optimizer: { learning_rate_scheduler: Record<string, number> };
  };
  const args = config.optimizer.learning_rate_scheduler;
  const lr = args['learning_rate']!;
  const least = args['min_decay_lr']!;
  const warm = args['lr_warmup_steps']!;
  const start = args['lr_decay_starting_step']!;
  const decay = args['lr_decay_steps']!;
  return (step) => {
    const current = step - 1;
    if (warm === 0 && decay === 0) return lr;
    if (current <= warm) {
      return String(args['lr_warmup_style']) === 'linear' ? (lr * current) / Math.max(warm, 1) : lr;
    }
    if (current < start) return lr;
    if (current >= start + decay) return least;
    const into = current - start;
    switch (String(args['lr_decay_style'])) {
      case 'cosine':
        return least + (lr - least) * halfCosine(into / decay);
      case 'linear':
        return least + ((lr - least) * (decay - into)) / decay;
      default:
        return least + (lr - least) * (1 - Math.sqrt(into / decay));
    }
  };
}

/** olmo_core/optim/scheduler.py; the trainer raises its counts before the step. */
function olmoCore(text: string): Rate {
  const constant = (name: string): number =>
    Number(new RegExp(`^${name} = (.+)$`, 'm').exec(text)![1]);
  const lr = constant('LR');
  const scheduler = /^SCHEDULER = (\w+)\(/m.exec(text)![1]!;
  const fields = keywords(text, 'SCHEDULER');
  const unit = fields['units'] === 'tokens' ? constant('GLOBAL_BATCH_TOKENS') : 1;
  const total = constant('MAX_STEPS') * unit;
  const number = (name: string): number => Number(fields[name] ?? 0);
  const warm = number('warmup');
  const warming = (current: number): number =>
    number('warmup_min_lr') + ((lr - number('warmup_min_lr')) * Math.min(current, warm)) / warm;
  const fall = (from: number, fromEnd: number): number => {
    const decay = number('decay');
    const least = number('decay_min_lr');
    return least + ((from - least) * Math.min(fromEnd, decay)) / decay;
  };
  const end = number('t_max');
  const floor = lr * number('alpha_f');
  const stages = [
    ...text.matchAll(
      /ComposableSchedulerStage\(duration=(\d+), shape="(\w+)", start_lr=([^,]+), end_lr=([^)]+)\)/g,
    ),
  ].map(([, duration, shape, from, to]) => ({
    duration: Number(duration),
    shape,
    from: Number(from),
    to: Number(to),
  }));
  const rules: Record<string, (current: number) => number> = {
    ConstantScheduler: () => lr,
    ConstantWithWarmup: (current) => (current <= warm ? warming(current) : lr),
    CosWithWarmup: (current) => {
      if (current < warm) return warming(current);
      return current >= end
        ? floor
        : floor + (lr - floor) * halfCosine((current - warm) / (end - warm));
    },
    LinearWithWarmup: (current) => {
      if (current < warm) return warming(current);
      return current >= end ? floor : lr - (lr - floor) * ((current - warm) / (end - warm));
    },
    WSD: (current) => {
      if (current <= warm) return warming(current);
      return current >= total - number('decay') ? fall(lr, total - current) : lr;
    },
    InvSqrtWithWarmup: (current) =>
      current < warm ? warming(current) : floor + (lr - floor) * Math.sqrt(warm / current),
    PowerLR: (current) => {
      if (current <= warm) return warming(current);
      const law = (at: number): number => lr * (at / warm) ** number('b');
      const tail = total - number('decay');
      return current >= tail && number('decay') > 0
        ? fall(law(tail), total - current)
        : law(current);
    },
    ComposableScheduler: (current) => {
      let start = 0;
      for (const { duration, shape, from, to } of stages) {
        const into = current - start;
        if (into < duration) {
          return shape === 'cosine'
            ? to + (from - to) * halfCosine(into / duration)
            : from + ((to - from) * into) / duration;
        }
        start += duration;
      }
      return stages.at(-1)!.to;
    },
  };
  if (!rules[scheduler]) throw new Error(`no such scheduler: ${scheduler}`);
  return (step) => rules[scheduler]!(step * unit);
}

/** litgpt/pretrain.py: a rate for every micro-batch, asked before it is counted. */
function litgpt(text: string, iterationsPerStep: number): Rate {
  const config = parse(text) as {
    optimizer: { init_args: { lr: number } };
    train: Record<string, number>;
  };
  const { lr } = config.optimizer.init_args;
  const train = config.train;
  const steps = train['max_tokens']! / (train['global_batch_size']! * train['max_seq_length']!);
  const maxIterations = steps * iterationsPerStep;
  const warm = Math.min(maxIterations, train['lr_warmup_steps']! * iterationsPerStep);
  return (step) => {
    const iteration = step * iterationsPerStep - 1;
    if (iteration < warm) return (lr * iteration) / warm;
    if (iteration > maxIterations) return train['min_lr']!;
    const ratio = (iteration - warm) / (maxIterations - warm);
    return train['min_lr']! + halfCosine(ratio) * (lr - train['min_lr']!);
  };
}

/** What a trainer makes of an exported file of its own options. */
export function upstreamRate(target: ScheduleTarget, text: string, iterationsPerStep = 1): Rate {
  switch (target) {
    case 'gpt-neox':
      return gptNeox(text);
    case 'megatron':
      return megatron(text);
    case 'torchtitan':
      return torchtitan(text);
    case 'hf':
      return transformers(JSON.parse(text) as Record<string, unknown>);
    case 'nanotron':
      return nanotron(text);
    case 'olmo-core':
      return olmoCore(text);
    case 'litgpt':
      return litgpt(text, iterationsPerStep);
    case 'axolotl':
      return axolotl(text);
    case 'mosaicml-streaming':
      throw new Error('it has no options of its own');
  }
}
