"""Trains the model of a job file with PyTorch: reference for losses, contender for speed.

    train_reference.py JOB THREADS eager|sdpa|compiled float32|bf16 STEPS

eager writes attention out; sdpa is torch's own (scaled_dot_product_attention); compiled is sdpa under torch.compile.
bf16 is autocast: products in bf16, weights in float32.

An independent implementation of what the trainer does (llama: RMSNorm, rotary pairs, grouped heads, SwiGLU; AdamW
with decoupled decay, none on norms; clipping by the global norm). Reads JOB.json beside JOB.bin (weights in the
order of job["tensors"], float32) and JOB.tokens (int32, [steps, sequences, context]); prints one JSON object with
the loss, the seconds and the CPU-seconds of every step.
"""

import json
import math
import sys
import time

import torch
import torch.nn.functional as F


def load(path, dtype):
    with open(path, "rb") as file:
        return torch.frombuffer(bytearray(file.read()), dtype=dtype)


def main():
    base, threads, mode, precision, n_steps = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4], int(sys.argv[5])
    torch.set_num_threads(threads)
    with open(base + ".json", encoding="utf-8") as file:
        job = json.load(file)
    shape = job["shape"]
    flat = load(base + ".bin", torch.float32)
    weights, at = {}, 0
    for tensor in job["tensors"]:
        rows, columns = tensor["rows"], tensor["columns"]
        value = flat[at : at + rows * columns].clone()
        at += rows * columns
        is_norm = tensor["name"].endswith("norm.weight")
        value = value if is_norm else value.view(rows, columns)
        weights[tensor["name"]] = torch.nn.Parameter(value)
    tokens = load(base + ".tokens", torch.int32).long().view(-1, job["nSeq"], job["nCtx"])

    n_ctx, dim = job["nCtx"], shape["nHeadDim"]
    heads, kv_heads = shape["nHead"], shape["nHeadKv"]
    rates = shape["ropeTheta"] ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
    angles = torch.outer(torch.arange(n_ctx, dtype=torch.float64), rates)
    cosine, sine = angles.cos().float(), angles.sin().float()
    mask = torch.full((n_ctx, n_ctx), float("-inf")).triu(1)

    def norm(x, gain):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + shape["rmsEpsilon"]) * gain

    def rotate(x):
        even, odd = x[..., 0::2], x[..., 1::2]
        turned = (even * cosine - odd * sine, even * sine + odd * cosine)
        return torch.stack(turned, dim=-1).flatten(-2)

    def split(x, count):
        return x.view(x.shape[0], n_ctx, count, dim).transpose(1, 2)

    def forward(ids):
        x = F.embedding(ids, weights["token_embd.weight"])
        for layer in range(shape["nLayer"]):
            w = {name: weights[f"blk.{layer}.{name}.weight"] for name in (
                "attn_norm", "attn_q", "attn_k", "attn_v", "attn_output",
                "ffn_norm", "ffn_gate", "ffn_up", "ffn_down")}
            h = norm(x, w["attn_norm"])
            q = rotate(split(F.linear(h, w["attn_q"]), heads))
            k = rotate(split(F.linear(h, w["attn_k"]), kv_heads))
            v = split(F.linear(h, w["attn_v"]), kv_heads)
            if kv_heads != heads:
                k = k.repeat_interleave(heads // kv_heads, dim=1)
                v = v.repeat_interleave(heads // kv_heads, dim=1)
            if mode == "eager":
                scores = q @ k.transpose(-1, -2) / math.sqrt(dim) + mask
                mixed = scores.softmax(-1) @ v
            else:
                mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            mixed = mixed.transpose(1, 2).reshape(x.shape[0], n_ctx, heads * dim)
            x = x + F.linear(mixed, w["attn_output"])
            h = norm(x, w["ffn_norm"])
            gated = F.silu(F.linear(h, w["ffn_gate"])) * F.linear(h, w["ffn_up"])
            x = x + F.linear(gated, w["ffn_down"])
        head = weights["token_embd.weight" if shape["tied"] else "output.weight"]
        return F.linear(norm(x, weights["output_norm.weight"])[:, :-1], head)

    def loss_of(ids):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            logits = forward(ids)
        return F.cross_entropy(logits.float().reshape(-1, logits.shape[-1]), ids[:, 1:].reshape(-1))

    if mode == "compiled":
        loss_of = torch.compile(loss_of)

    decayed = [weight for name, weight in weights.items() if not name.endswith("norm.weight")]
    norms = [weight for name, weight in weights.items() if name.endswith("norm.weight")]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": job["weightDecay"]}, {"params": norms, "weight_decay": 0.0}],
        lr=1.0, betas=(job["beta1"], job["beta2"]), eps=job["adamEpsilon"])

    losses, seconds, cpu_seconds = [], [], []
    for step, ids in enumerate(tokens[:n_steps]):
        started, cpu_started = time.perf_counter(), time.process_time()
        for group in optimizer.param_groups:
            group["lr"] = job["lrs"][step]
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(ids)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(list(weights.values()), job["clipNorm"])
        optimizer.step()
        losses.append(loss.item())
        seconds.append(time.perf_counter() - started)
        cpu_seconds.append(time.process_time() - cpu_started)
    print(json.dumps({"version": torch.__version__, "losses": losses, "seconds": seconds, "cpuSeconds": cpu_seconds}))


main()
