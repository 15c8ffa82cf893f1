#pragma once

#include "../options.h"
#include "qloft/generate/options.h"
#include "qloft/pipeline/option_lists.h"

namespace qloft::cli {

template <typename Visitor>
void visit(generate::Sampling& o, Visitor& v) {
  v("--temperature", o.temperature, "0: greedy");
  v("--top-k", o.top_k, "draw from the k likeliest tokens; 0: off");
  v("--top-p", o.top_p, "draw from the likeliest tokens that hold this probability");
  v("--min-p", o.min_p, "drop tokens below this share of the likeliest one's probability");
  v("--repetition-penalty", o.repetition_penalty, "above 1: repeated tokens become less likely");
  v("--seed", o.seed, "seed of the draws");
}

// The positional MODEL of every command.
inline void add_model_argument(CLI::App& app, std::string& model) {
  app.add_option("MODEL", model, "a folder in Hugging Face layout, or a hub name org/name")
      ->required()
      ->type_name("");
}

}  // namespace qloft::cli
