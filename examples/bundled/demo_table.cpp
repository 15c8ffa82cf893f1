// Prints the demo's comparison from the reports that the program's commands left.
//
//   demo_table MODEL OUT      OUT/results/*.json, OUT/qlora, OUT/loftq

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

Json report(const fs::path& file) {
  std::ifstream stream(file);
  if (!stream) throw std::runtime_error(file.string() + ": cannot read");
  return Json::parse(stream);
}

std::uintmax_t bytes_of_weights(const fs::path& folder) {
  std::uintmax_t bytes = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".safetensors") bytes += entry.file_size();
  }
  return bytes;
}

struct Row {
  std::string label;    // first column
  std::string reports;  // their prefix in results/
  double bits = 16;     // stored bits per weight of the quantized matrices
  std::uintmax_t bytes = 0;
  double seconds = -1;  // of the command that made it; below 0: none
};

void print(const Row& row, const fs::path& results) {
  const Json perplexity = report(results / (row.reports + ".perplexity.json"));
  const Json problems = report(results / (row.reports + ".problems.json"));
  char seconds[16] = "";
  if (row.seconds >= 0) std::snprintf(seconds, sizeof seconds, "%.1f", row.seconds);
  std::printf("%-24s %10.3f %7.1f %% %11.2f %9.2f MB %8s\n", row.label.c_str(),
              perplexity.at("perplexity").get<double>(),
              100 * problems.at("accuracy").get<double>(), row.bits,
              static_cast<double>(row.bytes) / 1e6, seconds);
}

void print_table(const fs::path& model, const fs::path& out) {
  const fs::path results = out / "results";
  std::printf("%-24s %10s %9s %11s %12s %8s\n", "", "perplexity", "problems", "bits/weight",
              "on disk", "seconds");
  print({.label = "full precision", .reports = "full", .bytes = bytes_of_weights(model)}, results);
  const std::vector<std::pair<std::string, std::string>> methods = {
      {"auto", "qloft"}, {"qlora", "QLoRA"}, {"loftq", "LoftQ"}};
  for (const auto& [name, label] : methods) {
    const Json quantized = report(results / (name + ".quantize.json"));
    const Json tuned = report(results / (name + ".finetune.json"));
    const double bits = quantized.at("bits_per_weight");
    const std::uintmax_t base = bytes_of_weights(out / name);
    print({label + ", before tuning", name, bits, base + bytes_of_weights(out / name / "adapter"),
           quantized.at("seconds")},
          results);
    print({label + ", after tuning", name + "-tuned", bits,
           base + bytes_of_weights(out / (name + "-tuned")), tuned.at("seconds")},
          results);
  }
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) {
    std::cerr << "usage: demo_table MODEL OUT\n";
    return 2;
  }
  try {
    print_table(arguments[1], arguments[2]);
  } catch (const std::exception& error) {
    std::cerr << "demo_table: " << error.what() << '\n';
    return 1;
  }
}
