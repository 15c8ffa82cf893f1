#pragma once
// What a generation is asked for and gives back, by the names and meanings that transformers'
// generation_config.json has. No torch here.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "qloft/model/adapter_id.h"
#include "qloft/tokenizer.h"

namespace qloft::generate {

// How a next token is drawn: by the softmax of what these leave of its scores, in transformers'
// order.
struct Sampling {
  double temperature = 0;     // 0: greedy
  double top_h = 0;           // Potraghloo et al. 2025; 0: off
  std::int64_t top_k = 0;     // 0: off
  double top_p = 1;           // Holtzman et al. 2020
  double min_p = 0;           // Nguyen et al. 2024
  double typical_p = 1;       // Meister et al. 2022
  double epsilon_cutoff = 0;  // Hewitt et al. 2022, and eta
  double eta_cutoff = 0;
  std::uint64_t seed = 0;
  // Throws InputError naming the field that is out of range.
  void validate() const;
};

// What is done to the scores of the next token before one is chosen, in this order. Lengths and
// repetitions count the prompt too, as transformers counts them.
struct LogitsProcessors {
  using Ids = std::vector<tokenizer::TokenId>;
  struct Decay {
    std::int64_t start = 0;  // new tokens
    double factor = 1;
  };

  double encoder_repetition_penalty = 1;          // above 1: tokens of the source become likelier
  double repetition_penalty = 1;                  // Keskar et al. 2019
  std::int64_t no_repeat_ngram_size = 0;          // no n-gram of this many tokens twice; 0: off
  std::int64_t encoder_no_repeat_ngram_size = 0;  // none that the source has
  std::vector<Ids> bad_words_ids = {};            // sequences that do not come
  std::int64_t min_length = 0;                    // no end before so many tokens
  std::int64_t min_new_tokens = 0;                // the same, without the prompt
  std::optional<tokenizer::TokenId> forced_bos_token_id = {};  // behind a prompt of one token
  Ids forced_eos_token_id = {};                                // one of these comes last of all
  bool remove_invalid_values = false;                          // infinities and NaN become numbers
  std::optional<Decay> exponential_decay_length_penalty =
      {};                           // ends become likelier from a start on
  Ids suppress_tokens = {};         // that never come
  Ids begin_suppress_tokens = {};   // that do not come first
  bool renormalize_logits = false;  // after the filters of a draw, too
  // Throws InputError naming the field that is out of range.
  void validate() const;
};

// When beam search ends.
enum class EarlyStopping : std::uint8_t {
  no,     // no beam that runs is better by its score so far than the worst that is finished
  yes,    // as soon as as many beams as there are have finished
  never,  // no beam that runs could become better than the worst that is finished
};

// Beam search as transformers has it: a finished sequence's score is the sum of its tokens'
// log-probabilities divided by its new tokens to the power of length_penalty. With a temperature
// above 0 the candidates of a step are drawn, without replacement, in place of the best.
struct Beams {
  std::int64_t num_beams = 1;  // 1: no search
  double length_penalty = 1;
  EarlyStopping early_stopping = EarlyStopping::no;
  std::int64_t num_return_sequences = 1;  // at most num_beams
  // Throws InputError naming the field that is out of range.
  void validate() const;
};

struct Options {
  Sampling sampling = {};
  LogitsProcessors processors = {};
  Beams beams = {};
  std::int64_t max_tokens = 128;
  model::AdapterId adapter = model::kNoAdapter;
  bool ignore_eos = false;
  std::vector<std::string> stop = {};        // the text ends before the first of these
  std::vector<tokenizer::TokenId> eos = {};  // see end_tokens
};

enum class StopReason { length, eos, stop_string, interrupted };

struct Result {
  std::vector<tokenizer::TokenId> ids;  // the new ones, without eos
  std::string text;
  StopReason reason = StopReason::length;
  std::optional<double> score = {};  // of beam search
};

// Called with each piece of text that is complete and cannot belong to a stop string; return false
// to stop. Beam search calls it with an empty piece at each step, and with the best text at its
// end.
using Sink = std::function<bool(std::string_view piece)>;

// A prompt to be continued; an encoder-decoder's, what a target begins with: one token, as
// target_start has it.
struct Request {
  std::vector<tokenizer::TokenId> prompt;
  Options options;
  Sink sink = nullptr;
  std::uint64_t stream = 0;  // requests of one seed and different streams draw differently
  std::vector<tokenizer::TokenId> source = {};  // what an encoder-decoder makes the target of
};

}  // namespace qloft::generate
