"""Runs what `gristmill continue export` wrote for one trainer through that trainer's own classes.

check.py TRAINER FOLDER RATES: FOLDER holds the files of a stage, RATES the rate of every step. Ends with 0 when all holds,
with 77 where the trainer cannot be imported. Tiny data are made beside; nothing is downloaded and nothing is trained.
"""

import importlib
import json
import pathlib
import sys

TRAINER, FOLDER, RATES = sys.argv[1], pathlib.Path(sys.argv[2]).resolve(), json.loads(pathlib.Path(sys.argv[3]).read_text())
RUN = json.loads((FOLDER / "export.json").read_text())["run"]
FORM = json.loads((FOLDER / "export.json").read_text())["schedule"]
N_CTX, PER_STEP, STEPS = RUN["sequenceLength"], RUN["sequencesPerStep"], RUN["steps"]
SEQUENCES = {source["name"]: source["sequences"] for source in RUN["sources"]}
ROWS = {"ash": 200, "elm": 15625}
sys.path.insert(0, str(FOLDER))


def load(name):
    return importlib.import_module(name)


def same_rates(rate_of, tolerance=None):
    """Every rate of the trainer against the plan's."""
    tolerance = (1e-6 if FORM["exact"] else FORM["deviation"]["ofPeak"] + 1e-6) if tolerance is None else tolerance
    peak = max(RATES)
    worst = max(abs(rate_of(step) - rate) / peak for step, rate in enumerate(RATES, 1))
    assert worst <= tolerance, f"rates are off by {worst} of the largest, more than {tolerance}"
    print(f"rates: off by {worst:.1e} of the largest at most")


def near_shares(names, n):
    """Counts of a random blend within five deviations of its shares."""
    for source in RUN["sources"]:
        share, count = source["weight"], names.count(source["name"])
        assert abs(count - share * n) <= 5 * (n * share * (1 - share)) ** 0.5 + 1, f"{source['name']}: {count} of {n}, share {share}"
    print(f"blend: {n} sequences, " + ", ".join(f"{name} {names.count(name)}" for name in ROWS))


def torch_optimizer(rate):
    import torch

    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate)


def stepped(optimizer, scheduler):
    rates = []
    for _ in range(STEPS):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return lambda step: rates[step - 1]


def hf():
    from datasets import Dataset
    from transformers import TrainingArguments
    from transformers.optimization import get_scheduler

    settings = json.loads((FOLDER / "training_args.json").read_text())
    args = TrainingArguments(output_dir="out", use_cpu=True, **settings)
    assert args.max_steps == STEPS
    optimizer = torch_optimizer(args.learning_rate)
    if (FOLDER / "hf_lr_table.py").exists():
        scheduler = load("hf_lr_table").table_scheduler(optimizer)
    else:
        kwargs = args.lr_scheduler_kwargs or None
        scheduler = get_scheduler(args.lr_scheduler_type, optimizer, int(args.warmup_steps), STEPS, scheduler_specific_kwargs=kwargs)
    same_rates(stepped(optimizer, scheduler))
    for name, rows in ROWS.items():
        Dataset.from_dict({"input_ids": [[row] * 4 for row in range(rows)], "source": [name] * rows}).save_to_disk(name)
    blended = load("blend").blended_dataset()
    names, ids = list(blended["source"]), list(blended["input_ids"])
    assert {name: names.count(name) for name in ROWS} == SEQUENCES, names
    ash = [row[0] for row, name in zip(ids, names) if name == "ash"]
    assert all(ash.count(row) == len(ash) // ROWS["ash"] for row in range(ROWS["ash"])), "a source is not read in whole epochs"
    print(f"blend: {len(names)} rows, {SEQUENCES}")


def litgpt():
    import torch
    import yaml
    from litdata import TokensLoader, optimize
    from litgpt.args import TrainArgs
    from litgpt.pretrain import get_lr

    settings = yaml.safe_load((FOLDER / "schedule.yaml").read_text())
    train = TrainArgs(**settings["train"])
    rate = settings["optimizer"]["init_args"]["lr"]
    assert train.max_tokens == STEPS * PER_STEP * N_CTX and train.global_batch_size == PER_STEP
    if (FOLDER / "litgpt_lr_table.py").exists():
        load("litgpt_lr_table")
        import litgpt.pretrain

        table = litgpt.pretrain.get_lr
        same_rates(lambda step: table(rate, step - 1, 0, STEPS, rate))
    else:
        same_rates(lambda step: get_lr(rate, step - 1, train.lr_warmup_steps, STEPS, train.min_lr), tolerance=0.05)

    block = N_CTX + 1
    for at, (name, rows) in enumerate((("ash", 20), ("elm", 200))):
        optimize(fn=Tokens(block, at), inputs=list(range(rows)), output_dir=name, chunk_size=10 * block, item_loader=TokensLoader(), num_workers=1)
    names = []
    for sample in load("blend").blended_dataset(block):
        names.append("ash" if int(torch.as_tensor(sample)[0]) == 0 else "elm")
        if len(names) == 120:
            break
    near_shares(names, len(names))


class Tokens:
    def __init__(self, block, value):
        self.block, self.value = block, value

    def __call__(self, _):
        import torch

        yield torch.full((self.block,), self.value, dtype=torch.int32)


def torchtitan():
    blend = load("blend")
    config = blend.dataloader
    assert [source.dataset for source in config.sources] == list(ROWS)
    assert [source.weight for source in config.sources] == [source["weight"] for source in RUN["sources"]]
    name = "torchtitan_lr_table" if (FOLDER / "torchtitan_lr_table.py").exists() else "schedule"
    module = load(name)
    training = module.training
    assert (training.steps, training.global_batch_size, training.seq_len) == (STEPS, PER_STEP, N_CTX)
    optimizer = torch_optimizer(max(RATES))
    schedulers = module.lr_scheduler.build(optimizers=[optimizer], training_steps=STEPS)
    same_rates(stepped(optimizer, schedulers))


def megatron():
    from megatron.core.datasets.utils import get_blend_from_list
    from megatron.core.optimizer_param_scheduler import OptimizerParamScheduler

    paths, weights = get_blend_from_list((FOLDER / "blend.txt").read_text().split())
    assert paths == ["ash.npy", "elm.npy"] or paths == list(ROWS), paths
    assert weights == [source["weight"] for source in RUN["sources"]]
    words = (FOLDER / "schedule.args").read_text().split()
    args = dict(zip([word[2:] for word in words[::2]], words[1::2]))
    assert (int(args["global-batch-size"]), int(args["seq-length"])) == (PER_STEP, N_CTX)
    if (FOLDER / "megatron_lr_table.py").exists():
        table = load("lr_table")
        same_rates(table.rate)
        return
    samples = lambda key: int(args.get(f"{key}-samples", int(args.get(f"{key}-iters", 0)) * PER_STEP))
    group = {"lr": 0.0, "weight_decay": 0.0}
    optimizer = type("Optimizer", (), {"param_groups": [group]})()
    warmup = float(args["lr-warmup-fraction"]) * samples("lr-decay") if "lr-warmup-fraction" in args else samples("lr-warmup")
    scheduler = OptimizerParamScheduler(
        optimizer, float(args["lr-warmup-init"]), float(args["lr"]), float(args["min-lr"]), warmup, samples("lr-decay"),
        args["lr-decay-style"], 0.0, 0.0, STEPS * PER_STEP, "constant",
        wsd_decay_steps=samples("lr-wsd-decay") or None, lr_wsd_decay_style=args.get("lr-wsd-decay-style"),
    )
    rates = []
    for _ in range(STEPS):
        rates.append(group["lr"])
        scheduler.step(PER_STEP)
    same_rates(lambda step: rates[step - 1])


def olmo_core():
    import numpy

    numpy.zeros(ROWS["ash"] * N_CTX, dtype=numpy.uint16).tofile("ash.npy")
    numpy.ones(ROWS["elm"] * N_CTX, dtype=numpy.uint16).tofile("elm.npy")
    mixture = load("source_mixture")
    mixture.MIXTURE.render_tables = False
    mixture.MIXTURE.processes = 1
    built = mixture.MIXTURE.build(npdtype=numpy.uint16, sequence_length=mixture.SEQUENCE_LENGTH)
    total = sum(path.tokens for source in built.sources for path in source.path_tokens)
    assert total >= RUN["tokens"], f"{total} tokens, fewer than {RUN['tokens']}"
    print(f"blend: {total} tokens for {RUN['tokens']}")
    name = "olmo_core_lr_table" if (FOLDER / "olmo_core_lr_table.py").exists() else "schedule"
    module = load(name)
    assert module.GLOBAL_BATCH_TOKENS == RUN["tokensPerStep"]
    unit = RUN["tokensPerStep"] if str(getattr(module.SCHEDULER, "units", "steps")).endswith("tokens") else 1
    same_rates(lambda step: float(module.SCHEDULER.get_lr(module.LR, step * unit, STEPS * unit)))


def nanotron():
    import yaml
    from nanotron.config import LRSchedulerArgs, TokensArgs
    from nanotron.helpers import lr_scheduler_builder

    settings = yaml.safe_load((FOLDER / "schedule.yaml").read_text())
    tokens = TokensArgs(micro_batch_size=PER_STEP, batch_accumulation_per_replica=1, **settings["tokens"])
    assert (tokens.train_steps, tokens.sequence_length) == (STEPS, N_CTX)
    args = LRSchedulerArgs(**settings["optimizer"]["learning_rate_scheduler"])
    optimizer = torch_optimizer(args.learning_rate)
    wrapped = type("Optimizer", (), {"get_base_optimizer": lambda self: optimizer})()
    if (FOLDER / "nanotron_lr_table.py").exists():
        trainer = type("Trainer", (), {"optimizer": wrapped, "metadata": type("M", (), {"last_train_step": 0})()})()
        load("nanotron_lr_table").use_table(trainer)
        scheduler = trainer.lr_scheduler
    else:
        scheduler = lr_scheduler_builder(wrapped, args, STEPS)
    same_rates(stepped(optimizer, scheduler))


def axolotl():
    import yaml
    from axolotl.utils.schemas.config import AxolotlInputConfig

    settings = {"base_model": "none", "micro_batch_size": PER_STEP, "gradient_accumulation_steps": 1}
    for name in ("schedule.yml", "blend.yml"):
        settings.update(yaml.safe_load((FOLDER / name).read_text()))
    plugins = settings.pop("plugins", [])
    config = AxolotlInputConfig(**settings)
    assert (config.max_steps, config.sequence_len) == (STEPS, N_CTX)
    assert [dataset.path for dataset in config.datasets] == list(ROWS)
    print(f"config: {config.lr_scheduler}, {config.max_steps} steps")
    if plugins:
        optimizer = torch_optimizer(config.learning_rate)
        plugin = load("axolotl_lr_table").TablePlugin()
        same_rates(stepped(optimizer, plugin.create_lr_scheduler(config, None, optimizer, STEPS)))


def mosaicml_streaming():
    from streaming import MDSWriter

    for name in ROWS:
        with MDSWriter(out=name, columns={"source": "str"}) as writer:
            for _ in range(100 if name == "ash" else 1000):
                writer.write({"source": name})
    names = [sample["source"] for sample in load("blend").blended_dataset(PER_STEP)]
    assert {name: names.count(name) for name in ROWS} == SEQUENCES
    print(f"blend: {len(names)} samples, {SEQUENCES}")
    module = load("torch_lr_table")
    optimizer = torch_optimizer(module.PEAK_LR)
    same_rates(stepped(optimizer, module.table_scheduler(optimizer)))


if __name__ == "__main__":
    check = {"olmo-core": olmo_core, "mosaicml-streaming": mosaicml_streaming}.get(TRAINER) or globals()[TRAINER]
    try:
        check()
    except ImportError as error:
        print(f"cannot be imported: {error}")
        sys.exit(77)
