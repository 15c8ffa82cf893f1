"""PEFT + bitsandbytes on the CPU: one QLoRA training step of a 1.1B Llama shape with random weights.

python qlora_step_peer.py [--checkpointing] [--tokens 512] [--steps 2] [--threads 2]"""

import argparse
import resource
import time

import bitsandbytes as bnb
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

parser = argparse.ArgumentParser()
parser.add_argument("--checkpointing", action="store_true")
parser.add_argument("--tokens", type=int, default=512)
parser.add_argument("--steps", type=int, default=2)
parser.add_argument("--threads", type=int, default=2)
args = parser.parse_args()
torch.set_num_threads(args.threads)

config = LlamaConfig(hidden_size=2048, num_hidden_layers=22, num_attention_heads=32,
                     num_key_value_heads=4, intermediate_size=5632, vocab_size=32000)
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
model = get_peft_model(model, LoraConfig(r=64, lora_alpha=64, target_modules="all-linear"))
model.train()
if args.checkpointing:
    model.gradient_checkpointing_enable()
    model.enable_input_require_grads()
optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)
ids = torch.randint(0, 32000, (1, args.tokens))
for step in range(args.steps):
    start = time.perf_counter()
    loss = model(input_ids=ids, labels=ids).loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    seconds = time.perf_counter() - start
    print(f"step {step}: {seconds:.2f} s, {args.tokens / seconds:.1f} tokens/s", flush=True)
print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")
