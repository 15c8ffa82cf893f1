#include "safetensors_header.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "json_parse.h"
#include "qloft/core/error.h"

namespace qloft::io {
namespace {

constexpr std::size_t kMostDimensions = 64;
constexpr std::string_view kMetadata = "__metadata__";
static_assert(std::endian::native == std::endian::little,
              "tensors are used as they are stored: little-endian");

const Json& member(const Json& object, const char* key, const ErrorLocation& where) {
  const auto it = object.find(key);
  if (it == object.end()) throw InputError(where, "expected a member " + std::string(key));
  return *it;
}

std::uint64_t unsigned_number(const Json& value, const char* what, const ErrorLocation& where) {
  if (!value.is_number_unsigned()) {
    throw InputError(where, std::string("expected ") + what + " of whole numbers from 0, found " +
                                value.type_name());
  }
  return value.get<std::uint64_t>();
}

// element_count * byte_size, or nothing on overflow.
std::optional<std::uint64_t> byte_count(const std::vector<std::int64_t>& shape, ElementType type) {
  std::int64_t total = static_cast<std::int64_t>(byte_size(type));
  for (const std::int64_t extent : shape) {
    if (__builtin_mul_overflow(total, extent, &total)) return std::nullopt;
  }
  return static_cast<std::uint64_t>(total);
}

struct Range {
  std::uint64_t begin;
  std::uint64_t end;
};

TensorInfo read_tensor(const std::string& name, const Json& value, std::uint64_t data_bytes,
                       const std::filesystem::path& file, Range& range) {
  const ErrorLocation where{file, name};
  if (!value.is_object()) {
    throw InputError(where, std::string("expected an object with dtype, shape and data_offsets, "
                                        "found ") +
                                value.type_name());
  }
  TensorInfo info;
  info.name = name;
  const Json& type = member(value, "dtype", where);
  if (!type.is_string()) {
    throw InputError(where,
                     std::string("expected dtype to be a string, found ") + type.type_name());
  }
  const auto known = element_type_from_safetensors(type.get_ref<const std::string&>());
  if (!known) {
    throw InputError(where,
                     "expected dtype to be one of F64, F32, F16, BF16, I64, I32, I16, I8, U8, "
                     "BOOL, found " +
                         type.get_ref<const std::string&>());
  }
  info.type = *known;

  const Json& shape = member(value, "shape", where);
  if (!shape.is_array()) {
    throw InputError(where,
                     std::string("expected shape to be an array, found ") + shape.type_name());
  }
  if (shape.size() > kMostDimensions) {
    throw InputError(where, "expected a shape of at most " + std::to_string(kMostDimensions) +
                                " dimensions, found " + std::to_string(shape.size()));
  }
  for (const Json& extent : shape) {
    const std::uint64_t number = unsigned_number(extent, "a shape", where);
    if (!std::in_range<std::int64_t>(number)) throw InputError(where, "the shape is too large");
    info.shape.push_back(static_cast<std::int64_t>(number));
  }
  const auto bytes = byte_count(info.shape, info.type);
  if (!bytes) throw InputError(where, "the shape is too large: its byte count overflows");

  const Json& offsets = member(value, "data_offsets", where);
  if (!offsets.is_array() || offsets.size() != 2) {
    throw InputError(where, "expected data_offsets to be [begin, end]");
  }
  range = {unsigned_number(offsets[0], "data_offsets", where),
           unsigned_number(offsets[1], "data_offsets", where)};
  if (range.begin > range.end || range.end > data_bytes) {
    throw InputError(where, "expected data_offsets within the file's " +
                                std::to_string(data_bytes) + " data bytes, found [" +
                                std::to_string(range.begin) + ", " + std::to_string(range.end) +
                                "]");
  }
  if (range.end - range.begin != *bytes) {
    throw InputError(where, "expected " + std::to_string(*bytes) +
                                " bytes by dtype and shape, found " +
                                std::to_string(range.end - range.begin) + " by data_offsets");
  }
  info.offset = range.begin;
  return info;
}

std::map<std::string, std::string> read_metadata(const Json& value,
                                                 const std::filesystem::path& file) {
  std::map<std::string, std::string> metadata;
  if (!value.is_object()) {
    throw InputError({file, std::string(kMetadata)}, "expected an object of strings");
  }
  for (const auto& [key, text] : value.items()) {
    if (!text.is_string()) {
      throw InputError({file, std::string(kMetadata)}, "expected a string for " + key);
    }
    metadata.emplace(key, text.get<std::string>());
  }
  return metadata;
}

}  // namespace

SafetensorsHeader parse_safetensors_header(std::string_view json, std::uint64_t data_bytes,
                                           const std::filesystem::path& file) {
  if (!json.starts_with('{')) {
    throw InputError({file, "header"}, "expected a JSON object (is this a safetensors file?)");
  }
  const Json root = parse_json(json, file, 1, DuplicateKeys::refuse);
  SafetensorsHeader header;
  std::vector<std::pair<Range, TensorInfo>> found;
  found.reserve(root.size());
  for (const auto& [name, value] : root.items()) {
    if (name == kMetadata) {
      header.metadata = read_metadata(value, file);
      continue;
    }
    Range range{};
    TensorInfo info = read_tensor(name, value, data_bytes, file, range);
    found.emplace_back(range, std::move(info));
  }
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
    return std::pair(a.first.begin, a.first.end) < std::pair(b.first.begin, b.first.end);
  });
  std::uint64_t end = 0;
  for (auto& [range, info] : found) {
    if (range.begin != end) {
      throw InputError({file, info.name}, "expected its data to begin at " + std::to_string(end) +
                                              ", where the tensor before it ends, found " +
                                              std::to_string(range.begin));
    }
    end = range.end;
    header.tensors.push_back(std::move(info));
  }
  if (end != data_bytes) {
    throw InputError({file, "header"}, "expected tensors that fill the file's " +
                                           std::to_string(data_bytes) + " data bytes, found " +
                                           std::to_string(end));
  }
  return header;
}

std::uint64_t assign_offsets(std::vector<TensorInfo>& tensors, const std::filesystem::path& file) {
  std::stable_sort(tensors.begin(), tensors.end(), [](const TensorInfo& a, const TensorInfo& b) {
    return byte_size(a.type) > byte_size(b.type);
  });
  std::set<std::string_view> names;
  std::uint64_t offset = 0;
  for (TensorInfo& info : tensors) {
    if (info.name == kMetadata || !names.insert(info.name).second) {
      throw Error({file, info.name}, "this name is taken");
    }
    info.offset = offset;
    offset += info.bytes();
  }
  return offset;
}

std::string make_safetensors_header(const SafetensorsHeader& header) {
  Json root = Json::object();
  auto& members = root.get_ref<Json::object_t&>();
  if (!header.metadata.empty()) members.emplace_back(std::string(kMetadata), header.metadata);
  for (const TensorInfo& info : header.tensors) {
    Json tensor;
    tensor["dtype"] = safetensors_name(info.type);
    tensor["shape"] = info.shape;
    tensor["data_offsets"] = {info.offset, info.offset + info.bytes()};
    members.emplace_back(info.name, std::move(tensor));
  }
  std::string json = root.dump(-1, ' ', false, Json::error_handler_t::replace);
  json.resize((json.size() + 7) / 8 * 8, ' ');
  const std::uint64_t length = json.size();
  std::string out(sizeof length, '\0');
  std::memcpy(out.data(), &length, sizeof length);
  return out + json;
}

}  // namespace qloft::io
