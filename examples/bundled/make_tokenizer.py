"""Trains the bundled model's tokenizer: byte-level BPE in which every digit is a token of its own.

    pip install tokenizers==0.23.3
    python make_tokenizer.py CORPUS OUT

CORPUS is the folder that `corpus` wrote; OUT gets tokenizer.json and tokenizer_config.json.
"""

import json
import sys
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

VOCABULARY = 832
LINES = 20_000  # of each file: more do not change the merges


def lines(corpus: Path):
    for name in ("problems-train.jsonl", "stories-train.jsonl"):
        with open(corpus / name, encoding="utf-8") as file:
            for _, line in zip(range(LINES), file):
                record = json.loads(line)
                if "text" in record:
                    yield record["text"]
                else:
                    yield f"Question: {record['question']}\nAnswer: {record['answer']}"


def main(corpus: Path, out: Path):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[AddedToken("<|end|>", special=True, normalized=False)],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(lines(corpus), trainer)
    out.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(out / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "<|end|>",
        "pad_token": "<|end|>",
        "model_max_length": 512,
        "clean_up_tokenization_spaces": False,
    }
    (out / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
