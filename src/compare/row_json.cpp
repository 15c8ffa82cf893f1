// A row's file.

#include <nlohmann/json.hpp>

#include "qloft/compare.h"
#include "qloft/core/error.h"
#include "qloft/evaluate/task.h"

namespace qloft::compare {
namespace {

using io::Json;

template <typename T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}
template <typename T>
std::optional<T> optional_at(const Json& json, const char* name) {
  const Json& value = json.at(name);
  return value.is_null() ? std::nullopt : std::optional<T>(value.get<T>());
}

// The keys of all compared scores; null where a task was not asked for.
Json scores_to_json(const evaluate::Scores& scores) {
  Json json = Json::object();
  for (const evaluate::ScoreInfo& info : evaluate::compared_scores()) {
    json[info.key] = or_null(scores.find(info.key));
    if (!info.error.empty()) json[info.error] = or_null(scores.find(info.error));
  }
  return json;
}
evaluate::Scores scores_from_json(const Json& json) {
  evaluate::Scores scores;
  for (const auto& [key, value] : json.items()) {
    if (!value.is_null()) scores.set(key, value.get<double>());
  }
  return scores;
}

Row read_row(const Json& json) {
  Row row;
  row.name = json.at("name").get<std::string>();
  row.group = json.at("group").get<std::string>();
  row.method = json.at("method").get<std::string>();
  row.format = json.at("format").get<std::string>();
  row.rank = json.at("rank").get<std::int64_t>();
  row.iterations = optional_at<int>(json, "iterations");
  row.bits_per_weight = json.at("bits_per_weight").get<double>();
  row.bytes = json.at("bytes").get<std::uint64_t>();
  row.relative_error = optional_at<double>(json, "relative_error");
  row.quantize_seconds = json.at("quantize_seconds").get<double>();
  row.quantize_peak_memory = json.at("quantize_peak_memory").get<std::uint64_t>();
  row.before = scores_from_json(json.at("before"));
  if (!json.at("after").is_null()) row.after = scores_from_json(json.at("after"));
  row.tune_seconds = json.at("tune_seconds").get<double>();
  row.tune_steps = json.at("tune_steps").get<std::int64_t>();
  if (const Json& memory = json.at("training_memory"); !memory.is_null()) {
    row.memory = {memory.at("weights").get<double>(), memory.at("gradients").get<double>(),
                  memory.at("optimizer").get<double>(), memory.at("activations").get<double>()};
  }
  for (const Json& matrix : json.at("matrices")) {
    row.matrices.push_back({matrix.at("name").get<std::string>(),
                            matrix.at("bits_per_weight").get<double>(),
                            matrix.at("relative_error").get<std::vector<double>>()});
  }
  return row;
}

}  // namespace

Json to_json(const Row& row) {
  Json json;
  json["name"] = row.name;
  json["group"] = row.group;
  json["method"] = row.method;
  json["format"] = row.format;
  json["rank"] = row.rank;
  json["iterations"] = or_null(row.iterations);
  json["bits_per_weight"] = row.bits_per_weight;
  json["bytes"] = row.bytes;
  json["relative_error"] = or_null(row.relative_error);
  json["quantize_seconds"] = row.quantize_seconds;
  json["quantize_peak_memory"] = row.quantize_peak_memory;
  json["before"] = scores_to_json(row.before);
  json["after"] = row.after ? scores_to_json(*row.after) : Json(nullptr);
  json["tune_seconds"] = row.tune_seconds;
  json["tune_steps"] = row.tune_steps;
  json["training_memory"] = nullptr;
  if (row.memory) {
    json["training_memory"] = {{"weights", row.memory->weights},
                               {"gradients", row.memory->gradients},
                               {"optimizer", row.memory->optimizer},
                               {"activations", row.memory->activations}};
  }
  json["matrices"] = Json::array();
  for (const RowMatrix& matrix : row.matrices) {
    json["matrices"].push_back({{"name", matrix.name},
                                {"bits_per_weight", matrix.bits_per_weight},
                                {"relative_error", matrix.relative_error}});
  }
  return json;
}

Row row_from_json(const Json& json, const std::filesystem::path& file) {
  try {
    return read_row(json);
  } catch (const Json::exception& error) {
    throw InputError({file, {}}, std::string("expected a row of a comparison: ") + error.what());
  }
}

}  // namespace qloft::compare
