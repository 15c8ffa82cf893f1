"""Writes tests/golden/embedding_adapters: adapters of the embedding and the output matrix, by PEFT.

    pip install torch==2.15.0 transformers==5.23.0 peft==0.21.2 safetensors==0.8.0
    python make_embedding_adapters.py              # writes the golden folders
    python make_embedding_adapters.py --check MODEL DIR  # the loss of DIR, which qloft wrote, on MODEL
"""

import argparse
import json
import pathlib
import shutil
import warnings

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

HERE = pathlib.Path(__file__).parent / "embedding_adapters"
IDS = [[3, 9, 14, 1, 7, 7, 2, 11], [5, 6, 15, 0, 8, 2, 2, 4]]

CASES = {
    "untied": dict(tie=False, target_modules=["q_proj", "embed_tokens", "lm_head"]),
    "tied": dict(tie=True, target_modules=["embed_tokens", "down_proj"]),
}


def make(name, tie, target_modules):
    folder = HERE / name
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=16, hidden_size=8, intermediate_size=12, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=32, tie_word_embeddings=tie, initializer_range=0.4,
    )
    LlamaForCausalLM(config).save_pretrained(folder / "model")
    base = AutoModelForCausalLM.from_pretrained(folder / "model")
    model = get_peft_model(
        base, LoraConfig(task_type="CAUSAL_LM", r=3, lora_alpha=6, target_modules=target_modules)
    )
    generator = torch.Generator().manual_seed(1)
    for parameter_name, parameter in sorted(model.named_parameters()):
        if "lora_" in parameter_name:
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.3
    ids = torch.tensor(IDS)
    out = model(input_ids=ids, labels=ids)
    out.loss.backward()
    gradients = {
        n.removeprefix("base_model.model.").replace(".default", "").removesuffix(".weight"): p.grad.flatten().tolist()
        for n, p in model.named_parameters()
        if p.grad is not None
    }
    model.peft_config["default"].base_model_name_or_path = "base"
    model.save_pretrained(folder / "adapter")
    (folder / "adapter" / "README.md").unlink(missing_ok=True)
    expected = dict(ids=IDS, loss=out.loss.item(), logits=out.logits[1, -1].tolist(), gradients=gradients)
    (folder / "expected.json").write_text(json.dumps(expected) + "\n")


def check(model_folder, adapter_folder):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*")  # PEFT's own
        warnings.filterwarnings("ignore", message=".*tie_word_embeddings.*")
        model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(model_folder), adapter_folder)
    ids = torch.tensor(IDS)
    print(model(input_ids=ids, labels=ids).loss.item())


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", nargs=2, metavar=("MODEL", "DIR"))
    arguments = parser.parse_args()
    if arguments.check:
        check(*arguments.check)
    else:
        shutil.rmtree(HERE, ignore_errors=True)
        for case, row in CASES.items():
            make(case, **row)
