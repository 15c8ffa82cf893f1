#include "qloft/generate/settings.h"

#include <nlohmann/json.hpp>
#include <string_view>

#include "qloft/core/error.h"
#include "qloft/core/text.h"
#include "qloft/io/fields.h"
#include "qloft/io/option_json.h"

namespace qloft::generate {
namespace {

namespace fs = std::filesystem;
using tokenizer::TokenId;

// What these change is not done here, and a text without it would be another.
void refuse_unsupported(const io::Field& file) {
  for (const char* name :
       {"sequence_bias", "constraints", "force_words_ids", "dola_layers", "watermarking_config"}) {
    if (file.has(name)) file.fail(name, "is not supported");
  }
  if (file.integer("num_beam_groups").value_or(1) > 1) {
    file.fail("num_beam_groups", "beam search in groups is not supported");
  }
  if (file.number("guidance_scale").value_or(1) != 1) {
    file.fail("guidance_scale", "is not supported");
  }
}

TokenId token_of(const io::Field& value) {
  return static_cast<TokenId>(value.integer(0, kMostOfAnOption));
}

std::vector<TokenId> tokens_of(const io::Field& list) {
  std::vector<TokenId> out;
  for (const io::Field& id : list.elements()) out.push_back(token_of(id));
  return out;
}

LogitsProcessors other_processors(const io::Field& file) {
  LogitsProcessors out;
  out.encoder_repetition_penalty = file.number("encoder_repetition_penalty").value_or(1);
  out.encoder_no_repeat_ngram_size = file.integer("encoder_no_repeat_ngram_size").value_or(0);
  if (const auto words = file.find("bad_words_ids")) {
    for (const io::Field& word : words->elements()) out.bad_words_ids.push_back(tokens_of(word));
  }
  if (const auto decay = file.find("exponential_decay_length_penalty")) {
    const auto pair = decay->elements();
    if (pair.size() != 2) decay->refuse("a start and a factor");
    out.exponential_decay_length_penalty = {pair[0].integer(0, kMostOfAnOption), pair[1].number()};
  }
  out.remove_invalid_values = file.boolean("remove_invalid_values").value_or(false);
  out.renormalize_logits = file.boolean("renormalize_logits").value_or(false);
  out.validate();
  return out;
}

// The file's members as options have them.
io::Json as_options(const io::Field& file) {
  io::Json json = file.json();
  if (const auto value = file.find("early_stopping"); value && value->json().is_boolean()) {
    json["early_stopping"] = value->boolean() ? "true" : "false";
  }
  if (const auto value = file.find("forced_eos_token_id"); value && !value->json().is_array()) {
    json["forced_eos_token_id"] = io::Json::array({value->json()});
  }
  if (!file.boolean("do_sample").value_or(false)) {
    json.erase("temperature");
  } else {
    if (!file.has("temperature")) json["temperature"] = 1.0;
    if (!file.has("top_k")) json["top_k"] = 50;
  }
  json.erase("seed");
  return json;
}

EarlyStopping early_stopping_of(const std::string& text) {
  if (text == "true") return EarlyStopping::yes;
  if (text == "false") return EarlyStopping::no;
  if (text == "never") return EarlyStopping::never;
  throw InputError({{}, "early_stopping"}, "expected true, false or never, found '" + text + "'" +
                                               suggestion(text, {"true", "false", "never"}));
}

template <typename T, typename Field>
void set(Field& field, const std::optional<T>& value) {
  if (value) field = *value;
}

Options checked_options(const Settings& settings) {
  Options out;
  Sampling& sampling = out.sampling;
  set(sampling.temperature, settings.temperature);
  set(sampling.top_k, settings.top_k);
  set(sampling.top_p, settings.top_p);
  set(sampling.min_p, settings.min_p);
  set(sampling.top_h, settings.top_h);
  set(sampling.typical_p, settings.typical_p);
  set(sampling.epsilon_cutoff, settings.epsilon_cutoff);
  set(sampling.eta_cutoff, settings.eta_cutoff);
  sampling.seed = settings.seed;
  Beams& beams = out.beams;
  set(beams.num_beams, settings.num_beams);
  set(beams.length_penalty, settings.length_penalty);
  if (settings.early_stopping) beams.early_stopping = early_stopping_of(*settings.early_stopping);
  set(beams.num_return_sequences, settings.num_return_sequences);
  LogitsProcessors& processors = out.processors;
  set(processors, settings.others);
  set(processors.repetition_penalty, settings.repetition_penalty);
  set(processors.no_repeat_ngram_size, settings.no_repeat_ngram_size);
  set(processors.min_length, settings.min_length);
  set(processors.min_new_tokens, settings.min_new_tokens);
  processors.forced_bos_token_id = settings.forced_bos_token_id;
  set(processors.forced_eos_token_id, settings.forced_eos_token_id);
  set(processors.suppress_tokens, settings.suppress_tokens);
  set(processors.begin_suppress_tokens, settings.begin_suppress_tokens);
  set(out.stop, settings.stop_strings);
  sampling.validate();
  beams.validate();
  processors.validate();
  return out;
}

}  // namespace

Settings read_settings(const fs::path& model_folder) {
  for (const char* name : {"generation_config.json", "config.json"}) {
    const fs::path path = model_folder / name;
    if (!fs::is_regular_file(path)) continue;
    const io::Json json = io::read_json(path);
    return settings_in(io::Field(json, path));
  }
  return {};
}

Settings settings_in(const io::Field& file) {
  if (!file.json().is_object()) file.refuse("an object");
  refuse_unsupported(file);
  Settings out;
  const io::Json members = as_options(file);
  io::OptionReader reader(members, file.where());
  visit_options(out, reader);
  out.max_new_tokens = file.integer("max_new_tokens", 1, kMostOfAnOption);
  out.max_length = file.integer("max_length", 0, kMostOfAnOption);
  if (out.max_length == 20) out.max_length.reset();  // transformers' default, which it passes over
  if (const auto stop = file.find("stop_strings")) {
    out.stop_strings = stop->json().is_string() ? std::vector{stop->string()} : stop->strings();
  }
  out.penalty_alpha = file.number("penalty_alpha");
  try {
    out.others = other_processors(file);
    checked_options(out);
  } catch (const InputError& error) {
    if (!error.location().file.empty()) throw;
    throw InputError({file.file(), {}}, error.what());
  }
  return out;
}

void check_settings(const Settings& given) {
  Settings settings = given;
  if (!settings.num_beams) settings.num_beams = settings.num_return_sequences;
  checked_options(settings);
}

Settings over(Settings given, Settings others) {
  io::Json json;
  io::OptionEcho echo(json);
  visit_options(given, echo);
  io::OptionReader reader(json, {});
  visit_options(others, reader);
  set(others.max_length, given.max_length);
  set(others.max_new_tokens, given.max_new_tokens);
  set(others.stop_strings, given.stop_strings);
  set(others.penalty_alpha, given.penalty_alpha);
  set(others.others, given.others);
  return others;
}

Options options_of(const Settings& settings) {
  Options out = checked_options(settings);
  if (settings.penalty_alpha.value_or(0) > 0 && settings.top_k.value_or(50) > 1 &&
      out.sampling.temperature == 0 && out.beams.num_beams == 1) {
    throw InputError({{}, "penalty_alpha"},
                     "contrastive search is not supported; transformers 5 has none of its own "
                     "either (a temperature or beams take its place)");
  }
  return out;
}

std::int64_t max_tokens_of(const Settings& settings, std::int64_t prompt, std::int64_t otherwise) {
  if (settings.max_new_tokens) return *settings.max_new_tokens;
  if (!settings.max_length) return otherwise;
  if (*settings.max_length > prompt) return *settings.max_length - prompt;
  throw InputError({{}, "max_length"}, "expected more than the prompt's " + std::to_string(prompt) +
                                           " tokens, found " +
                                           std::to_string(*settings.max_length) +
                                           " (a number of new tokens takes its place)");
}

}  // namespace qloft::generate
