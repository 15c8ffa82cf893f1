#pragma once
// The fields of a comparison's row, each declared once (qloft/core/fields.h): JSON, CSV and table.

#include <nlohmann/json.hpp>

#include "qloft/compare.h"
#include "qloft/evaluate/task.h"
#include "qloft/pipeline/report_fields.h"

namespace qloft::evaluate {

// The keys of all compared scores that are always named, and of their errors; null where a task was
// not asked for.
inline void to_json(io::Json& json, const Scores& scores) {
  const auto put = [&](const std::string& key) {
    const auto value = scores.find(key);
    json[key] = value ? io::Json(*value) : io::Json(nullptr);
  };
  json = io::Json::object();
  for (const ScoreInfo& info : compared_scores()) {
    if (!info.compared->always && !scores.find(info.key)) continue;
    put(info.key);
    if (!info.error.empty()) put(info.error);
  }
}
inline void from_json(const io::Json& json, Scores& scores) {
  for (const auto& [key, value] : json.items()) {
    if (!value.is_null()) scores.set(key, value.get<double>());
  }
}

}  // namespace qloft::evaluate

namespace qloft::compare {

// A column that says nothing of this row.
inline Shown unless(bool empty, Shown shown) {
  if (empty) shown.as = Shown::As::absent;
  return shown;
}

template <typename Visitor>
void visit_fields(RowMatrix& m, Visitor& v) {
  v("name", m.name);
  v("layer", m.layer);
  v("bits_per_weight", m.bits_per_weight);
  v("relative_error", m.relative_error);
}

template <typename Visitor>
void visit_fields(Row& r, Visitor& v) {
  const bool full = !r.relative_error, untuned = !r.after;
  v("name", r.name, show::text("row"));
  v("group", r.group);
  v("method", r.method);
  v("format", r.format);
  v("rank", r.rank, unless(r.rank == 0, show::text("rank")));
  v("iterations", r.iterations, show::text("T"));
  v("bits_per_weight", r.bits_per_weight, show::fixed("bits", 3));
  v("total_bits_per_weight", r.total_bits_per_weight, pipeline::show_total_bits());
  Shown tuned_bits = pipeline::show_total_bits();
  tuned_bits.label += ", tuned";
  v("tuned_total_bits_per_weight", r.tuned_total_bits_per_weight, tuned_bits);
  v("bytes", r.bytes, show::bytes("size"));
  v("relative_error", r.relative_error, show::fixed("error", 4));
  v("before", r.before);
  v("recovered", r.recovered);
  v("after", r.after);
  v("quantize_seconds", r.quantize_seconds, unless(full, show::fixed("quantize s", 1)));
  v("quantize_peak_memory", r.quantize_peak_memory, unless(full, show::bytes("quantize peak")));
  const bool as_quantized = !r.recovered;
  v("recover_seconds", r.recover_seconds, unless(as_quantized, show::fixed("recover s", 1)));
  v("recover_steps", r.recover_steps, unless(as_quantized, Shown{}));
  v("tune_seconds", r.tune_seconds, unless(untuned, show::fixed("tune s", 1)));
  v("tune_steps", r.tune_steps, unless(untuned, Shown{}));
  v("training_memory", r.memory, show::bytes("tune memory"));
  v("matrices", r.matrices);
}

}  // namespace qloft::compare
