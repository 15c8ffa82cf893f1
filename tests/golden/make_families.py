"""Writes the checkpoints of families.py below tests/golden/models, and adapters for those of make_models.py.

    pip install torch==2.11.0 transformers==5.23.0 peft==0.21.2 safetensors==0.8.0
    python make_families.py [NAME ...]

Each folder holds what make_models.py writes, and the adapters of make_adapters.py. Weights are random but such that
no choice is nearly tied: neither the likeliest next id nor the experts of a token.
"""

import copy
import json
import pathlib
import shutil
import sys
import tempfile

import peft
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

import make_adapters
import make_models
from families import FAMILIES, OLDER_ADAPTERS

LEAST_CHANGE = 5e-4  # of a logit; readers are held to 1e-4
PREFIXES = ("transformer.", "model.decoder.")


def digits(value):
    """Eight digits are enough for 1e-4 of anything, and keep the files small."""
    if isinstance(value, dict):
        return {name: digits(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [digits(entry) for entry in value]
    return float(f"{value:.8g}") if isinstance(value, float) else value


def randomize(model, seed):
    """Norms away from 1 and biases away from 0, matrices wide enough for soft caps and routers to matter."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, parameter in sorted(model.named_parameters()):
            values = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(parameter + values * 0.2 if parameter.dim() == 1 else values * 0.3)
    return model


def named_as_on_disk(model, spelling):
    """The parameters of `model` under the names of a checkpoint."""
    if spelling == "memory":
        return {name: value.detach().clone() for name, value in model.named_parameters()}
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        tensors = load_file(pathlib.Path(folder) / "model.safetensors")
    if spelling == "bare":
        for prefix in PREFIXES:
            tensors = {name.removeprefix("model." if prefix.startswith("model.") else prefix): value
                       for name, value in tensors.items()}
    return tensors


def write_checkpoint(folder, row, seed):
    config = AutoConfig.for_model(row.model_type, **copy.deepcopy(row.fields))
    model = randomize(AutoModelForCausalLM.from_config(config), seed)
    tensors = {name: value.to(torch.bfloat16).contiguous()
               for name, value in named_as_on_disk(model, row.spelling).items()}
    if row.model_type == "gpt2" and row.spelling == "bare":
        # The published checkpoint holds its causal masks.
        size = row.fields["n_positions"]
        for layer in range(row.fields["n_layer"]):
            tensors[f"h.{layer}.attn.bias"] = torch.ones(size, size, dtype=torch.uint8).tril().reshape(1, 1, size, size)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    text = dict(architectures=[type(model).__name__], model_type=row.model_type, dtype="bfloat16", **row.fields)
    (folder / "config.json").write_text(json.dumps(text, indent=1, sort_keys=True) + "\n")


def check_loading(folder):
    """Every tensor of the file is used, and none is missing."""
    _, found = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    for kind, names in found.items():
        assert not [name for name in names or [] if not str(name).endswith(".attn.bias")], f"{folder.name}: {kind} {names}"


def gradients(model, named):
    """Of every parameter with a gradient above rounding errors, under the names that `named` gives a model's."""
    carrier = copy.deepcopy(model)
    with torch.no_grad():
        for (_, parameter), (_, source) in zip(carrier.named_parameters(), model.named_parameters(), strict=True):
            parameter.copy_(torch.zeros_like(source) if source.grad is None else source.grad)
    out = {}
    for name, gradient in sorted(named(carrier).items()):
        if gradient.norm() > 1e-4:
            out[name] = dict(norm=gradient.norm().item(), first=gradient.flatten()[:6].tolist())
    return out


def expected(folder, row, seed):
    generator = torch.Generator().manual_seed(1000 + seed)
    ids = torch.randint(3, 60, (2, make_models.LENGTH), generator=generator)
    model = make_models.fresh(folder)
    gap = make_adapters.least_router_gap(model, lambda model: model(input_ids=ids))
    out = model(input_ids=ids, labels=ids)
    out.loss.backward()
    rows = ids.tolist()
    batch = [rows[0][:17], rows[1][:11]]
    greedy = make_models.greedy(folder, [rows[0]])[0]
    batch_greedy = [make_models.greedy(folder, [row])[0] for row in batch]
    for ids_of_row, continued in zip([rows[0], *batch], [greedy, *batch_greedy], strict=True):
        whole = torch.tensor([ids_of_row + continued])
        gap = min(gap, make_adapters.least_router_gap(model, lambda model, whole=whole: model(input_ids=whole)))
    assert gap > make_adapters.ROUTER_GAP, f"experts nearly tied: {gap}"
    return dict(
        transformers=transformers.__version__,
        ids=rows,
        loss=out.loss.item(),
        positions=make_models.PROBED_POSITIONS,
        logits=[out.logits[1, p].tolist() for p in make_models.PROBED_POSITIONS],
        gradients=gradients(model, lambda own: named_as_on_disk(own, row.spelling)),
        greedy=greedy,
        batch=batch,
        batch_greedy=batch_greedy,
    )


def check_that_fields_matter(folder, row, ids):
    ids = torch.tensor(ids)
    with torch.no_grad():
        logits = make_models.fresh(folder)(input_ids=ids).logits
        for change in row.matters:
            config = AutoConfig.for_model(row.model_type, **(copy.deepcopy(row.fields) | change))
            model = AutoModelForCausalLM.from_pretrained(
                folder, config=config, dtype=torch.float32,
                attn_implementation=make_models.attention_of(folder)).eval()
            difference = (model(input_ids=ids).logits - logits).abs().max().item()
            assert difference > LEAST_CHANGE, f"{folder.name}: {change} changes logits by {difference} only"


def write_family(name, row, first_seed):
    """The first seed with which nothing is nearly tied."""
    folder = make_models.HERE / name
    for seed in range(first_seed, first_seed + 50):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        write_checkpoint(folder, row, seed)
        check_loading(folder)
        try:
            values = expected(folder, row, seed)
        except AssertionError as error:
            print(f"{name}: seed {seed}: {error}")
            continue
        check_that_fields_matter(folder, row, values["ids"])
        (folder / "expected.json").write_text(json.dumps(digits(values)) + "\n")
        return seed
    raise SystemExit(f"{name}: no seed will do")


def write_adapters(name, targets, experts, seed):
    folder = make_models.HERE / name
    ids = json.loads((folder / "expected.json").read_text())["ids"]
    out = dict(peft=peft.__version__)
    out["adapter"] = make_adapters.write(folder, "adapter", ids, seed, target_modules=targets)
    if experts:
        out["experts"] = make_adapters.write(folder, "experts", ids, seed + 1, target_modules=[],
                                             target_parameters=experts)
    if name == "mixtral":
        out["older_experts"] = make_adapters.write_older(folder, "older_experts", ids, seed + 2)
    (folder / "adapters.json").write_text(json.dumps(digits(out)) + "\n")


def main():
    assert transformers.__version__ == "5.23.0", transformers.__version__
    assert peft.__version__ == "0.21.2", peft.__version__
    torch.set_num_threads(1)
    transformers.logging.disable_progress_bar()
    transformers.logging.set_verbosity_error()
    wanted = sys.argv[1:] or [*FAMILIES, *OLDER_ADAPTERS]
    wanted = {row.shares for name, row in FAMILIES.items() if name in wanted} | {*wanted}
    seeds = {}
    for number, (name, row) in enumerate(FAMILIES.items()):
        if name not in wanted:
            continue
        seeds[name] = write_family(name, row, seeds[row.shares] if row.shares else 100 * number)
        write_adapters(name, row.targets, row.experts, 5000 + number)
        files = [file for file in (make_models.HERE / name).rglob("*") if file.is_file()]
        print(name, "seed", seeds[name], sum(file.stat().st_size for file in files), "bytes")
    for number, (name, targets) in enumerate(OLDER_ADAPTERS.items()):
        if name in wanted:
            write_adapters(name, targets, None, 6000 + number)


if __name__ == "__main__":
    main()
