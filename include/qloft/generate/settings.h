#pragma once
// The settings of a generation that a person gives or a model's folder names, by the names of
// transformers' generation_config.json; what is empty is left to others.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "qloft/core/options.h"
#include "qloft/generate/options.h"
#include "qloft/io/fields.h"

namespace qloft::generate {

// Options of commands that make targets in a language (qloft/tokenizer/language.h).
inline constexpr const char* kSourceLanguageHelp =
    "language of what is read, such as en_XX (mBART: what tokenizer_config.json says)";
inline constexpr const char* kTargetLanguageHelp =
    "language of what is made of it, such as ro_RO (mBART: what tokenizer_config.json and "
    "generation_config.json say)";

struct Settings {
  std::optional<double> temperature = {};  // 0: greedy
  std::optional<std::int64_t> top_k = {};
  std::optional<double> top_p = {}, min_p = {}, top_h = {}, typical_p = {}, epsilon_cutoff = {},
                        eta_cutoff = {};
  std::uint64_t seed = 0;

  std::optional<std::int64_t> num_beams = {};
  std::optional<double> length_penalty = {};
  std::optional<std::string> early_stopping = {};  // true, false or never
  std::optional<std::int64_t> num_return_sequences = {};

  std::optional<double> repetition_penalty = {};
  std::optional<std::int64_t> no_repeat_ngram_size = {}, min_length = {}, min_new_tokens = {};
  std::optional<tokenizer::TokenId> forced_bos_token_id = {};
  std::optional<std::vector<tokenizer::TokenId>> forced_eos_token_id = {};
  std::optional<std::vector<tokenizer::TokenId>> suppress_tokens = {}, begin_suppress_tokens = {};

  // Of files alone.
  std::optional<std::int64_t> max_length = {}, max_new_tokens = {};
  std::optional<std::vector<std::string>> stop_strings = {};
  std::optional<double> penalty_alpha = {};
  std::optional<LogitsProcessors> others = {};  // with the members that no option speaks of
};

template <typename Visitor>
void visit_options(Settings& o, Visitor& v) {
  v.group("Draws (what is not given is as the model's generation_config.json says)");
  v("--temperature", o.temperature, "0: greedy");
  v("--top-k", o.top_k, "draw from the k likeliest tokens; 0: off");
  v("--top-p", o.top_p, "draw from the likeliest tokens that hold this probability");
  v("--min-p", o.min_p, "drop tokens below this share of the likeliest one's probability");
  v("--typical-p", o.typical_p,
    "draw from the tokens nearest to the expected information that hold this probability");
  v("--epsilon-cutoff", o.epsilon_cutoff, "drop tokens below this probability");
  v("--eta-cutoff", o.eta_cutoff, "the same, lower where many tokens are likely");
  v("--top-h", o.top_h, "draw from the likeliest tokens that hold this share of the entropy");
  v("--seed", o.seed, "seed of the draws");
  v.group("Beam search");
  v("--num-beams", at_most(o.num_beams, 1 << 10), "sequences searched side by side; 1: none");
  v("--length-penalty", o.length_penalty,
    "above 0 prefers long sequences: log-likelihoods are divided by length to this power");
  v("--early-stopping", o.early_stopping,
    "true: as soon as there are enough, false: where none so far is better, never: where none "
    "can become better");
  v("--num-return-sequences", at_most(o.num_return_sequences, 1 << 10), "the best of them");
  v.group("Logits processors");
  v("--repetition-penalty", o.repetition_penalty, "above 1: repeated tokens become less likely");
  v("--no-repeat-ngram-size", o.no_repeat_ngram_size, "no n-gram of this many tokens twice");
  v("--min-length", o.min_length, "tokens before an end, with the prompt");
  v("--min-new-tokens", o.min_new_tokens, "the same, without it");
  v("--forced-bos-token-id", o.forced_bos_token_id, "the token behind a prompt of one");
  v("--forced-eos-token-id", o.forced_eos_token_id, "the last token where the length runs out");
  v("--suppress-tokens", o.suppress_tokens, "tokens that never come");
  v("--begin-suppress-tokens", o.begin_suppress_tokens, "tokens that do not come first");
  v.group("");
}

// What generation_config.json of a model's folder says, or where there is none config.json, as
// transformers reads them: filters of draws and the temperature count where it has do_sample, and
// top_k is 50 there unless it says otherwise. Throws InputError naming file and field for a value
// that cannot be, and for what is not supported.
Settings read_settings(const std::filesystem::path& model_folder);
Settings settings_in(const io::Field& file);

// Throws InputError naming a field that cannot be, whatever others say.
void check_settings(const Settings& given);

// What `given` leaves empty is as `others` have it.
Settings over(Settings given, Settings others);

// Without max_tokens, adapter and eos. Throws InputError naming the field that is out of range.
Options options_of(const Settings& settings);

// New tokens at most, behind a prompt of so many. Throws InputError where the prompt fills
// max_length.
std::int64_t max_tokens_of(const Settings& settings, std::int64_t prompt, std::int64_t otherwise);

}  // namespace qloft::generate
