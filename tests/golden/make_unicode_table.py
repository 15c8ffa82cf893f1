"""Writes src/tokenizer/unicode_table.inc: the character classes that the tokenizers library uses.

Needs tokenizers==0.23.3 and CPython 3.11 (its unicodedata is Unicode 14.0, as PCRE2 10.42's tables;
the additions are what Oniguruma, inside tokenizers, knows beyond that).

    python tests/golden/make_unicode_table.py > src/tokenizer/unicode_table.inc
"""

import sys
import unicodedata

from tokenizers import Regex, normalizers, pre_tokenizers

assert unicodedata.unidata_version == "14.0.0", "run with CPython 3.11"
CODES = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]


def removed_by(pre_tokenizer):
    """The code points that a pre-tokenizer with behaviour "removed" removes."""
    found = set()
    for start in range(0, len(CODES), 4096):
        part = CODES[start : start + 4096]
        kept = set()
        for _, (begin, end) in pre_tokenizer.pre_tokenize_str("".join(map(chr, part))):
            kept.update(range(begin, end))
        found.update(c for i, c in enumerate(part) if i not in kept)
    return found


def matched(pattern):
    return removed_by(pre_tokenizers.Split(Regex(pattern), "removed"))


def joined(pre_tokenizer, prefix):
    """The code points that stay in one piece with `prefix` before them."""
    return {c for c in CODES if len(pre_tokenizer.pre_tokenize_str(prefix + chr(c))) == 1}


def ranges(codes):
    result = []
    for c in sorted(codes):
        if result and result[-1][1] == c - 1:
            result[-1][1] = c
        else:
            result.append([c, c])
    return result


def category(*names):
    return {c for c in CODES if unicodedata.category(chr(c)).startswith(names)}


space = matched(r"\s")
strip_accents = normalizers.StripAccents()
bert = {"clean_text": False, "handle_chinese_chars": False, "strip_accents": False, "lowercase": False}
clean, accents, ideographs = (normalizers.BertNormalizer(**bert | {part: True})
                              for part in ("clean_text", "strip_accents", "handle_chinese_chars"))
flags = [
    (1, matched(r"\p{L}")),
    (2, matched(r"\p{N}")),
    (4, set(CODES) - joined(pre_tokenizers.Digits(individual_digits=True), "a")),
    (8, joined(pre_tokenizers.Whitespace(), "a") - space),
    (16, removed_by(pre_tokenizers.Punctuation("removed"))),
    (32, {c for c in CODES if strip_accents.normalize_str("a" + chr(c)) == "a"}),
    (64, space),
    (128, {c for c in CODES if clean.normalize_str(chr(c)) == ""}),
    (256, {c for c in CODES if accents.normalize_str("a" + chr(c)) == "a"}),
    (512, {c for c in CODES if ideographs.normalize_str(chr(c)) == f" {chr(c)} "}),
]

# Characters that are younger than the normalizers' tables: they neither decompose nor are reordered.
nfkd = normalizers.NFKD()
marks = matched(r"\p{M}")
young = {c for c in CODES if c in marks or unicodedata.normalize("NFKD", chr(c)) != chr(c)}
young |= {c for a, b in ((0x105C9, 0x105E4), (0x11383, 0x113C8), (0x16121, 0x16128), (0x16D68, 0x16D6A),
                         (0x1CCD6, 0x1CCF9), (0x1E030, 0x1E06D)) for c in range(a, b + 1)}
young = {c for c in young
         if (unicodedata.normalize("NFKD", chr(c)) != chr(c) or unicodedata.combining(chr(c)) not in (0, 240)
             or unicodedata.category(chr(c)) == "Cn")
         and nfkd.normalize_str(chr(c)) == chr(c) and nfkd.normalize_str("\u0345" + chr(c)) == "\u0345" + chr(c)}

values = [0] * 0x110000
for bit, codes in flags:
    for c in codes:
        values[c] |= bit
runs = [f"0x{c << 10 | values[c]:x}" for c in range(0x110000) if c == 0 or values[c] != values[c - 1]]

print("// Made by tests/golden/make_unicode_table.py. Do not edit.")
print("constexpr unsigned kClassBits = 10;")
print("// First code point of each run << kClassBits | its classes.")
print("constexpr std::uint32_t kRuns[] = {")
line = "   "
for run in runs:
    if len(line) + len(run) + 2 > 100:
        print(line)
        line = "   "
    line += " " + run + ","
print(line)
print("};")
print("// First and last code points of characters that the normalizers do not know.")
print("constexpr std::uint32_t kUnknownToNormalizers[][2] = {")
for a, b in ranges(young):
    print(f"    {{0x{a:x}, 0x{b:x}}},")
print("};")
print("// What Oniguruma's properties hold beyond Unicode 14.0.")
print("constexpr Addition kAdditions[] = {")
classes = [(n, matched(rf"\p{{{n}}}"), category(n))
           for n in ("L", "Lu", "Ll", "Lm", "Lo", "M", "Mn", "Mc", "N", "Nd", "Nl", "No", "P", "Po", "S", "Sm", "So")]
classes.append(("w", matched(r"\w"), category("L", "M", "Nd", "Nl", "Pc")))
for name, theirs, ours in classes:
    text = "".join(f"\\\\x{{{a:x}}}" + (f"-\\\\x{{{b:x}}}" if b > a else "") for a, b in ranges(theirs - ours))
    if not text:
        continue
    print(f'    {{"{name}",')
    while text:
        cut = len(text) if len(text) <= 88 else text.rfind("\\\\x", 0, 88)
        if text[cut - 1] == "-":
            cut = text.rfind("\\\\x", 0, cut)
        print(f'     "{text[:cut]}"')
        text = text[cut:]
    print("    },")
print("};")
sys.stdout.flush()
