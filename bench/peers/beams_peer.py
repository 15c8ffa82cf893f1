"""Beam search of qloft beside transformers' generate, in turns, on one model with random weights.

    python beams_peer.py FOLDER [--qloft build/qloft] [--dtype f32] [--beams 4] [--tokens 64] [--rounds 5]

FOLDER takes the model, which has the shape of BART-base's decoder: 6 layers of 768, a vocabulary of 50,265, as GPT-2
spells it. Both get the same prompt and as many new tokens; transformers has made a first pass that does not count.
"""

import argparse
import json
import pathlib
import shutil
import statistics
import subprocess
import time

import torch
from transformers import AutoModelForCausalLM, GPT2Config

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TYPES = dict(f32=torch.float32, bf16=torch.bfloat16)
PROMPT = "Tom has 7 apples. He finds 5 more and gives 4 to Anna."


def write_model(folder, dtype):
    torch.manual_seed(1)
    config = GPT2Config(n_layer=6, n_embd=768, n_head=12, vocab_size=50265, initializer_range=0.05, bos_token_id=0,
                        eos_token_id=2)
    folder.mkdir(parents=True, exist_ok=True)
    AutoModelForCausalLM.from_config(config, dtype=TYPES[dtype]).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(ROOT / "examples/bundled/model" / name, folder / name)


def run_qloft(args, folder):
    out = subprocess.run(
        [args.qloft, "generate", folder, "-p", PROMPT, "-n", str(args.tokens), "--min-new-tokens", str(args.tokens),
         "--num-beams", str(args.beams), "--dtype", args.dtype, "--threads", str(args.threads), "--json",
         "--quiet", *args.options], check=True, capture_output=True, text=True).stdout
    report = json.loads(out)
    return report["seconds"], report["prompt_ids"], report["ids"]


def run_transformers(model, prompt, args):
    ids = torch.tensor([prompt])
    start = time.perf_counter()
    out = model.generate(ids, attention_mask=torch.ones_like(ids), num_beams=args.beams, do_sample=False,
                         max_new_tokens=args.tokens, min_new_tokens=args.tokens, pad_token_id=0)
    return time.perf_counter() - start, out[0, len(prompt):].tolist()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--qloft", type=pathlib.Path, default=ROOT / "build/qloft")
    parser.add_argument("--dtype", choices=list(TYPES), default="f32", help="of weights and activations, of both")
    parser.add_argument("--beams", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--options", nargs="*", default=[], help="further ones of qloft generate, without dashes")
    args = parser.parse_args()
    args.options = [word if index % 2 else "--" + word for index, word in enumerate(args.options)]
    folder = args.folder / args.dtype
    if not (folder / "model.safetensors").exists():
        write_model(folder, args.dtype)
    torch.set_num_threads(args.threads)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=TYPES[args.dtype]).eval()
    _, prompt, _ = run_qloft(args, folder)
    run_transformers(model, prompt, args)
    ours, theirs = [], []
    same = True
    for _ in range(args.rounds):
        seconds, _, ids = run_qloft(args, folder)
        ours.append(seconds)
        seconds, peer_ids = run_transformers(model, prompt, args)
        theirs.append(seconds)
        same = same and ids == peer_ids
        print(f"qloft {ours[-1]:.3f} s, transformers {seconds:.3f} s, ratio {seconds / ours[-1]:.2f}", flush=True)
    ratios = [peer / own for own, peer in zip(ours, theirs, strict=True)]
    print(f"median ratio {statistics.median(ratios):.2f}; " + ("the same ids" if same else "other ids"))


if __name__ == "__main__":
    main()
