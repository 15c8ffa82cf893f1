"""Writes tests/golden/metrics.json: what the papers' own scripts and packages make of small lists and texts.

    pip install numpy==2.4.6 scikit-learn==1.9.1 scipy==1.17.1 rouge-score==0.1.2 nltk==3.10.4
    pip download --no-deps transformers==4.57.1
    python tests/golden/make_metrics.py transformers-4.57.1-py3-none-any.whl

SQuAD 2.0's official script is that of transformers 4 (5 has it no more). That of 1.1 differs in one place: where an
answer and a prediction have no word at all, their F1 is 0, not 1, since none is common.
"""

import json
import random
import sys
import types
import warnings
import zipfile
from pathlib import Path

import numpy
from nltk.stem.porter import PorterStemmer
from rouge_score import rouge_scorer
from scipy import stats
from sklearn import metrics

HERE = Path(__file__).parent
warnings.simplefilter("ignore")


def official_v2(wheel):
    source = zipfile.ZipFile(wheel).read("transformers/data/metrics/squad_metrics.py").decode()
    source = source.replace("from ...models.bert import BasicTokenizer", "").replace("from ...utils import logging", "import logging")
    source = source.replace("logging.get_logger", "logging.getLogger")
    module = types.ModuleType("squad_metrics")
    exec(compile(source, "squad_metrics.py", "exec"), module.__dict__)
    return module


random.seed(5)
labels = []
for classes, size in ((2, 40), (3, 50), (2, 1), (1, 5)):
    expected = [random.randrange(classes) for _ in range(size)]
    predicted = [e if random.random() < 0.7 else random.randrange(classes) for e in expected]
    labels.append((predicted, expected))
labels += [([0] * 6, [0, 1, 0, 1, 1, 0]), ([2, 2, 7, -1], [2, 7, 7, 2]), ([0, 0], [0, 0])]
labels = [{"predicted": p, "expected": e, "accuracy": metrics.accuracy_score(e, p), "f1": metrics.f1_score(
    [x == 1 for x in e], [x == 1 for x in p], zero_division=0),
    "macro_f1": metrics.f1_score(e, p, average="macro", zero_division=0), "matthews": metrics.matthews_corrcoef(e, p)} for p, e in labels]

numbers = []
for size, round_to in ((30, 6), (40, 0), (2, 3)):
    expected = [round(random.gauss(2, 1.5), round_to) for _ in range(size)]
    predicted = [round(0.5 * e + random.gauss(0, 1), round_to) for e in expected]
    numbers.append((predicted, expected))
numbers += [([1.0, 2.0, 3.0], [4.0, 4.0, 4.0]), ([1e9 + i for i in range(5)], [3.0, 1.0, 4.0, 1.0, 5.0]), ([5.0, 5.0, 1.0, 1.0], [1.0, 2.0, 2.0, 1.0])]
numbers = [{"predicted": p, "expected": e, "pearson": float(stats.pearsonr(p, e)[0]), "spearman": float(stats.spearmanr(p, e)[0]),
            "mean_squared_error": float(metrics.mean_squared_error(e, p))} for p, e in numbers]
for row in numbers:
    for name in ("pearson", "spearman"):
        row[name] = None if numpy.isnan(row[name]) else row[name]

ANSWERS = [
    ("the old farmer", ["Old Farmer", "farmer"]), ("a small fox in 1998", ["A small, fox!", "in 1998"]), ("", ["The"]), ("The", ["a"]),
    ("\u00c9cole the\u00a0caf\u00e9", ["\u00e9cole  CAF\u00c9"]), ("an-the-a", ["anthea"]), ("\u201ca\u201d b", ["\u201c \u201d b"]),
    ("\u0130stanbul \u03a3\u039f\u03a6\u039f\u03a3 \u03a3", ["i\u0307stanbul \u03c3\u03bf\u03c6\u03bf\u03c2 \u03c3"]), ("12 12 7", ["12 7 7", "12 12"]),
    ("x\u001fy\u2028z a_b", ["x y z ab"]), ("\u65e5\u672c a \u8a9e", ["\u65e5\u672c \u8a9e"]), ("the1 the", ["the1"]), ("wrong", ["right"]),
]
v2 = official_v2(sys.argv[1])
answers = []
for i, (prediction, expected) in enumerate(ANSWERS):
    exact_v1 = max(v2.compute_exact(a, prediction) for a in expected)
    f1_v1 = max(v2.compute_f1(a, prediction) if v2.get_tokens(a) and v2.get_tokens(prediction) else 0 for a in expected)
    example = types.SimpleNamespace(qas_id="0", answers=[{"text": a} for a in expected])
    exact, f1 = v2.get_raw_scores([example], {"0": prediction})
    answers.append({"prediction": prediction, "answers": expected, "normalized": v2.normalize_answer(prediction),
                    "exact": exact_v1, "f1": f1_v1, "exact_v2": exact["0"], "f1_v2": f1["0"]})

items = [{"prediction": p, "answers": a, "no_answer_probability": round(random.random(), 3)} for p, a in ANSWERS]
items += [{"prediction": p, "answers": [], "no_answer_probability": q} for p, q in (("", 0.9), ("the boat", 0.2), ("", 0.7), ("x", 0.95))]
examples = [types.SimpleNamespace(qas_id=str(i), answers=[{"text": a} for a in item["answers"]]) for i, item in enumerate(items)]
predictions = {str(i): item["prediction"] for i, item in enumerate(items)}
probabilities = {str(i): item["no_answer_probability"] for i, item in enumerate(items)}
squad_v2 = [{"threshold": t, **v2.squad_evaluate(examples, predictions, probabilities, t)} for t in (1.0, 0.5)]

TEXTS = [
    ("The old farmers found 12 apples near the bridge.", "An old farmer has found twelve apples (near a bridge)"),
    ("police killed the gunman\nthe gunman was killed by police", "the gunman police killed\npolice killed the gunman today\n\n"),
    ("a b c d", "d c b a"), ("same text", "same text"), ("", "something"), ("something", ""), ("...", "!!!"), ("one", "one two"),
    ("\u212aelvin's \u0130dea na\u00efve running flies", "kelvin s idea na ve run fly"),
    ("the the the cat\nsat sat", "the cat the\ncat sat on the mat\nsat"),
    ("generalizations were relationally activated, hopefully conditional dying skies", "generalization relational activating hopeful conditions die sky"),
]
rouge = []
for reference, summary in TEXTS:
    for stem in (False, True):
        scorer = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL", "rougeLsum"], use_stemmer=stem)
        rouge.append({"reference": reference, "summary": summary, "stem": stem,
                      **{name: list(score) for name, score in scorer.score(reference, summary).items()}})

WORDS = """caresses ponies ties caress cats dies flies feed agreed plastered bled motoring sing conflated troubled sized hopping tanned falling hissing
fizzed failing filing happy sky enjoy spy relational conditional rational valenci hesitanci digitizer conformabli radicalli differentli vileli analogousli
vietnamization predication operator feudalism decisiveness hopefulness callousness formaliti sensitiviti sensibiliti triplicate formative formalize
electriciti electrical hopeful goodness revival allowance inference airliner gyroscopic adjustable defensible irritant replacement adjustment dependent
adoption homologou communism activate angulariti homologous effective bowdlerize probate rate cease controll roll archaeology geology theologi
apologi fulli hopefulli alli royalli dying lying innings howe proceed exceed news yyyy yyyyed syzygy died spied tried a as bees eed ied ies ss s owed
aed ooing abed axing wholly nationally rationalli totalli ion ions option 1990s 12th x2ed b2b2ing""".split()
words = list(dict.fromkeys(w for w in WORDS))
letters = "aeiouybtlsz"
words += ["".join(random.choice(letters) for _ in range(random.randrange(1, 5))) + random.choice(
    ["", "ed", "ing", "ies", "ational", "alli", "bli", "logi", "ement", "ion", "e", "ll", "y", "s", "iz", "at"]) for _ in range(400)]
stemmer = PorterStemmer()
stems = {w: stemmer.stem(w) for w in words}

(HERE / "metrics.json").write_text(json.dumps({"labels": labels, "numbers": numbers, "answers": answers, "squad_items": items,
                                               "squad_v2": squad_v2, "rouge": rouge, "stems": stems}) + "\n")
