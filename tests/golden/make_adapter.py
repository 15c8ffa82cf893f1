"""Writes tests/golden/adapter: adapter folders as PEFT saves them, and the weights it merges.

    pip install torch==2.15.0 transformers==5.23.0 peft==0.21.2 safetensors==0.8.0
    python make_adapter.py              # writes the golden folders
    python make_adapter.py --check DIR  # loads DIR, which qloft wrote, into PEFT
"""

import argparse
import pathlib
import shutil
import warnings

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

HERE = pathlib.Path(__file__).parent / "adapter"

ADAPTERS = {
    "list": dict(r=4, lora_alpha=6, target_modules=["q_proj", "v_proj"], lora_dropout=0.05),
    "patterns": dict(
        r=4,
        lora_alpha=8,
        use_rslora=True,
        target_modules="all-linear",
        rank_pattern={"layers.1.self_attn.q_proj": 2, "down_proj": 3, "up_proj|gate_proj": 5},
        alpha_pattern={"^model.layers.0.mlp.(up|down)_proj": 5.5, "o_proj": 3},
    ),
    "expression": dict(r=2, lora_alpha=2, target_modules=r"model\.layers\.1\.(self_attn\.[kv]|mlp\.up)_proj"),
}


def base():
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=16, hidden_size=8, intermediate_size=12, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=32,
    )
    return LlamaForCausalLM(config).eval()


def randomize(model, seed):
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in sorted(model.named_parameters()):
        if "lora_" in name:
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.1


def linears(model):
    return {n + ".weight": m.weight.detach().clone() for n, m in model.named_modules() if isinstance(m, torch.nn.Linear)}


def make():
    shutil.rmtree(HERE, ignore_errors=True)
    HERE.mkdir()
    save_file(linears(base()), HERE / "base.safetensors")
    for index, (name, options) in enumerate(ADAPTERS.items()):
        model = get_peft_model(base(), LoraConfig(task_type="CAUSAL_LM", **options))
        randomize(model, index)
        model.save_pretrained(HERE / name)
        (HERE / name / "README.md").unlink(missing_ok=True)
        merged = PeftModel.from_pretrained(base(), HERE / name).merge_and_unload()
        save_file(linears(merged), HERE / name / "merged.safetensors")
    make_eight_bits()


def make_eight_bits():
    """The adapter `list`, stored as float8_e4m3fn, and what PEFT makes of it."""
    folder = HERE / "eight_bits"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(HERE / "list", folder)
    factors = load_file(folder / "adapter_model.safetensors")
    eight_bits = {name: factor.to(torch.float8_e4m3fn) for name, factor in factors.items()}
    save_file(eight_bits, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    merged = PeftModel.from_pretrained(base(), folder).merge_and_unload()
    save_file(linears(merged), folder / "merged.safetensors")


def check(folder):
    """The adapter must load without a warning, and change the output as its own factors say."""
    ids = torch.arange(10)[None] % 16
    model = base()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*")  # PEFT's own
        model = PeftModel.from_pretrained(model, folder)
    config = model.peft_config["default"]
    factors = load_file(pathlib.Path(folder) / "adapter_model.safetensors")
    with torch.no_grad():
        attached = model(ids).logits
        plain = base()
        modules = dict(plain.named_modules())
        count = 0
        for key, a in factors.items():
            if not key.endswith("lora_A.weight"):
                continue
            b = factors[key.replace("lora_A", "lora_B")]
            module = key.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
            layer = model.get_submodule("base_model.model." + module)
            modules[module].weight += layer.scaling["default"] * b.float() @ a.float()
            count += 1
        merged = plain(ids).logits
    print(f"{count} modules, rank {config.r}, largest difference {(attached - merged).abs().max():.2e}, "
          f"adapter changes the output by {(attached - base()(ids).logits).abs().max():.2e}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--check")
    arguments = parser.parse_args()
    check(arguments.check) if arguments.check else make()
