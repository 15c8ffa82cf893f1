#include "qloft/statistics.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <nlohmann/json.hpp>
#include <numeric>
#include <utility>

#include "qloft/checkpoint/finite.h"
#include "qloft/core.h"
#include "qloft/core/hash.h"

namespace qloft::statistics {
namespace fs = std::filesystem;
namespace {

// In place of an embedding's hash where the embedding is quantized.
constexpr const char* kPacked = "packed";

template <typename Integer>
Integer number_in(const io::SafetensorsFile& file, const std::string& key) {
  const auto found = file.metadata().find(key);
  const std::string text = found == file.metadata().end() ? "" : found->second;
  Integer value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < 0) {
    throw InputError({file.path(), "__metadata__." + key},
                     "expected a whole number, found '" + text + "'");
  }
  return value;
}

std::string text_in(const io::SafetensorsFile& file, const std::string& key) {
  const auto found = file.metadata().find(key);
  if (found == file.metadata().end()) {
    throw InputError({file.path(), "__metadata__." + key}, "expected it, found none");
  }
  return found->second;
}

Origin origin_of(const io::SafetensorsFile& file) {
  const auto& metadata = file.metadata();
  const auto format = metadata.find("format");
  if (format == metadata.end() || format->second != "qloft-statistics") {
    throw InputError({file.path(), "__metadata__.format"},
                     "expected statistics that qloft calibrate wrote (qloft-statistics), found " +
                         (format == metadata.end() ? "none" : "'" + format->second + "'"));
  }
  const int version = number_in<int>(file, "version");
  if (version < 1 || version > kFormatVersion) {
    throw InputError({file.path(), "__metadata__.version"},
                     "expected 1 to " + std::to_string(kFormatVersion) + ", found " +
                         std::to_string(version) + ": a newer qloft wrote it");
  }
  Origin out;
  out.model = text_in(file, "model");
  out.identity.embedding = text_in(file, "fingerprint");
  if (out.identity.embedding == kPacked) out.identity.embedding.clear();
  const auto vectors = metadata.find("fingerprint_of_vectors");
  if (vectors != metadata.end()) out.identity.vectors = vectors->second;
  out.data = text_in(file, "data");
  out.samples = number_in<std::int64_t>(file, "samples");
  out.length = number_in<std::int64_t>(file, "length");
  out.tokens = number_in<std::int64_t>(file, "tokens");
  if (metadata.contains("predictions")) {
    out.predictions = number_in<std::int64_t>(file, "predictions");
  }
  out.seed = number_in<std::uint64_t>(file, "seed");
  if (metadata.contains("token_weights")) {
    const std::string found = text_in(file, "token_weights");
    const auto weights = token_weights_from_name(found);
    if (!weights) {
      throw InputError({file.path(), "__metadata__.token_weights"},
                       "expected even or loss, found '" + found + "'");
    }
    out.token_weights = *weights;
  }
  return out;
}

void add_to(Fnv1a& hash, const io::TensorInfo& info, std::span<const std::byte> bytes) {
  constexpr std::size_t kPieces = 4096, kPieceBytes = 16;
  for (const std::int64_t extent : info.shape) {
    for (int shift = 0; shift < 64; shift += 8) {
      hash.add(static_cast<std::uint8_t>(static_cast<std::uint64_t>(extent) >> shift));
    }
  }
  const std::size_t step = std::max(kPieceBytes, bytes.size() / kPieces);
  for (std::size_t at = 0; at < bytes.size(); at += step) {
    for (std::size_t i = at; i < std::min(at + kPieceBytes, bytes.size()); ++i) {
      hash.add(std::to_integer<std::uint8_t>(bytes[i]));
    }
  }
}

std::string hash_of(const checkpoint::Checkpoint& source, const std::vector<std::string>& names) {
  if (names.empty()) return {};
  Fnv1a hash;
  for (const std::string& name : names) {
    if (!source.contains(name)) return {};
    add_to(hash, source.info(name), source.bytes(name));
  }
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (int shift = 60; shift >= 0; shift -= 4) out += kDigits[hash.value() >> shift & 15];
  return out;
}

bool all_zero(const std::vector<float>& values) {
  return std::ranges::all_of(values, [](float value) { return value == 0; });
}

io::TensorInfo f32_tensor(std::string name, std::int64_t count) {
  io::TensorInfo out;
  out.name = std::move(name);
  out.shape = {count};
  return out;
}

}  // namespace

std::string_view name(TokenWeights weights) {
  return weights == TokenWeights::even ? "even" : "loss";
}

std::optional<TokenWeights> token_weights_from_name(std::string_view name_of_one) {
  for (const TokenWeights weights : {TokenWeights::even, TokenWeights::loss}) {
    if (name(weights) == name_of_one) return weights;
  }
  return std::nullopt;
}

std::map<std::string, std::string> to_metadata(const Origin& origin) {
  std::map<std::string, std::string> out = {
      {"format", "qloft-statistics"},
      {"version", origin.token_weights == TokenWeights::even ? "1" : "2"},
      {"model", origin.model},
      {"fingerprint", origin.identity.embedding.empty() ? kPacked : origin.identity.embedding},
      {"fingerprint_of_vectors", origin.identity.vectors},
      {"data", origin.data},
      {"samples", std::to_string(origin.samples)},
      {"length", std::to_string(origin.length)},
      {"tokens", std::to_string(origin.tokens)},
      {"seed", std::to_string(origin.seed)}};
  if (origin.predictions > 0) out["predictions"] = std::to_string(origin.predictions);
  if (origin.token_weights != TokenWeights::even) {
    out["token_weights"] = name(origin.token_weights);
  }
  return out;
}

Identity identify(const checkpoint::Checkpoint& source, const std::vector<std::string>& embedding,
                  const std::vector<std::string>& vectors) {
  return {hash_of(source, embedding), hash_of(source, vectors)};
}

io::TensorInfo gram_tensor(const std::string& weight, std::int64_t columns) {
  return f32_tensor(weight + ".gram", columns * (columns + 1) / 2);
}
io::TensorInfo fisher_rows_tensor(const std::string& weight, std::int64_t rows) {
  return f32_tensor(weight + ".fisher_rows", rows);
}
io::TensorInfo fisher_columns_tensor(const std::string& weight, std::int64_t columns) {
  return f32_tensor(weight + ".fisher_columns", columns);
}

File::File(fs::path path) : file_(std::move(path)), origin_(origin_of(file_)) {}

void File::expect_model(const Identity& identity, const fs::path& folder) const {
  const Identity& own = origin_.identity;
  const bool embeddings = !own.embedding.empty() && !identity.embedding.empty();
  const bool vectors = !own.vectors.empty() && !identity.vectors.empty();
  const auto refuse = [&](const std::string& why) {
    throw InputError({path(), {}}, "expected statistics of " + folder.string() +
                                       ", found those of another model, '" + origin_.model + "' (" +
                                       why + ")");
  };
  if (embeddings && own.embedding != identity.embedding) refuse("their embeddings differ");
  if (vectors && own.vectors != identity.vectors) refuse("their norms and biases differ");
  if (embeddings || vectors) return;
  throw InputError({path(), {}}, "expected statistics of " + folder.string() +
                                     ", found some that do not tell of which model they are; "
                                     "qloft calibrate makes them anew");
}

std::vector<float> File::values(const io::TensorInfo& expected, const char* collected_by) const {
  const io::TensorInfo* found = file_.find(expected.name);
  if (found == nullptr) {
    throw InputError({path(), expected.name}, std::string("expected it, found none (calibrate ") +
                                                  collected_by + " collects it)");
  }
  if (found->type != ElementType::f32 || found->shape != expected.shape) {
    throw InputError({path(), expected.name},
                     "expected " + std::to_string(expected.shape[0]) + " values of F32, found " +
                         std::to_string(found->element_count()) + " of " +
                         std::string(safetensors_name(found->type)) + ": of another model");
  }
  const auto bytes = file_.bytes(*found);
  if (!checkpoint::all_finite(bytes, ElementType::f32)) {
    throw InputError({path(), expected.name}, "expected finite values, found infinity or NaN");
  }
  std::vector<float> out(bytes.size() / sizeof(float));
  std::memcpy(out.data(), bytes.data(), bytes.size());
  file_.drop(*found);
  return out;
}

std::vector<float> File::factors(const io::TensorInfo& expected) const {
  std::vector<float> own = values(expected, "--fisher");
  if (!all_zero(own)) return own;
  const std::string suffix = expected.name.substr(expected.name.rfind('.'));
  double sum = 0;
  std::int64_t count = 0;
  for (const io::TensorInfo& tensor : file_.tensors()) {
    if (!tensor.name.ends_with(suffix)) continue;
    const std::vector<float> others = values(tensor, "--fisher");
    if (all_zero(others)) continue;
    sum += std::accumulate(others.begin(), others.end(), 0.0);
    count += std::ssize(others);
  }
  const double mean = count > 0 ? sum / static_cast<double>(count) : 0;
  std::ranges::fill(own, static_cast<float>(mean));
  return own;
}

std::string File::gram_name(const std::string& weight, const std::string& input_of) const {
  const bool own = origin_.token_weights == TokenWeights::loss &&
                   file_.find(gram_tensor(weight, 0).name) != nullptr;
  return own ? weight : input_of;
}

bool File::holds(const std::string& weight, const std::string& input_of,
                 decompose::Metric metric) const {
  const auto has = [this](const io::TensorInfo& tensor) {
    return file_.find(tensor.name) != nullptr;
  };
  return (!decompose::needs_gram(metric) || has(gram_tensor(gram_name(weight, input_of), 0))) &&
         (!decompose::needs_fisher(metric) ||
          (has(fisher_rows_tensor(weight, 0)) && has(fisher_columns_tensor(weight, 0))));
}

bool File::is_unreached(const std::string& weight) const {
  const io::TensorInfo* rows = file_.find(fisher_rows_tensor(weight, 0).name);
  return rows != nullptr && all_zero(values(*rows, "--fisher"));
}

decompose::Statistics File::read(const std::string& weight, const std::string& input_of,
                                 std::int64_t rows, std::int64_t columns,
                                 decompose::Metric metric) const {
  decompose::Statistics out;
  if (decompose::needs_gram(metric)) {
    out.gram =
        symmetric(values(gram_tensor(gram_name(weight, input_of), columns), "--gram"), columns);
  }
  if (decompose::needs_fisher(metric)) {
    out.fisher_rows = factors(fisher_rows_tensor(weight, rows));
    out.fisher_columns = factors(fisher_columns_tensor(weight, columns));
  }
  return out;
}

}  // namespace qloft::statistics
