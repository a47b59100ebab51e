/**
 * What a trainer must be told so that a stage starts from the checkpoint of another one: weights loaded, steps counted
 * anew, the optimizer's state dropped (as the paper does) or kept.
 *
 * Read from: gpt-neox ea7aefd8 megatron/checkpointing.py (`finetune` drops optimizer, scheduler and count together);
 * Megatron-LM d98e8a64 megatron/training/checkpointing.py (`--finetune` likewise); torchtitan b5bcd76c
 * components/checkpointer/base.py; nanotron 2411b022 trainer.py, config.py; OLMo-core fa6c5014 train/trainer.py,
 * optim/config.py (initial_lr survives loading); litgpt 26857050 pretrain.py; transformers 5.23.0 trainer.py; Axolotl 067b021c.
 */
import type { ScheduleTarget } from './schedules/export.ts';
import { type ExportFile, jsonOf, pythonOf, yamlOf } from './schedules/target.ts';

/** How a stage starts. */
export interface Continuation {
  /** Checkpoint in the trainer's own form: a folder. */
  readonly checkpoint: string;
  readonly optimizer: 'reset' | 'keep';
  readonly nSteps: number;
  /** Steps that a trainer has counted which cannot keep the optimizer without its count. */
  readonly firstStep: number;
}

/** Options and what to mind. */
export interface ContinuationExport {
  readonly files: readonly ExportFile[];
  readonly warnings: readonly string[];
}

type Writer = (continuation: Continuation) => ContinuationExport;

const WRITERS: Readonly<Record<ScheduleTarget, Writer>> = {
  'gpt-neox': gptNeox,
  megatron,
  torchtitan,
  hf,
  nanotron,
  'olmo-core': olmoCore,
  litgpt,
  axolotl,
  'mosaicml-streaming': plain,
};

/** Options of a trainer that continue from a checkpoint. */
export function exportContinuation(
  target: ScheduleTarget,
  continuation: Continuation,
): ContinuationExport {
  return WRITERS[target](continuation);
}

const LOADED_RATES =
  'a loaded optimizer brings the rate of its own last step along: compare the first rate that is logged with the schedule';

function gptNeox({ checkpoint, optimizer, nSteps, firstStep }: Continuation): ContinuationExport {
  const settings =
    optimizer === 'reset'
      ? { load: checkpoint, finetune: true }
      : { load: checkpoint, finetune: false, override_lr_scheduler: true };
  const files = [{ name: 'continue.yml', text: `${jsonOf(settings)}\n` }];
  const warnings =
    optimizer === 'reset'
      ? []
      : [
          goesOn(
            'gpt-neox',
            firstStep,
            `schedule.yml has train-iters ${firstStep + nSteps} for it`,
          ),
        ];
  return { files, warnings };
}

function megatron({ checkpoint, optimizer, nSteps, firstStep }: Continuation): ContinuationExport {
  if (/\s/.test(checkpoint)) {
    const text = `# --load: the path has white space and is left out here: ${pythonOf(checkpoint)}\n`;
    return { files: [{ name: 'continue.args', text }], warnings: ['--load must be given by hand'] };
  }
  const lines =
    optimizer === 'reset'
      ? ['--finetune', '--no-load-optim', '--no-load-rng', '--override-opt-param-scheduler']
      : ['--override-opt-param-scheduler'];
  const text = `${[`--load ${checkpoint}`, ...lines].join('\n')}\n`;
  const warnings =
    optimizer === 'reset'
      ? []
      : [
          goesOn(
            'Megatron-LM',
            firstStep,
            `schedule.args has --train-iters ${firstStep + nSteps} for it`,
          ),
        ];
  return { files: [{ name: 'continue.args', text }], warnings };
}

function goesOn(trainer: string, firstStep: number, what: string): string {
  return `${trainer} keeps the optimizer together with its count of steps only: it goes on from step ${firstStep} (steps of this plan since the last reset; change FIRST_STEP of the loader where the checkpoint says otherwise); ${what}`;
}

function torchtitan({ checkpoint, optimizer }: Continuation): ContinuationExport {
  const kept =
    optimizer === 'reset'
      ? ['    initial_load_model_only=True,']
      : [
          '    initial_load_model_only=False,',
          '    exclude_from_loading=["lr_scheduler", "dataloader", "train_state"],',
        ];
  const text = [
    '# For a Trainer.Config of torchtitan; checkpoint.folder must be empty, or what lies there is resumed instead.',
    'from torchtitan.components.checkpointer import CheckpointManager',
    '',
    'checkpoint = CheckpointManager.Config(',
    '    enable=True,',
    `    initial_load_path=${pythonOf(checkpoint)},`,
    ...kept,
    ')',
    '',
  ].join('\n');
  const warnings = optimizer === 'keep' ? [LOADED_RATES] : [];
  if (!checkpoint.startsWith('/') && !checkpoint.includes('://')) {
    warnings.push(`torchtitan wants an absolute path or a URI as initial_load_path: ${checkpoint}`);
  }
  return { files: [{ name: 'continue.py', text }], warnings };
}

function nanotron({ checkpoint, optimizer }: Continuation): ContinuationExport {
  const isKept = optimizer === 'keep';
  const text = yamlOf({
    checkpoints: {
      resume_checkpoint_path: checkpoint,
      load_optimizer: isKept,
      load_lr_scheduler: false,
    },
  });
  return { files: [{ name: 'continue.yaml', text }], warnings: isKept ? [LOADED_RATES] : [] };
}

function olmoCore({ checkpoint, optimizer }: Continuation): ContinuationExport {
  const text = [
    '# For OLMo-core: keyword arguments of the TrainerConfig; save_folder must hold no checkpoint yet.',
    'CONTINUE = {',
    `    "load_path": ${pythonOf(checkpoint)},`,
    '    "load_trainer_state": False,',
    `    "load_optim_state": ${pythonOf(optimizer === 'keep')},`,
    '}',
    '',
  ].join('\n');
  return { files: [{ name: 'continue.py', text }], warnings: [] };
}

function litgpt({ checkpoint, optimizer }: Continuation): ContinuationExport {
  const text = yamlOf({ initial_checkpoint_dir: checkpoint, resume: false });
  const warnings =
    optimizer === 'keep'
      ? [
          "litgpt cannot keep the optimizer's state and start the schedule anew: the state is dropped",
        ]
      : [];
  return { files: [{ name: 'continue.yaml', text }], warnings };
}

function axolotl({ checkpoint, optimizer }: Continuation): ContinuationExport {
  const warnings =
    optimizer === 'keep'
      ? [
          "Axolotl cannot keep the optimizer's state and start the schedule anew (resume_from_checkpoint restores both): the state is dropped",
        ]
      : [];
  return { files: [{ name: 'continue.yml', text: yamlOf({ base_model: checkpoint }) }], warnings };
}

/** A training loop of PyTorch of the user's own. */
function plain({ checkpoint, optimizer }: Continuation): ContinuationExport {
  const text = [
    '# For a training loop of PyTorch: what the stage starts from, and what is loaded of it.',
    `CHECKPOINT = ${pythonOf(checkpoint)}`,
    `LOAD_OPTIMIZER = ${pythonOf(optimizer === 'keep')}`,
    '',
  ].join('\n');
  const warnings = optimizer === 'keep' ? [LOADED_RATES] : [];
  return { files: [{ name: 'continue.py', text }], warnings };
}

function hf({ checkpoint, optimizer }: Continuation): ContinuationExport {
  const settings = { model_name_or_path: checkpoint };
  const files: ExportFile[] = [{ name: 'model_args.json', text: `${jsonOf(settings)}\n` }];
  if (optimizer === 'reset') return { files, warnings: [] };
  const text = `"""Keeps the optimizer's state of a checkpoint under a schedule that starts anew.

Use ContinuedTrainer in place of Trainer, before TableTrainer among the base classes where a table is used.
"""

import pathlib

import torch
from transformers import Trainer

CHECKPOINT = pathlib.Path(${pythonOf(checkpoint)})


class ContinuedTrainer(Trainer):
    def create_optimizer(self, *args, **kwargs):
        optimizer = super().create_optimizer(*args, **kwargs)
        rates = [group["lr"] for group in optimizer.param_groups]
        state = torch.load(CHECKPOINT / "optimizer.pt", map_location="cpu", weights_only=True)
        optimizer.load_state_dict(state)
        # The groups of the state bring the rates of the run before.
        for group, rate in zip(optimizer.param_groups, rates):
            group["lr"] = rate
            group.pop("initial_lr", None)
        return optimizer
`;
  files.push({ name: 'continue.py', text });
  return {
    files,
    warnings: [
      'transformers cannot load an optimizer without its schedule: continue.py does, for optimizer states in one file (not FSDP or DeepSpeed)',
    ],
  };
}
