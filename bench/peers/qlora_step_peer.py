"""PEFT + bitsandbytes on the CPU: QLoRA training steps of a Llama shape with random weights.

python qlora_step_peer.py [--config CONFIG] [--rank 64] [--checkpointing] [--tokens 512] [--steps 2]
                          [--threads 2] [--json]

CONFIG is a config.json. With --json the last line is an object, without the first step in its speeds."""

import argparse
import json
import pathlib
import resource
import time

import bitsandbytes as bnb
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

SHAPE = pathlib.Path(__file__).parent.parent / "shapes/llama_1b/config.json"

parser = argparse.ArgumentParser()
parser.add_argument("--config", default=SHAPE)
parser.add_argument("--rank", type=int, default=64)
parser.add_argument("--checkpointing", action="store_true")
parser.add_argument("--tokens", type=int, default=512)
parser.add_argument("--steps", type=int, default=2)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--json", action="store_true")
args = parser.parse_args()
torch.set_num_threads(args.threads)

config = LlamaConfig.from_json_file(args.config)
torch.set_default_dtype(torch.bfloat16)
model = LlamaForCausalLM(config)
for name, module in list(model.named_modules()):
    for child, linear in list(module.named_children()):
        if isinstance(linear, torch.nn.Linear) and child != "lm_head":
            packed = bnb.nn.Linear4bit(linear.in_features, linear.out_features, bias=False,
                                       compute_dtype=torch.bfloat16, quant_type="nf4")
            packed.weight = bnb.nn.Params4bit(linear.weight.data, requires_grad=False,
                                              quant_type="nf4")
            setattr(module, child, packed.to("cpu"))
model = get_peft_model(model, LoraConfig(r=args.rank, lora_alpha=args.rank, target_modules="all-linear"))
model.train()
if args.checkpointing:
    model.gradient_checkpointing_enable()
    model.enable_input_require_grads()
optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)
ids = torch.randint(0, config.vocab_size, (1, args.tokens))
speeds = []
for step in range(args.steps):
    start = time.perf_counter()
    loss = model(input_ids=ids, labels=ids).loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    seconds = time.perf_counter() - start
    speeds.append(args.tokens / seconds)
    print(f"step {step}: {seconds:.2f} s, {speeds[-1]:.1f} tokens/s", flush=True)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(f"peak {peak / 1e9:.2f} GB")
if args.json:
    print(json.dumps({"tokens_per_second": speeds[1:] or speeds, "peak_memory": peak}))
