"""Writes summarization.json: what transformers makes of documents by two encoder-decoders of seq2seq/, and what
rouge-score says of it as transformers' run_summarization.py asks it.

    pip install torch==2.11.0 transformers==5.23.0 rouge-score==0.1.2
    python make_summarization.py
"""

import json
import pathlib
import random

import torch
import transformers
from rouge_score import rouge_scorer

HERE = pathlib.Path(__file__).parent
KINDS = ["rouge1", "rouge2", "rougeL", "rougeLsum"]
LENGTH, SUMMARY_LENGTH = 12, 8
MODELS = {"bart": dict(prefix="", beams=3), "t5": dict(prefix="ku lo ", beams=1)}


def words(model, count, draw):
    vocabulary = json.loads((HERE / "seq2seq" / model / "tokenizer.json").read_text())["model"]["vocab"]
    return draw.choices([word for word in vocabulary if word.isalpha()], k=count)


def write(name, settings, draw):
    folder = HERE / "seq2seq" / name
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=torch.float32).eval()
    scorer = rouge_scorer.RougeScorer(KINDS, use_stemmer=True)
    rows, sums, tokens = [], dict.fromkeys(KINDS, 0), 0
    for length in (6, 16, 9):
        document = " ".join(words(name, length, draw))
        ids = tokenizer(settings["prefix"] + document, max_length=LENGTH, truncation=True, return_tensors="pt").input_ids
        found = model.generate(ids, max_new_tokens=SUMMARY_LENGTH, num_beams=settings["beams"])[0]
        summary = tokenizer.decode(found, skip_special_tokens=True)
        # Half of it, so that there is something to score.
        half = summary.split()[: len(summary.split()) // 2]
        reference = " ".join(half + words(name, 2, draw)) + "\n" + " ".join(words(name, 2, draw) + half[:1])
        scores = scorer.score(reference, summary)
        for kind in KINDS:
            sums[kind] += scores[kind].fmeasure / 3
        new = found[1:].tolist()
        tokens += len(new) - (new[-1] == tokenizer.eos_token_id)
        rows.append(dict(document=document, reference=reference, summary=summary))
    return dict(**settings, rows=rows, scores=sums, length=tokens / 3)


def main():
    assert transformers.__version__ == "5.23.0", transformers.__version__
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    draw = random.Random(1)
    models = {name: write(name, settings, draw) for name, settings in MODELS.items()}
    (HERE / "summarization.json").write_text(
        json.dumps(dict(transformers=transformers.__version__, length=LENGTH, summary_length=SUMMARY_LENGTH,
                        models=models)) + "\n")


if __name__ == "__main__":
    main()
