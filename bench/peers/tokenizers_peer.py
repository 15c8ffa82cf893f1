"""Times tokenizers (0.23.3) on one thread: the peer of bench/tokenizer/tokenizer_bench.cpp.

    TOKENIZERS_PARALLELISM=false python bench/peers/tokenizers_peer.py FOLDER FILE
"""

import os
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"

from tokenizers import Tokenizer  # noqa: E402


def best(run, repeat=5):
    times = []
    for _ in range(repeat):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return min(times)


folder, file = sys.argv[1:]
start = time.process_time()
tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
print(f"load          {1e3 * (time.process_time() - start):8.1f} ms")
text = open(file, encoding="utf-8", newline="").read()
size = len(text.encode())
lines = text.split("\n")
ids = tokenizer.encode(text).ids
for name, run in (("encode_whole", lambda: tokenizer.encode(text)),
                  ("encode_lines", lambda: [tokenizer.encode(line) for line in lines]),
                  ("decode_whole", lambda: tokenizer.decode(ids))):
    seconds = best(run)
    print(f"{name:13} {1e3 * seconds:8.1f} ms {size / seconds / 1e6:8.2f} MB/s")
