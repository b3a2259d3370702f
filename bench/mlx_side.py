#!/usr/bin/env python3
"""hearth's MLX backend beside mlx-lm, on the same checkpoints of random 4-bit weights.

    bench/mlx_side.py HEARTH FOLDER TOKENIZER [SHAPE ...]

HEARTH is the program, with hearth-mlx.so for this machine's MLX beside it; checkpoints are made in FOLDER, with the files of the
folder TOKENIZER (any tokenizer: no text is looked at).  Needs mlx and mlx-lm.  Both are timed from when every stream has its
first token."""
import importlib
import json
import os
import shutil
import subprocess
import sys
import time

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_flatten
from mlx_lm.generate import BatchGenerator, generate_step

QWEN3 = dict(num_key_value_heads=8, head_dim=128, vocab_size=151936, rope_theta=1e6, rms_norm_eps=1e-6, max_position_embeddings=40960)
SHAPES = {
    "qwen3-0.6b": ("qwen3", "Qwen3ForCausalLM", dict(QWEN3, hidden_size=1024, num_hidden_layers=28, intermediate_size=3072,
                                                     num_attention_heads=16, tie_word_embeddings=True)),
    "llama-3.2-1b": ("llama", "LlamaForCausalLM", dict(
        hidden_size=2048, num_hidden_layers=16, intermediate_size=8192, num_attention_heads=32, num_key_value_heads=8, head_dim=64,
        vocab_size=128256, tie_word_embeddings=True, rope_theta=5e5, rms_norm_eps=1e-5, max_position_embeddings=131072,
        rope_scaling={"factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 8192,
                      "rope_type": "llama3"})),
    "qwen3-8b": ("qwen3", "Qwen3ForCausalLM", dict(QWEN3, hidden_size=4096, num_hidden_layers=36, intermediate_size=12288,
                                                   num_attention_heads=32, tie_word_embeddings=False)),
}
DRAWN = 128


def make(name, folder, tokenizer):
    family, architecture, sizes = SHAPES[name]
    mx.random.seed(1)
    module = importlib.import_module("mlx_lm.models." + family)
    model = module.Model(module.ModelArgs(model_type=family, **sizes))
    model.set_dtype(mx.bfloat16)
    nn.quantize(model, group_size=64, bits=4)
    model.eval()
    mx.eval(model.parameters())
    shutil.copytree(tokenizer, folder, dirs_exist_ok=True)
    mx.save_safetensors(folder + "/model.safetensors", dict(tree_flatten(model.parameters())), metadata={"format": "mlx"})
    with open(folder + "/config.json", "w") as f:
        json.dump(dict(sizes, model_type=family, architectures=[architecture], quantization={"group_size": 64, "bits": 4},
                       eos_token_id=0, torch_dtype="bfloat16"), f)
    return model


def alone(model):
    prompt, first, n = mx.random.randint(0, 100000, (512,)), 0, 0
    for _ in generate_step(prompt, model, max_tokens=DRAWN):
        first = first or time.perf_counter()
        n += 1
    return (n - 1) / (time.perf_counter() - first)


def together(model, streams):
    batch = BatchGenerator(model, max_tokens=DRAWN, completion_batch_size=64, prefill_batch_size=16)
    batch.insert([mx.random.randint(0, 100000, (32,)).tolist() for _ in range(streams)])
    began, after = 0, 0
    while out := batch.next_generated():
        if began:
            after += len(out)
        elif len(out) == streams:
            began = time.perf_counter()
    return after / (time.perf_counter() - began)


def main():
    program, folder, tokenizer, *names = sys.argv[1:]
    for name in names or SHAPES:
        at = os.path.join(folder, name)
        model = make(name, at, tokenizer)
        print(f"mlx-lm {name} 1: " + " ".join("%.1f" % alone(model) for _ in range(3)), flush=True)
        for streams in (4, 8, 16):
            print(f"mlx-lm {name} {streams}: " + " ".join("%.1f" % together(model, streams) for _ in range(2)), flush=True)
        del model
        mx.clear_cache()
        for prompt, streams in ((512, 1), (32, 16)):
            subprocess.run([program, "bench", at, "--backend", "mlx", "--no-draft", "--ctx", "2048", "--prompt", str(prompt), "--decode",
                            str(DRAWN), "--parallel", str(streams)], check=True)


if __name__ == "__main__":
    main()
