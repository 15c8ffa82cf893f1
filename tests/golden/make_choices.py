"""Writes tests/golden/choices.json: what transformers makes of questions with choices, on the bundled model in f32.

    pip install torch==2.11.0 transformers==5.23.0
    python tests/golden/make_choices.py

Prompts, tokenization and scores are lm-evaluation-harness 0.4's, written anew from its task files: for each task rows as
the hub has them, and of each row the log-likelihoods of its choices.
"""

import json
import pathlib
import re

import numpy
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

HERE = pathlib.Path(__file__).parent
MODEL = HERE / "../../examples/bundled/model"

ARC = [
    {"id": "1", "question": "Tom has 3 apples and buys 5 more. How many apples does he have?",
     "choices": {"text": ["8 apples", "2 apples", "15 red apples"], "label": ["A", "B", "C"]}, "answerKey": "A"},
    {"id": "2", "question": "Where does a river end?", "choices": {"text": ["in the sea", "on a hill", "in na\u00efve caf\u00e9s", "up"],
                                                              "label": ["1", "2", "3", "4"]}, "answerKey": "2"},
    {"id": "3", "question": "What is cold?", "choices": {"text": ["snow", "the sun"], "label": ["A", "B"]}, "answerKey": "B"},
]
HELLASWAG = [
    {"activity_label": "Sailing boats", "ctx_a": "The old dog  came home [step] over the river.", "ctx_b": "nobody Had seen",
     "endings": ["the boat. [title] It was cold.", "[header] a hill", "Tom and his apples", "the low sun  over it"], "label": "2"},
    {"activity_label": "Eating", "ctx_a": " Ann gives away 2 of 9 pears.", "ctx_b": "", "endings": ["She eats", "Tom eats 4 of his apples."], "label": 1},
]
PIQA = [
    {"goal": "How do you keep pears cold?", "sol1": "Put them in the snow.", "sol2": "Put them in the sun for an hour.", "label": 0},
    {"goal": "count apples", "sol1": "eat them", "sol2": "one after another", "label": 1},
]
WINOGRANDE = [
    {"sentence": "Tom gave Ann a pear because _ was hungry.", "option1": "Tom", "option2": "Ann", "answer": "2"},
    {"sentence": "The boat did not fit under the bridge since the _ was low .", "option1": "boat", "option2": "old bridge", "answer": "2"},
]
BOOLQ = [
    {"passage": "The sun was low over the river. It was cold.", "question": "was it cold by the river", "label": 1},
    {"passage": "Tom has 3 apples.", "question": "does tom have 4 apples", "answer": False},
    {"passage": "Tom has 3 apples and buys 5 more. " * 60, "question": "does tom buy apples", "answer": True},
]


def mmlu_row(subject, question, choices, answer):
    return {"question": question, "subject": subject, "choices": choices, "answer": answer}


MMLU_DEV = [mmlu_row(s, f"How many apples are {a} and {b} apples?", [str(a + b), str(a * b + 1), str(a - b), "9, or none"], i % 4)
            for s in ("abstract_algebra", "us_foreign_policy") for i, (a, b) in enumerate([(1, 2), (2, 2), (5, 3), (4, 1), (3, 3)])]
MMLU_TEST = [
    mmlu_row("abstract_algebra", "  How many pears does Ann have?", ["2", "9", "7", "4"], 2),
    mmlu_row("abstract_algebra", "Tom has 3 apples.\nHe buys 5. How many?", ["8", "a \"dozen\"", "3, 5", "15"], 0),
    mmlu_row("us_foreign_policy", "Who had seen the boat?", ["nobody", "the old dog", "Tom", "Ann"], 1),
]


def preprocess(text):
    text = text.strip()
    text = text.replace(" [title]", ". ")
    text = re.sub("\\[.*?\\]", "", text)
    return text.replace("  ", " ")


def arc(doc):
    return [f"Question: {doc['question']}\nAnswer:"], doc["choices"]["text"], doc["choices"]["label"].index(doc["answerKey"])


def hellaswag(doc):
    context = doc["ctx_a"] + " " + doc["ctx_b"].capitalize()
    return [preprocess(doc["activity_label"] + ": " + context)], [preprocess(e) for e in doc["endings"]], int(doc["label"])


def piqa(doc):
    return [f"Question: {doc['goal']}\nAnswer:"], [doc["sol1"], doc["sol2"]], doc["label"]


def winogrande(doc):
    blank = doc["sentence"].index("_")
    contexts = [doc["sentence"][:blank] + doc[option] for option in ("option1", "option2")]
    return contexts, [doc["sentence"][blank + 1:].strip()] * 2, int(doc["answer"]) - 1


def boolq(doc):
    return [f"{doc['passage']}\nQuestion: {doc['question']}?\nAnswer:"], ["no", "yes"], int(doc.get("label", doc.get("answer")))


def mmlu(doc):
    lines = "".join(f"\n{letter}. {choice}" for letter, choice in zip("ABCD", doc["choices"]))
    return [doc["question"].strip() + lines + "\nAnswer:"], list("ABCD"), doc["answer"]


tokenizer = AutoTokenizer.from_pretrained(MODEL)
model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32, attn_implementation="eager").eval()
LENGTH = model.config.max_position_embeddings


def log_likelihood(context, continuation):
    spaces = len(context) - len(context.rstrip())
    if spaces > 0:
        continuation = context[-spaces:] + continuation
        context = context[:-spaces]
    whole, ids = tokenizer(context + continuation)["input_ids"], tokenizer(context)["input_ids"]
    continuation = whole[len(ids):]
    window = (ids + continuation)[-(LENGTH + 1):][:-1]
    with torch.no_grad():
        log = model(torch.tensor([window])).logits[0].log_softmax(-1)[-len(continuation):]
    return float(log.double().gather(1, torch.tensor(continuation)[:, None]).sum()), len(ids) + len(continuation) - 1 > LENGTH


def run(read, rows, prefix_of):
    results, right, normalized, cut = [], [], [], 0
    for row in rows:
        contexts, choices, gold = read(row)
        contexts = contexts if len(contexts) > 1 else contexts * len(choices)
        scored = [log_likelihood(prefix_of(row) + c, " " + choice) for c, choice in zip(contexts, choices)]
        sums = [s for s, _ in scored]
        cut += any(c for _, c in scored)
        results.append(sums)
        right.append(float(numpy.argmax(sums) == gold))
        normalized.append(float(numpy.argmax(numpy.array(sums) / [float(len(c)) for c in choices]) == gold))

    def share(values):
        return {"value": float(numpy.mean(values)), "error": float(numpy.std(values, ddof=1) / numpy.sqrt(len(values)))}

    return {"rows": rows, "log_likelihoods": results, "acc": share(right), "acc_norm": share(normalized), "truncated": cut}


def example(read, row):
    contexts, choices, gold = read(row)
    return contexts[gold if len(contexts) > 1 else 0] + " " + choices[gold] + "\n\n"


def mmlu_prefix(shots):
    def prefix(row):
        dev = [d for d in MMLU_DEV if d["subject"] == row["subject"]][:shots]
        subject = row["subject"].replace("_", " ")
        return (f"The following are multiple choice questions (with answers) about {subject}.\n\n"
                + "".join(example(mmlu, d) for d in dev))
    return prefix


tasks = {
    "arc_easy": run(arc, ARC, lambda row: ""),
    "hellaswag": run(hellaswag, HELLASWAG, lambda row: ""),
    "piqa": run(piqa, PIQA, lambda row: ""),
    "winogrande": run(winogrande, WINOGRANDE, lambda row: ""),
    "boolq": run(boolq, BOOLQ, lambda row: ""),
    "mmlu": run(mmlu, MMLU_TEST, mmlu_prefix(5)),
}
few = {"arc_easy": run(arc, ARC, lambda row: example(arc, ARC[0]) + example(arc, ARC[1])),
       "winogrande": run(winogrande, WINOGRANDE, lambda row: example(winogrande, WINOGRANDE[0])),
       "mmlu": run(mmlu, MMLU_TEST, mmlu_prefix(1))}
(HERE / "choices.json").write_text(json.dumps(
    {"transformers": transformers.__version__, "tasks": tasks, "shots": {"arc_easy": 2, "winogrande": 1, "mmlu": 1}, "few": few,
     "mmlu_dev": MMLU_DEV}, indent=None) + "\n")
print({name: (task["acc"]["value"], task["truncated"]) for name, task in tasks.items()}, LENGTH)
