"""Writes tests/golden/evaluate.json: what transformers makes of the bundled model in f32.

    pip install torch==2.11.0 transformers==5.23.0
    python make_evaluate.py

The perplexity of a text (tokenized once, consecutive windows, the incomplete last one dropped), the
mean loss on the answers of problems, and greedy answers to them.
"""

import json
import pathlib

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

HERE = pathlib.Path(__file__).parent
MODEL = HERE / "../../examples/bundled/model"
WINDOW = 24
NEW_IDS = 48
TEXT = (
    "Tom has 3 apples and buys 5 more. Then Ann gives away 2 of 9 pears, and Tom eats 4 of his apples. "
    "The sun was low over the river when the old dog came home. It was cold, and nobody had seen the boat. "
) * 3
PROBLEMS = [
    ("Tom has 3 apples. He buys 5 more apples. How many apples does Tom have now?", "3 + 5 = 8\n#### 8"),
    ("Ann has 12 pears. She gives away 4 pears. How many pears does Ann have left?", "12 - 4 = 8\n#### 8"),
    ("Ben has 6 boxes with 7 pens in each box. How many pens does Ben have?", "6 * 7 = 42\n#### 42"),
]

tokenizer = AutoTokenizer.from_pretrained(MODEL)
model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32, attn_implementation="eager").eval()

ids = tokenizer(TEXT)["input_ids"]
total, count = 0.0, 0
with torch.no_grad():
    for begin in range(0, len(ids) - WINDOW + 1, WINDOW):
        window = torch.tensor([ids[begin : begin + WINDOW]])
        total += model(input_ids=window, labels=window).loss.double().item() * (WINDOW - 1)
        count += WINDOW - 1

answer_sum, answer_count, problems = 0.0, 0, []
for question, answer in PROBLEMS:
    prompt = tokenizer(f"Question: {question}\nAnswer:")["input_ids"]
    whole = tokenizer(f"Question: {question}\nAnswer: {answer}")["input_ids"] + [tokenizer.eos_token_id]
    assert whole[: len(prompt)] == prompt
    labels = torch.tensor([[-100] * len(prompt) + whole[len(prompt) :]])
    with torch.no_grad():
        loss = model(input_ids=torch.tensor([whole]), labels=labels).loss.double().item()
        new = model.generate(torch.tensor([prompt]), max_new_tokens=NEW_IDS, do_sample=False)[0, len(prompt) :]
    answer_sum += loss * (len(whole) - len(prompt))
    answer_count += len(whole) - len(prompt)
    problems.append({"question": question, "answer": answer,
                     "greedy": tokenizer.decode(new, skip_special_tokens=True)})

(HERE / "evaluate.json").write_text(json.dumps({
    "transformers": transformers.__version__,
    "text": TEXT, "window": WINDOW, "nll_mean": total / count, "tokens": count,
    "problems": problems, "answer_loss": answer_sum / answer_count, "max_tokens": NEW_IDS,
}, indent=1) + "\n")
