#include <limits>
#include <nlohmann/json.hpp>

#include "qloft/io/fields.h"
#include "qloft/quantized.h"

namespace qloft::quantized {

io::Json format_to_json(const quant::Format& format) {
  io::Json json;
  json["bits"] = format.bits;
  json["codebook"] = quant::name(format.codebook);
  json["block"] = format.block;
  json["scale"] = quant::name(format.scale_rule);
  if (!format.second_level) {
    json["scale_type"] = short_name(format.scale_type);
    return json;
  }
  io::Json& second = json["second_level"];
  second["bits"] = format.second_level->bits;
  second["block"] = format.second_level->block;
  second["type"] = short_name(format.second_level->type);
  second["code"] = quant::name(format.second_level->code);
  return json;
}

quant::Format format_from_json(const io::Json& json, const std::filesystem::path& file,
                               const std::string& field) {
  const io::Field fields(json, file, field);
  constexpr std::int64_t kMost = std::numeric_limits<int>::max();
  quant::Format format;
  format.bits = static_cast<int>(fields.at("bits").integer(0, kMost));
  format.codebook = fields.at("codebook").named(quant::codebook_from_name);
  format.block = fields.at("block").integer(0, kMost);
  format.scale_rule = fields.at("scale").named(quant::scale_rule_from_name);
  if (const auto inner = fields.find("second_level")) {
    quant::SecondLevel second;
    second.bits = static_cast<int>(inner->at("bits").integer(0, kMost));
    second.block = inner->at("block").integer(0, kMost);
    second.type = inner->at("type").named(element_type_from_short_name);
    second.code = inner->at("code").named(quant::scale_code_from_name);
    format.second_level = second;
  } else {
    format.scale_type = fields.at("scale_type").named(element_type_from_short_name);
  }
  try {
    format.validate();
  } catch (const InputError& error) {
    throw InputError({file, field}, error.what());
  }
  return format;
}

}  // namespace qloft::quantized
