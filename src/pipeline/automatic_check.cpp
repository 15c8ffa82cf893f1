#include "automatic_check.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>

#include "option_values.h"
#include "qloft/core/error.h"
#include "qloft/statistics.h"
#include "quantize_job.h"

namespace qloft::pipeline {

void check_automatic(const QuantizeOptions& o) {
  const auto refuse = [](bool wrong, const char* field, const std::string& message) {
    if (wrong) throw InputError({{}, field}, message);
  };
  refuse(o.bits && !(std::isfinite(*o.bits) && *o.bits > 0), "bits", "expected a number above 0");
  refuse(o.bits && o.size, "size", "expected bits or a size, found both");
  refuse(o.plan && o.size, "size", "expected none beside --plan, which says it for each matrix");
  refuse(o.plan && !o.ranks.empty(), "ranks",
         "expected none beside --plan, which says it for each matrix");
  refuse(!o.ranks.empty() && o.rank, "rank", "expected a rank or ranks, found both");
  refuse(!o.ranks.empty() && !o.bits && !o.size, "ranks",
         "expected a budget for codes and adapters together: bits or a size");
  refuse(!o.data.empty() && !o.stats.empty(), "data",
         "expected a text or the statistics of one (--stats), found both");
  refuse(o.random_tokens && (!o.data.empty() || !o.stats.empty()), "random_tokens",
         "expected these, a text or the statistics of one, found two of them");
  refuse(o.task.empty() && o.columns != data::NamedColumns(), "task",
         "expected the task classification or regression, whose columns are named, found none");
  refuse(!o.task.empty() && o.data.empty(), "task", "expected its data (--data), found none");
  const Names known = {kAuto, kFullInputs, kQuantizedInputs};
  if (std::ranges::count(known, o.inputs) == 0) refuse_value(o.inputs, "inputs", known);
  refuse(
      is_sequential(o) && !calibrates(o), "inputs",
      "expected data to run the quantized model on (--data TEXT or --random-tokens), found none");
  refuse((o.samples || o.length) && !calibrates(o), o.samples ? "samples" : "length",
         "expected data that sequences are drawn of (--data TEXT or --random-tokens), found none");
  if (o.token_weights != kAuto) {
    if (!statistics::token_weights_from_name(o.token_weights)) {
      refuse_value(o.token_weights, "token_weights", {kAuto, "even", "loss"});
    }
    refuse(!calibrates(o), "token_weights",
           "expected data whose tokens count (--data TEXT or --random-tokens), found none");
  }
  refuse(!o.chat_template.empty() && o.data.empty(), "chat_template",
         "expected none without --data: only conversations need one");
  refuse(o.recover < 0, "recover", "expected 0 or more, found " + std::to_string(o.recover));
  refuse(o.recover > 0 && o.data.empty(), "recover", "expected a text to recover on (--data)");
  refuse(o.recover > 0 && o.rank == 0 && o.ranks.empty(), "recover",
         "expected an adapter to train, found rank 0");
  if (!o.data.empty() && !std::filesystem::is_regular_file(o.data)) {
    throw InputError({o.data, {}}, "no such file");
  }
}

}  // namespace qloft::pipeline
