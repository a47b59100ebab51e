"""The Python half of models/check-convert.mjs: makes models, runs llama.cpp's own converter, compares, tokenises.

    make WORK CORPUS [REAL]           model folders WORK/models/*; REAL holds one folder of tokenizer files per family
    convert LLAMA DIR OUT TYPE [PRE]  native/vendor/llama.cpp/convert_hf_to_gguf.py; PRE is what it is to take for the
                                      pre-tokenizer of a tokenizer that it cannot know (it knows them by a hash)
    compare LLAMA OURS THEIRS         JSON: tensors and entries that differ
    tokenize DIR LINES OUT            ids by the tokenizer's own library: i32 count and ids for every line

Needs torch, numpy, transformers 4.57, tokenizers, sentencepiece, safetensors. Debian's torch 1.13 will do: names of types
that it lacks are filled in, none is used.
"""

import json
import shutil
import struct
import sys
from pathlib import Path

PATTERNS = {
    "llama3": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "qwen2": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
}
TEMPLATE = "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"


def save_weights(folder, config, dtype, shards, seed):
    import numpy as np

    rng = np.random.default_rng(seed)
    arch = config["architectures"][0]
    width, heads, ff = config["hidden_size"], config["num_attention_heads"], config["intermediate_size"]
    head = config.get("head_dim") or width // heads
    kv = config.get("num_key_value_heads", heads)
    shapes = {"model.embed_tokens.weight": (config["vocab_size"], width), "model.norm.weight": (width,)}
    if not config.get("tie_word_embeddings"):
        shapes["lm_head.weight"] = (config["vocab_size"], width)
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        rows = {"self_attn.q_proj": (heads * head, width), "self_attn.k_proj": (kv * head, width),
                "self_attn.v_proj": (kv * head, width), "self_attn.o_proj": (width, heads * head),
                "mlp.gate_proj": (ff, width), "mlp.up_proj": (ff, width), "mlp.down_proj": (width, ff)}
        for name, shape in rows.items():
            shapes[at + name + ".weight"] = shape
            attention = name.startswith("self_attn")
            bias = config.get("attention_bias" if attention else "mlp_bias")
            if bias or (arch == "Qwen2ForCausalLM" and attention and "o_proj" not in name):
                shapes[at + name + ".bias"] = shape[:1]
        shapes[at + "input_layernorm.weight"] = shapes[at + "post_attention_layernorm.weight"] = (width,)
        if arch == "Qwen3ForCausalLM":
            shapes[at + "self_attn.q_norm.weight"] = shapes[at + "self_attn.k_norm.weight"] = (head,)
    parts = [{} for _ in range(shards)]
    for index, (name, shape) in enumerate(shapes.items()):
        values = (rng.standard_normal(shape) * rng.choice([0.02, 1e-4, 3.0, 1e-6])).astype(np.float32)
        flat = values.reshape(-1)
        flat[:4] = [0, -0.0, 65519.0, 1e-41][: flat.size]
        parts[index % shards][name] = values
    places = {}
    for index, part in enumerate(parts):
        file = "model.safetensors" if shards == 1 else f"model-{index + 1:05d}-of-{shards:05d}.safetensors"
        header, blobs, at = {"__metadata__": {"format": "pt"}}, [], 0
        for name, values in part.items():
            blob = encode(values, dtype)
            header[name] = {"dtype": dtype, "shape": list(values.shape), "data_offsets": [at, at + len(blob)]}
            places[name] = file
            at += len(blob)
            blobs.append(blob)
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        (folder / file).write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))
    if shards > 1:
        index = {"metadata": {}, "weight_map": places}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def encode(values, dtype):
    import numpy as np

    if dtype == "F32":
        return values.tobytes()
    if dtype == "F16":
        return values.astype(np.float16).tobytes()
    return (values.view(np.uint32) >> 16).astype(np.uint16).tobytes()


def write(folder, name, value):
    (folder / name).write_text(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=1))


def byte_bpe(corpus, size, pre, specials, ignore_merges=False, normalizer=None, bos=None):
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC() if normalizer == "NFC" else None
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pre in ("gpt2", "smollm"))
    steps = {"gpt2": [byte_level], "smollm": [pre_tokenizers.Digits(individual_digits=True), byte_level]}.get(pre)
    if steps is None:
        from tokenizers import Regex

        steps = [pre_tokenizers.Split(Regex(PATTERNS[pre]), "isolated"), byte_level]
    tokenizer.pre_tokenizer = steps[0] if len(steps) == 1 else pre_tokenizers.Sequence(steps)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(corpus, trainer)
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in specials])
    tokenizer.add_tokens([AddedToken("<tool_call>", normalized=False), AddedToken("   ", normalized=False)])
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, tokenizer.token_to_id(bos))])
    value = json.loads(tokenizer.to_str())
    value["model"]["ignore_merges"] = ignore_merges
    return value


def sentencepiece_model(corpus, folder, size):
    import sentencepiece

    text = folder / "corpus.txt"
    text.write_text("\n".join(corpus))
    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(folder / "spm"), vocab_size=size, model_type="bpe", byte_fallback=True,
        normalization_rule_name="identity", remove_extra_whitespaces=False, split_digits=True,
        allow_whitespace_only_pieces=True, character_coverage=0.9995, max_sentence_length=100000,
        minloglevel=2, input_sentence_size=0)
    return (folder / "spm.model").read_bytes()


BASE = {"hidden_act": "silu", "hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
        "tie_word_embeddings": False}


def make(work, corpus_folder, real=None):
    work = Path(work)
    models = work / "models"
    shutil.rmtree(models, ignore_errors=True)
    models.mkdir(parents=True)
    corpus = []
    for file in sorted(Path(corpus_folder).glob("*.txt")):
        corpus += file.read_text().split("\n")
    spm = sentencepiece_model(corpus, work, 4000)

    def model(name, arch, config, dtype="F32", shards=1):
        folder = models / name
        folder.mkdir()
        # Other values than the folder's name gives would come from heuristics on names.
        full = {**BASE, "architectures": [arch], "model_type": arch.removesuffix("ForCausalLM").lower(), **config}
        write(folder, "config.json", full)
        save_weights(folder, full, dtype, shards, seed=sum(name.encode()))
        return folder

    def fast(folder, tokenizer, **config):
        write(folder, "tokenizer.json", tokenizer)
        write(folder, "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", **config})

    folder = model("llama-spm", "LlamaForCausalLM", {"vocab_size": 4000, "bos_token_id": 1, "eos_token_id": 2})
    (folder / "tokenizer.model").write_bytes(spm)
    decoder = {str(id_): {"content": text, "special": True} for id_, text in enumerate(["<unk>", "<s>", "</s>"])}
    write(folder, "tokenizer_config.json", {
        "tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "add_eos_token": False, "legacy": False,
        "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "added_tokens_decoder": decoder,
        "chat_template": TEMPLATE})
    write(folder, "generation_config.json", {"temperature": 0.6, "top_p": 0.9, "top_k": 40, "repetition_penalty": 1})
    write(folder, "README.md", "---\nlicense: apache-2.0\n---\n# A model\n")

    config = {"vocab_size": 3072, "tie_word_embeddings": True, "rope_theta": 500000.0, "bos_token_id": 3000,
              "eos_token_id": [3001, 3002], "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
              "high_freq_factor": 4.0, "original_max_position_embeddings": 256}}
    folder = model("llama3-bpe", "LlamaForCausalLM", config, "BF16", shards=3)
    specials = ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"]
    fast(folder, byte_bpe(corpus, 3000, "llama3", specials, ignore_merges=True, bos=specials[0]),
         bos_token=specials[0], eos_token=specials[2])
    write(folder, "chat_template.jinja", TEMPLATE)

    config = {"vocab_size": 4000, "attention_bias": True, "mlp_bias": True,
              "rope_scaling": {"type": "linear", "factor": 2.0}, "bos_token_id": 1, "eos_token_id": 2}
    folder = model("llama-spm-json", "LlamaForCausalLM", config, "F16")
    from transformers import LlamaTokenizerFast

    LlamaTokenizerFast(vocab_file=str(work / "spm.model"), legacy=False, add_eos_token=True).save_pretrained(folder)
    (folder / "tokenizer.model").unlink(missing_ok=True)

    config = {"vocab_size": 4016, "head_dim": 32, "sliding_window": 1024, "rope_scaling": {
        "type": "yarn", "factor": 4.0, "original_max_position_embeddings": 1024, "beta_fast": 32, "beta_slow": 1}}
    folder = model("mistral-spm", "MistralForCausalLM", config, "F16", shards=2)
    (folder / "tokenizer.model").write_bytes(spm)
    write(folder, "added_tokens.json", {"[TOOL]": 4000})
    decoder["4001"] = {"content": "<|user|>", "special": False}
    decoder["4002"] = {"content": "[PLAIN]", "special": False}
    write(folder, "tokenizer_config.json", {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "bos_token": {
        "content": "<s>", "special": True}, "eos_token": "</s>", "add_prefix_space": True, "added_tokens_decoder": decoder})

    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    config = {"vocab_size": 3040, "use_sliding_window": False, "sliding_window": 4096, "max_window_layers": 2,
              "rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 1024,
                               "attention_factor": 1.1}, "eos_token_id": 3002}
    folder = model("qwen2-bpe", "Qwen2ForCausalLM", config, "BF16", shards=2)
    fast(folder, byte_bpe(corpus, 3000, "qwen2", specials, normalizer="NFC"), add_bos_token=False, bos_token=None,
         eos_token=specials[2], pad_token=specials[0], additional_special_tokens=specials[1:],
         chat_template=[{"name": "default", "template": TEMPLATE}, {"name": "tool-use", "template": "{{ tools }}"}])

    config = {"vocab_size": 3040, "hidden_size": 80, "head_dim": 32, "attention_bias": False, "rope_theta": 1000000,
              "tie_word_embeddings": True, "rms_norm_eps": 1e-6, "eos_token_id": 3002}
    folder = model("qwen3-bpe", "Qwen3ForCausalLM", config, "F32", shards=1)
    fast(folder, byte_bpe(corpus, 3000, "qwen2", specials, normalizer="NFC"), eos_token=specials[2], pad_token=specials[0])
    write(folder, "chat_template.json", {"chat_template": TEMPLATE})

    folder = model("smollm-bpe", "LlamaForCausalLM", {"vocab_size": 3008, "tie_word_embeddings": True}, "BF16")
    fast(folder, byte_bpe(corpus, 3000, "smollm", ["<|endoftext|>"]), bos_token="<|endoftext|>", eos_token="<|endoftext|>")
    folder = model("gpt2-bpe", "LlamaForCausalLM", {"vocab_size": 3008}, "F32")
    fast(folder, byte_bpe(corpus, 3000, "gpt2", ["<|endoftext|>"]), eos_token="<|endoftext|>")

    for source in sorted(Path(real).iterdir()) if real else []:
        if not source.is_dir():
            continue
        size = vocabulary_size(source)
        arch = "Qwen3ForCausalLM" if "qwen" in source.name else "LlamaForCausalLM"
        config = {"vocab_size": size, "hidden_size": 32, "head_dim": 8, "intermediate_size": 64, "num_hidden_layers": 1,
                  "tie_word_embeddings": True}
        folder = model(source.name, arch, config, "BF16")
        for file in source.iterdir():
            shutil.copy(file, folder / file.name)


def vocabulary_size(folder):
    if (folder / "tokenizer.model").exists():
        import sentencepiece

        return sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model")).vocab_size()
    from tokenizers import Tokenizer

    return max(Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab().values()) + 1


def convert(llama, folder, out, kind, pre=None):
    import numpy
    import torch

    for name in ("float8_e4m3fn", "float8_e5m2", "float8_e8m0fnu", "uint16", "uint32", "uint64"):
        if not hasattr(torch, name):
            setattr(torch, name, object())
    del numpy
    sys.path[:0] = [llama, f"{llama}/gguf-py"]
    sys.argv = ["convert_hf_to_gguf.py", folder, "--outfile", out, "--outtype", kind]
    import convert_hf_to_gguf
    from conversion.base import TextModel

    if pre:
        TextModel.get_vocab_base_pre = lambda self, tokenizer: pre
    convert_hf_to_gguf.main()


def compare(llama, ours, theirs):
    sys.path.insert(0, f"{llama}/gguf-py")
    from gguf import GGUFReader

    files = [GGUFReader(ours), GGUFReader(theirs)]
    tensors = [{tensor.name: tensor for tensor in file.tensors} for file in files]
    different = sorted(set(tensors[0]) ^ set(tensors[1]))
    for name in set(tensors[0]) & set(tensors[1]):
        one, other = tensors[0][name], tensors[1][name]
        same = one.tensor_type == other.tensor_type and list(one.shape) == list(other.shape)
        if not same or one.data.tobytes() != other.data.tobytes():
            different.append(name)
    fields = [{key: (list(map(int, field.types)), field.contents()) for key, field in file.fields.items()
               if not key.startswith("GGUF.")} for file in files]
    entries = {}
    for key in sorted(set(fields[0]) | set(fields[1])):
        one, other = fields[0].get(key), fields[1].get(key)
        if one != other and repr(one) != repr(other):
            entries[key] = [short(one), short(other)]
    order = [list(file) for file in tensors]
    print(json.dumps({"nTensors": len(tensors[0]), "different": different, "nEntries": len(fields[0]), "entries": entries,
                      "sameOrder": order[0] == order[1]}))


def short(value):
    if value is None:
        return "absent"
    text = repr(value[1])
    return text if len(text) < 80 else text[:77] + "..."


def tokenize(folder, lines, out):
    folder = Path(folder)
    texts = [json.loads(line) for line in Path(lines).read_text().split("\n") if line]
    if (folder / "tokenizer.model").exists():
        import sentencepiece

        processor = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
        rows = [processor.encode(text) for text in texts]
    else:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        rows = [item.ids for item in tokenizer.encode_batch(texts, add_special_tokens=False)]
    with open(out, "wb") as file:
        for ids in rows:
            file.write(struct.pack(f"<{len(ids) + 1}i", len(ids), *ids))


if __name__ == "__main__":
    {"make": make, "convert": convert, "compare": compare, "tokenize": tokenize}[sys.argv[1]](*sys.argv[2:])
