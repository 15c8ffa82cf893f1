"""Writes tests/golden/squad.json: what transformers makes of a small file of SQuAD 2.0, on encoders/bert_spans in f32.

    pip install torch==2.11.0 transformers==5.23.0
    pip download --no-deps transformers==4.57.1
    python tests/golden/make_squad.py transformers-4.57.1-py3-none-any.whl

Windows are those of examples/pytorch/question-answering/run_qa.py, answers those of postprocess_qa_predictions beside it,
both written anew; SQuAD 2.0's scores are the official script's, which transformers 4 has (5 has it no more). run_qa.py lets
an answer that begins in a window's last word begin behind it, since the offsets of what follows are 0: here it begins there.
"""

import collections
import json
import pathlib
import sys
import tempfile
import types
import zipfile

import numpy
import torch
import transformers

HERE = pathlib.Path(__file__).parent
MODEL = HERE / "encoders/bert_spans"
LETTERS = "abcdefghijklmnopqrstuvwxyz"
VOCABULARY = (["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + list(LETTERS) + ["##" + letter for letter in LETTERS]
              + [".", ",", "?", "'", "\u6771", "\u4eac", "9"])
LENGTH, STRIDE = 40, 8
RULES = [dict(candidates=20, longest=30, threshold=0.0), dict(candidates=3, longest=2, threshold=-0.5),
         dict(candidates=5, longest=8, threshold=0.2)]


def question(name, text, context, *answers):
    found = []
    for answer in answers:
        answer = answer if isinstance(answer, tuple) else (answer, context.index(answer))
        assert context[answer[1]:].startswith(answer[0])
        found.append({"text": answer[0], "answer_start": answer[1]})
    return {"id": name, "question": text, "answers": found, "is_impossible": not found}


# Later answers are some that the random head gives.
def paragraph(context, *questions):
    return {"context": context, "qas": [question(name, text, context, *answers) for name, text, *answers in questions]}


SQUAD = {"version": "v2.0", "data": [
    {"title": "Sea", "paragraphs": [
        paragraph("The sea is by the old sea town, and a dog is in the sun by the red house on the hill.",
                  ("beginning", "what is by it?", "The sea"),
                  ("end", "  where is it?", "hill", "the hill", "is by the o"),
                  ("windows", "who is in?", "town, and a dog"),
                  ("twice", "\u00a0\u2003which?", ("sea", 22), "sea", "red hou"),
                  ("none", "who is cold?"))]},
    {"title": "\u6771\u4eac", "paragraphs": [
        paragraph("Caf\u00e9s na\u00efves in \u6771\u4eac \U0001f600 e\u0301t\u00e9 \u2014 l'\u00c9cole, 99 m. \u00dcber",
                  ("accents", "what?", "na\u00efves", "Caf\u00e9s na\u00efves"),
                  ("characters", "where?", "\u6771\u4eac", "in \u6771\u4eac"),
                  ("emoji", "9?", "\U0001f600"),
                  ("combining", "e\u0301?", "e\u0301t\u00e9"),
                  ("last", "l'?", "\u00dcber")),
        paragraph("A", ("short", "a?", "A"), ("short none", "?"))]},
    {"title": "Long", "paragraphs": [
        paragraph(" ".join(["abcdefg hi"] * 12) + " end",
                  ("long", "hi?", "end"),
                  ("long middle", "hi, a b c d e f g?", ("abcdefg hi abcdefg", 55), "fg h"),
                  ("long none", "end?"))]}]}


def questions_of(squad):
    return [(one, paragraph["context"]) for article in squad["data"] for paragraph in article["paragraphs"]
            for one in paragraph["qas"]]


def windows_of(place, one, context, tokenizer, literal=False):
    encoded = tokenizer(one["question"].lstrip(), context, truncation="only_second", max_length=LENGTH, stride=STRIDE,
                        return_overflowing_tokens=True, return_offsets_mapping=True)
    out = []
    for i, ids in enumerate(encoded["input_ids"]):
        offsets, texts = encoded["offset_mapping"][i], encoded.sequence_ids(i)
        first, last = texts.index(1), len(texts) - 1 - texts[::-1].index(1)
        start = end = ids.index(tokenizer.cls_token_id)
        if one["answers"]:
            begins = one["answers"][0]["answer_start"]
            ends = begins + len(one["answers"][0]["text"])
            if offsets[first][0] <= begins and offsets[last][1] >= ends:
                start, end = first, last
                while start < (len(offsets) if literal else last + 1) and offsets[start][0] <= begins:
                    start += 1
                while end >= first and offsets[end][1] >= ends:
                    end -= 1
                start, end = start - 1, end + 1
        out.append(dict(question=place, ids=ids, types=encoded["token_type_ids"][i], start=start, end=end,
                        offsets=[list(offset) if text == 1 else None for offset, text in zip(offsets, texts, strict=True)]))
    return out


def scores_of(model, window):
    with torch.no_grad():
        said = model(input_ids=torch.tensor([window["ids"]]), token_type_ids=torch.tensor([window["types"]]))
    return said.start_logits[0].numpy(), said.end_logits[0].numpy()


def greatest(values, count):
    return numpy.argsort(values, kind="stable")[::-1][:count].tolist()


def answer_of(context, windows, scores, rules, unanswerable):
    """The text, the candidates, and by how much no answer is better."""
    found, none = [], None
    for window, (starts, ends) in zip(windows, scores, strict=True):
        if none is None or none["score"] > starts[0] + ends[0]:
            none = dict(offsets=(0, 0), score=starts[0] + ends[0], start_logit=starts[0], end_logit=ends[0])
        for start in greatest(starts, rules["candidates"]):
            for end in greatest(ends, rules["candidates"]):
                offsets = window["offsets"]
                if offsets[start] is None or offsets[end] is None or not start <= end < start + rules["longest"]:
                    continue
                found.append(dict(offsets=(offsets[start][0], offsets[end][1]), score=starts[start] + ends[end],
                                  start_logit=starts[start], end_logit=ends[end]))
    if unanswerable:
        found.append(none)
    kept = sorted(found, key=lambda one: one["score"], reverse=True)[:rules["candidates"]]
    if unanswerable and not any(one["offsets"] == (0, 0) for one in kept):
        kept.append(none)
    kept = [dict(text=context[slice(*one["offsets"])], **one) for one in kept]
    if not kept or (len(kept) == 1 and not kept[0]["text"]):
        kept.insert(0, dict(text="empty", start_logit=0.0, end_logit=0.0, score=0.0))
    scores = numpy.array([one["score"] for one in kept])
    likely = numpy.exp(scores - scores.max())
    candidates = [dict(text=one["text"], start_logit=float(one["start_logit"]), end_logit=float(one["end_logit"]),
                       probability=float(share)) for one, share in zip(kept, likely / likely.sum(), strict=True)]
    if not unanswerable:
        return kept[0]["text"], candidates, 0.0
    best = next(one for one in kept if one["text"])
    odds = float(none["score"] - best["start_logit"] - best["end_logit"])
    return "" if odds > rules["threshold"] else best["text"], candidates, odds


def official(wheel):
    source = zipfile.ZipFile(wheel).read("transformers/data/metrics/squad_metrics.py").decode()
    source = source.replace("from ...models.bert import BasicTokenizer", "").replace("from ...utils import logging", "import logging")
    source = source.replace("logging.get_logger", "logging.getLogger")
    module = types.ModuleType("squad_metrics")
    exec(compile(source, "squad_metrics.py", "exec"), module.__dict__)
    return module


def scores_of_v1(metrics, questions, texts):
    """Of the official script of 1.1: the F1 of two texts without a word is 0."""
    exact = f1 = 0
    for one, _ in questions:
        answers, text = [answer["text"] for answer in one["answers"]], texts[one["id"]]
        exact += max(metrics.compute_exact(answer, text) for answer in answers)
        f1 += max(metrics.compute_f1(answer, text) if metrics.get_tokens(answer) and metrics.get_tokens(text) else 0
                  for answer in answers)
    return dict(exact=100.0 * exact / len(questions), f1=100.0 * f1 / len(questions), total=len(questions))


def main(wheel):
    metrics = official(wheel)
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "vocab.txt"
        file.write_text("\n".join(VOCABULARY) + "\n")
        tokenizer = transformers.BertTokenizer(vocab=str(file))
    assert len(tokenizer) == len(VOCABULARY) == 64
    model = transformers.AutoModelForQuestionAnswering.from_pretrained(MODEL, dtype=torch.float32, attn_implementation="eager")
    model.eval()
    questions = questions_of(SQUAD)
    windows = [windows_of(i, one, context, tokenizer) for i, (one, context) in enumerate(questions)]
    literal = [windows_of(i, one, context, tokenizer, True) for i, (one, context) in enumerate(questions)]
    moved = [(a, b) for own, other in zip(windows, literal, strict=True) for a, b in zip(own, other, strict=True) if a != b]
    assert moved and all(a["end"] == b["end"] and a["start"] < b["start"] for a, b in moved)
    said = [[scores_of(model, window) for window in own] for own in windows]
    answers = []
    for version in (1, 2):
        asked = [i for i, (one, _) in enumerate(questions) if version == 2 or one["answers"]]
        for rules in RULES:
            got = {questions[i][0]["id"]: answer_of(questions[i][1], windows[i], said[i], rules, version == 2) for i in asked}
            texts = {name: text for name, (text, _, _) in got.items()}
            row = dict(version=version, rules=rules, windows=sum(len(windows[i]) for i in asked), predictions=texts,
                       nbest={name: candidates for name, (_, candidates, _) in got.items()})
            if version == 1:
                row["scores"] = scores_of_v1(metrics, [questions[i] for i in asked], texts)
            else:
                row["odds"] = {name: odds for name, (_, _, odds) in got.items()}
                Example = collections.namedtuple("Example", "qas_id answers")
                examples = [Example(one["id"], one["answers"]) for one, _ in questions]
                row["scores"] = dict(metrics.squad_evaluate(examples, texts, row["odds"], float("inf")))
            answers.append(row)
    flat = [window for own in windows for window in own]
    (HERE / "squad.json").write_text(json.dumps(dict(
        transformers=transformers.__version__, vocabulary=VOCABULARY, length=LENGTH, stride=STRIDE, squad=SQUAD,
        windows=flat, answers=answers)) + "\n")
    print(len(flat), "windows,", len(moved), "beginnings in a last word;", [row["scores"]["f1"] for row in answers])


if __name__ == "__main__":
    main(sys.argv[1])
