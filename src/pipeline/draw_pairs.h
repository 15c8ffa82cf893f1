#pragma once
// What an encoder-decoder makes of what, where nothing is tuned: the pairs that calibration,
// sensitivity and recovery take through it.

#include <cstdint>
#include <filesystem>
#include <vector>

#include "load.h"
#include "qloft/train/sequence_pairs.h"

namespace qloft::pipeline {

struct PairRequest {
  std::filesystem::path data;
  bool random_tokens = false;  // in place of data
  std::int64_t samples = 0;    // pairs at most
  std::int64_t length = 0;     // tokens of a source at most, and of a target of text
  std::uint64_t seed = 0;
};

struct Pairs {
  train::SequencePairs pairs;
  std::int64_t truncated = 0;  // sources that were cut
};

// Drawn without replacement and in order. Of rows of JSON a document and its summary, as the task
// summarization reads them; of a text a window of `length` tokens, as the tokenizer frames it, and
// the window behind it; of random tokens one such sequence and another. Throws InputError for a
// text of fewer than two windows, and as the readers do.
Pairs draw_pairs(const PairRequest& request, const ModelInputs& model);

// All pairs of a text, in order.
std::vector<data::SequencePair> text_pairs(const std::filesystem::path& file, std::int64_t length,
                                           const ModelInputs& model);

// What the decoder reads and foretells of each, as data::Example has it: what it begins with, then
// the target, which counts, up to the positions that it has; without the source.
std::vector<data::Example> decoder_examples(const train::SequencePairs& pairs,
                                            const architecture::Layout& layout);
// A hash of the sources.
std::uint64_t sources_fingerprint(const train::SequencePairs& pairs);

}  // namespace qloft::pipeline
