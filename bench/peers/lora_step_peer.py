"""PEFT on the CPU: LoRA training steps of an encoder shape with random weights and a head for two labels.

python lora_step_peer.py [--config CONFIG] [--rank 16] [--rows 32] [--tokens 128] [--steps 4] [--threads 2]
                         [--dtype f32|bf16] [--save FOLDER]

CONFIG is a config.json. --save writes the model to FOLDER, for `qloft bench FOLDER`, and measures nothing."""

import argparse
import pathlib
import resource
import time

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForSequenceClassification

SHAPE = pathlib.Path(__file__).parent.parent / "shapes/bert_base/config.json"

parser = argparse.ArgumentParser()
parser.add_argument("--config", default=SHAPE)
parser.add_argument("--rank", type=int, default=16)
parser.add_argument("--rows", type=int, default=32)
parser.add_argument("--tokens", type=int, default=128)
parser.add_argument("--steps", type=int, default=4)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--dtype", choices=["f32", "bf16"], default="f32")
parser.add_argument("--save", type=pathlib.Path)
args = parser.parse_args()
torch.set_num_threads(args.threads)

torch.manual_seed(0)
config = AutoConfig.from_pretrained(args.config)
config.num_labels = 2
model = AutoModelForSequenceClassification.from_config(config)
if args.save:
    model.save_pretrained(args.save)
    raise SystemExit(0)
model.to(torch.bfloat16 if args.dtype == "bf16" else torch.float32)
model = get_peft_model(model, LoraConfig(task_type="SEQ_CLS", r=args.rank, lora_alpha=args.rank,
                                         target_modules=["query", "key", "value", "dense"]))
model.train()
optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)
ids = torch.randint(0, config.vocab_size, (args.rows, args.tokens))
labels = torch.zeros(args.rows, dtype=torch.long)
for step in range(args.steps):
    start = time.perf_counter()
    model(input_ids=ids, labels=labels).loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    seconds = time.perf_counter() - start
    print(f"step {step}: {seconds:.2f} s, {args.rows * args.tokens / seconds:.1f} tokens/s", flush=True)
print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9:.2f} GB")
