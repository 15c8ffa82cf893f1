#include "metrics.h"

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "qloft/core/error.h"
#include "qloft/core/file.h"
#include "qloft/io.h"

namespace qloft::train {
namespace {

namespace fs = std::filesystem;

void prepare(const fs::path& folder, std::int64_t step) {
  if (step > 0) {
    truncate_metrics(folder / kMetricsFile, step);
    return;
  }
  std::vector<fs::path> old;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name == kMetricsFile || name.starts_with(kEventPrefix)) old.push_back(entry.path());
  }
  for (const fs::path& path : old) remove_whole(path);
}

LogFile open_lines(const fs::path& folder, std::int64_t step) {
  prepare(folder, step);
  return {folder / kMetricsFile, LogFile::Mode::append};
}

}  // namespace

void truncate_metrics(const fs::path& file, std::int64_t step) {
  if (!fs::exists(file)) return;
  const std::string text = read_file(file);
  std::size_t kept = 0;
  while (kept < text.size()) {
    const std::size_t end = text.find('\n', kept);
    if (end == std::string::npos) break;
    const auto line = io::Json::parse(text.begin() + static_cast<std::ptrdiff_t>(kept),
                                      text.begin() + static_cast<std::ptrdiff_t>(end), nullptr,
                                      /*allow_exceptions=*/false);
    if (!line.is_object() || !line.contains("step") || !line["step"].is_number_integer()) break;
    if (line["step"].get<std::int64_t>() > step) break;
    kept = end + 1;
  }
  if (kept < text.size()) write_file(file, std::string_view(text).substr(0, kept));
}

Metrics::Metrics(const fs::path& folder, std::int64_t step)
    : lines_(open_lines(folder, step)), events_(folder, step > 0 ? step + 1 : 0) {}

void Metrics::step(const StepMetrics& metrics) {
  const io::Json line = {{"step", metrics.step},
                         {"loss", metrics.loss},
                         {"learning_rate", metrics.learning_rate},
                         {"gradient_norm", metrics.gradient_norm},
                         {"tokens", metrics.tokens},
                         {"tokens_per_second", metrics.tokens_per_second},
                         {"seconds", metrics.seconds}};
  lines_.append(line.dump() + "\n");
  events_.add(metrics.step,
              {{"train/loss", static_cast<float>(metrics.loss)},
               {"train/learning_rate", static_cast<float>(metrics.learning_rate)},
               {"train/gradient_norm", static_cast<float>(metrics.gradient_norm)},
               {"train/tokens_per_second", static_cast<float>(metrics.tokens_per_second)}});
}

void Metrics::validation(std::int64_t step, const std::string& name, double value) {
  lines_.append(io::Json{{"step", step}, {"validation_" + name, value}}.dump() + "\n");
  events_.add(step, {{"validation/" + name, static_cast<float>(value)}});
}

}  // namespace qloft::train
