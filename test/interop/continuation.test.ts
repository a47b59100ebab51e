import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { exportContinuation } from '../../src/interop/continuation.ts';
import { SCHEDULE_TARGETS } from '../../src/interop/schedules/export.ts';

const start = (optimizer: 'reset' | 'keep', checkpoint = '/runs/base') =>
  ({ checkpoint, optimizer, nSteps: 100, firstStep: 40 }) as const;

describe('exportContinuation', () => {
  it('drops the optimizer in the words of every trainer', () => {
    const text = (target: (typeof SCHEDULE_TARGETS)[number]) => {
      const { files, warnings } = exportContinuation(target, start('reset'));
      expect({ target, warnings }).toEqual({ target, warnings: [] });
      return files[0]!.text;
    };
    expect(parse(text('gpt-neox'))).toEqual({ load: '/runs/base', finetune: true });
    expect(text('megatron').split('\n')).toEqual(
      expect.arrayContaining(['--load /runs/base', '--finetune', '--no-load-optim']),
    );
    expect(text('torchtitan')).toContain('initial_load_model_only=True');
    expect(parse(text('nanotron'))).toEqual({
      checkpoints: {
        resume_checkpoint_path: '/runs/base',
        load_optimizer: false,
        load_lr_scheduler: false,
      },
    });
    expect(text('olmo-core')).toContain('"load_optim_state": False');
    expect(parse(text('litgpt'))).toMatchObject({ initial_checkpoint_dir: '/runs/base' });
    expect(parse(text('hf'))).toEqual({ model_name_or_path: '/runs/base' });
    expect(parse(text('axolotl'))).toEqual({ base_model: '/runs/base' });
  });

  it('keeps it, or says that it cannot, or what to mind', () => {
    for (const target of SCHEDULE_TARGETS) {
      const { warnings } = exportContinuation(target, start('keep'));
      expect(warnings.length, target).toBe(target === 'olmo-core' ? 0 : 1);
    }
    const texts = exportContinuation('torchtitan', start('keep')).files[0]!.text;
    // torchtitan: what drops the schedule alone.
    expect(texts).toContain('exclude_from_loading=["lr_scheduler", "dataloader", "train_state"]');
    expect(exportContinuation('litgpt', start('keep')).warnings[0]).toContain('dropped');
  });

  it('quotes paths', () => {
    const odd = '/runs/"a"\n  evil: true # \u2028\u0085';
    for (const target of ['gpt-neox', 'nanotron', 'litgpt', 'axolotl', 'hf'] as const) {
      const read = parse(exportContinuation(target, start('reset', odd)).files[0]!.text) as object;
      expect(JSON.stringify(read)).toContain(JSON.stringify(odd));
    }
    const { files, warnings } = exportContinuation('megatron', start('reset', odd));
    expect(files[0]!.text.trim().split('\n')).toHaveLength(1);
    expect(warnings[0]).toContain('by hand');
  });
});
