#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "fields.h"
#include "qloft/quantized.h"

namespace qloft::quantized {
namespace {

constexpr const char* kMember = "quantization_config";
constexpr const char* kMethod = "qloft";

MatrixEntry read_entry(const io::Json& json, const ErrorLocation& where,
                       const std::vector<quant::Format>& formats) {
  const Fields fields(json, where);
  const io::Json& shape = fields.get("shape");
  if (!shape.is_array() || shape.size() != 2) {
    throw InputError(fields.place("shape"), "expected [rows, columns]");
  }
  const auto index = fields.integer("format", std::numeric_limits<std::int64_t>::max());
  if (static_cast<std::uint64_t>(index) >= formats.size()) {
    throw InputError(fields.place("format"), "expected the place of one of " +
                                                 std::to_string(formats.size()) +
                                                 " formats, found " + std::to_string(index));
  }
  constexpr auto kMost = std::numeric_limits<std::int64_t>::max();
  MatrixEntry entry{formats[static_cast<std::size_t>(index)],
                    fields.integer_of(shape[0], "shape", kMost),
                    fields.integer_of(shape[1], "shape", kMost)};
  try {
    quant::parts(entry.format, entry.rows, entry.columns);
  } catch (const InputError& error) {
    throw InputError(fields.place("shape"), error.what());
  }
  return entry;
}

}  // namespace

QuantizationConfig config_from_json(const io::Json& json, const std::filesystem::path& file) {
  const Fields fields(json, {file, kMember});
  if (const std::string& method = fields.text("quant_method"); method != kMethod) {
    throw InputError(fields.place("quant_method"),
                     "expected qloft (or an unquantized model), found " + method);
  }
  QuantizationConfig config;
  config.version = static_cast<int>(fields.integer("version", std::numeric_limits<int>::max()));
  if (config.version < 1 || config.version > kFormatVersion) {
    throw InputError(fields.place("version"), "expected 1 to " + std::to_string(kFormatVersion) +
                                                  ", found " + std::to_string(config.version) +
                                                  " (written by a newer program?)");
  }
  const io::Json& format_list = fields.get("formats");
  if (!format_list.is_array()) throw InputError(fields.place("formats"), "expected an array");
  std::vector<quant::Format> formats;
  for (std::size_t i = 0; i < format_list.size(); ++i) {
    formats.push_back(format_from_json(
        format_list[i], file, std::string(kMember) + ".formats[" + std::to_string(i) + "]"));
  }
  const io::Json& matrices = fields.get("matrices");
  if (!matrices.is_object()) throw InputError(fields.place("matrices"), "expected an object");
  for (const auto& [name, entry] : matrices.items()) {
    config.matrices[name] = read_entry(entry, fields.place("matrices." + name), formats);
  }
  return config;
}

std::optional<QuantizationConfig> read_config(const checkpoint::Checkpoint& source) {
  const io::Json& config = source.config();
  const auto it = config.find(kMember);
  if (it == config.end() || it->is_null()) return std::nullopt;
  return config_from_json(*it, source.folder() / "config.json");
}

io::Json to_json(const QuantizationConfig& config) {
  std::vector<quant::Format> formats;
  io::Json matrices = io::Json::object();
  auto& members = matrices.get_ref<io::Json::object_t&>();
  for (const auto& [name, entry] : config.matrices) {
    auto it = std::find(formats.begin(), formats.end(), entry.format);
    if (it == formats.end()) it = formats.insert(it, entry.format);
    io::Json value;
    value["format"] = it - formats.begin();
    value["shape"] = {entry.rows, entry.columns};
    members.emplace_back(name, std::move(value));  // names of a map are distinct
  }
  io::Json json;
  json["quant_method"] = kMethod;
  json["version"] = config.version;
  json["formats"] = io::Json::array();
  for (const quant::Format& format : formats) json["formats"].push_back(format_to_json(format));
  json["matrices"] = std::move(matrices);
  return json;
}

}  // namespace qloft::quantized
