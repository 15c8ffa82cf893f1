"""Writes beams.json: what transformers' generate gives on the models of make_models.py and make_families.py, and
logits_processors.json: what its logits processors make of scores.

    pip install torch==2.11.0 transformers==5.23.0
    python make_beams.py

A case is a model, a prompt, settings by their names in generation_config.json, and the sequences that come out, best
first, without the prompt, with their scores. No choice is nearly tied: noise on all scores changes no sequence. Each
setting changes the sequences of at least one of its cases.
"""

import json
import math
import pathlib

import torch
import transformers
from transformers import GenerationConfig, LogitsProcessor

import make_models

HERE = pathlib.Path(__file__).parent
MODELS = ("llama_llama3", "gpt2", "mistral")
NOISE = 5e-4
NEW = 14
NO_TOKEN = 1000
NOT_FOUND = -1e8  # scores of sequences that fill up places

FOUR = dict(num_beams=4)
# Settings, and those that they are to differ from.
CASES = [
    (dict(), None),
    (FOUR, dict()),
    (dict(num_beams=2), dict()),
    (dict(num_beams=4, num_return_sequences=4), None),
    (dict(num_beams=7, num_return_sequences=3), None),
    *[(dict(FOUR, early_stopping=stop, length_penalty=penalty, num_return_sequences=2), None)
      for stop in (True, False, "never") for penalty in (-1.0, 0.0, 1.0, 2.0)],
    (dict(FOUR, early_stopping=True, num_return_sequences=4), dict(FOUR, num_return_sequences=4)),
    (dict(num_beams=2, early_stopping="never", length_penalty=2.0), dict(num_beams=2, length_penalty=2.0)),
    (dict(FOUR, length_penalty=2.0), dict(FOUR, length_penalty=-1.0)),
    (dict(FOUR, no_repeat_ngram_size=2), FOUR),
    (dict(FOUR, no_repeat_ngram_size=1), FOUR),
    (dict(no_repeat_ngram_size=3), dict()),
    (dict(FOUR, repetition_penalty=1.7), FOUR),
    (dict(repetition_penalty=1.7), dict()),
    (dict(FOUR, min_length=17, num_return_sequences=2), dict(FOUR, num_return_sequences=2)),
    (dict(FOUR, min_new_tokens=9), FOUR),
    (dict(min_new_tokens=9), dict()),
    (dict(FOUR, forced_eos_token_id=5, num_return_sequences=2), dict(FOUR, num_return_sequences=2)),
    (dict(FOUR, forced_eos_token_id=[5, 9]), FOUR),
    (dict(forced_eos_token_id=5), dict()),
    (dict(FOUR, forced_bos_token_id=7, num_return_sequences=3), dict(FOUR, num_return_sequences=3)),
    (dict(forced_bos_token_id=7), dict()),
    (dict(FOUR, no_repeat_ngram_size=3, min_length=10, length_penalty=2.0, early_stopping=True,
          forced_bos_token_id=3, forced_eos_token_id=2, repetition_penalty=1.2), FOUR),
]


class Noise(LogitsProcessor):
    def __init__(self, seed):
        self.generator = torch.Generator().manual_seed(seed)

    def __call__(self, input_ids, scores):
        return scores + (torch.rand(scores.shape, generator=self.generator) * 2 - 1) * NOISE


def run(model, prompt, settings, eos, noise=None):
    out = model.generate(
        torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt), dtype=torch.long), max_new_tokens=NEW,
        eos_token_id=eos, pad_token_id=0, do_sample=False, return_dict_in_generate=True, output_scores=True,
        logits_processor=[Noise(noise)] if noise is not None else [], **settings)
    sequences = []
    for row in out.sequences[:, len(prompt):].tolist():
        ends = [i for i, token in enumerate(row) if token in eos]
        sequences.append(row[:ends[0] + 1] if ends else row)
    scores = out.sequences_scores.tolist() if settings.get("num_beams", 1) > 1 else None
    return sequences, scores


def end_tokens(model, prompt):
    """Tokens that plain beams come across in their midst."""
    (best, *_, last), _ = run(model, prompt, dict(num_beams=4, num_return_sequences=4), [NO_TOKEN])
    return [best[4]], sorted({best[6], last[3]}), sorted({*best[2:], *range(10, 24)})


# One setting each, as many as there are, and some together.
PROCESSORS = [
    dict(repetition_penalty=1.3), dict(repetition_penalty=0.7), dict(encoder_repetition_penalty=1.5),
    *[dict(no_repeat_ngram_size=size) for size in (1, 2, 3, 40)],
    *[dict(encoder_no_repeat_ngram_size=size) for size in (1, 2, 3)],
    dict(bad_words_ids=[[5], [2], [3, 9], [9, 3, 8, 1], [1] * 40]),
    dict(min_length=4), dict(min_length=20), dict(min_new_tokens=1), dict(min_new_tokens=20),
    dict(forced_bos_token_id=7), dict(forced_eos_token_id=4), dict(forced_eos_token_id=[4, 6]),
    dict(exponential_decay_length_penalty=(2, 1.3)), dict(suppress_tokens=[3, 11]),
    dict(begin_suppress_tokens=[3, 11]), dict(begin_suppress_tokens=[3, 11], forced_bos_token_id=7),
    dict(renormalize_logits=True), dict(renormalize_logits=True, suppress_tokens=[3, 11]),
    dict(remove_invalid_values=True, suppress_tokens=[3], min_new_tokens=20),
    dict(repetition_penalty=1.3, no_repeat_ngram_size=2, min_length=20, exponential_decay_length_penalty=(0, 1.1),
         suppress_tokens=[1]),
]
FILTERS = [
    dict(temperature=0.6), dict(top_k=1), dict(top_k=9), dict(top_k=1000),
    *[dict(top_p=p) for p in (0.01, 0.5, 0.95)], *[dict(min_p=p) for p in (0.02, 0.3, 1.0)],
    *[dict(typical_p=p) for p in (0.05, 0.4, 0.95)], *[dict(epsilon_cutoff=p) for p in (0.001, 0.02, 0.9)],
    *[dict(eta_cutoff=p) for p in (0.001, 0.05, 0.9)], *[dict(top_h=h) for h in (0.01, 0.4, 0.9)],
    dict(temperature=1.7, top_k=20, top_p=0.9, min_p=0.01, typical_p=0.9, epsilon_cutoff=0.01, eta_cutoff=0.02),
    dict(top_h=0.8, top_k=12, renormalize_logits=True),
]


def processed(model, settings, prompt, ids, scores, eos):
    config = GenerationConfig(eos_token_id=eos, max_length=len(prompt) + NEW, **settings)
    model._prepare_special_tokens(config, device="cpu")
    processors = model._get_logits_processor(
        config, input_ids_seq_length=len(prompt), encoder_input_ids=torch.tensor([prompt]), device="cpu")
    return processors(torch.tensor([ids]), torch.tensor([scores]))[0].tolist()


def processor_cases():
    model = make_models.fresh(HERE / "models" / MODELS[0])
    generator = torch.Generator().manual_seed(1)
    eos = [2, 13]
    cases = []
    for number, (prompt_length, new) in enumerate([(1, 0), (1, 1), (6, 0), (6, 3), (6, NEW - 1), (3, 9)]):
        # Few different ids, so that they repeat.
        ids = torch.randint(0, 12, (prompt_length + new,), generator=generator).tolist()
        scores = [float(f"{score:.6g}") for score in (torch.randn(40, generator=generator) * 3).tolist()]
        prompt = ids[:prompt_length]
        for settings in PROCESSORS:
            out = processed(model, settings, prompt, ids, scores, eos)
            cases.append(dict(input=number, settings=settings, scores=out, keep=0))
        for settings in FILTERS:
            # Of beams each filter leaves one more than there are ends.
            for beams, keep in ((1, 1), (3, len(eos) + 1)):
                out = processed(model, dict(settings, do_sample=True, num_beams=beams), prompt, ids, scores, eos)
                cases.append(dict(input=number, settings=settings, scores=out, keep=keep))
        yield dict(prompt=prompt_length, ids=ids, scores=scores), cases
        cases = []


def finite(scores):
    """JSON has no infinity."""
    return [None if score == -math.inf else float(f"{score:.7g}") for score in scores]


def write_processors():
    inputs, cases = [], []
    for one, of_it in processor_cases():
        inputs.append(one)
        cases += of_it
    for case in cases:
        case["scores"] = finite(case["scores"])
    out = dict(transformers=transformers.__version__, eos=[2, 13], max_new_tokens=NEW, inputs=inputs, cases=cases)
    (HERE / "logits_processors.json").write_text(json.dumps(out) + "\n")
    print(len(cases), "cases of logits processors")


def main():
    assert transformers.__version__ == "5.23.0", transformers.__version__
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    write_processors()
    cases, tied = [], 0
    different = {}
    for name in MODELS:
        folder = HERE / "models" / name
        model = make_models.fresh(folder)
        ids = json.loads((folder / "expected.json").read_text())["ids"]
        for prompt in (ids[0][:11], ids[1][:5], ids[1][8:9]):
            for eos in end_tokens(model, prompt):
                found = {}
                for settings, _ in CASES:
                    sequences, scores = run(model, prompt, settings, eos)
                    found[str(settings)] = sequences
                    if any(run(model, prompt, settings, eos, noise)[0] != sequences for noise in range(3)):
                        tied += 1
                        continue
                    if scores is not None and min(scores) < NOT_FOUND:
                        continue
                    case = dict(model=name, prompt=prompt, eos=eos, settings=settings, sequences=sequences)
                    if scores is not None:
                        case["scores"] = [float(f"{score:.8g}") for score in scores]
                    cases.append(case)
                for settings, other in CASES:
                    if other is not None:
                        key = str(settings)
                        different[key] = different.get(key, 0) + (found[key] != run(model, prompt, other, eos)[0])
    for settings, count in different.items():
        assert count > 0, f"{settings} changes nothing"
    out = dict(transformers=transformers.__version__, max_new_tokens=NEW, cases=cases)
    (HERE / "beams.json").write_text(json.dumps(out) + "\n")
    print(len(cases), "cases,", tied, "nearly tied ones left out;", different)


if __name__ == "__main__":
    main()
