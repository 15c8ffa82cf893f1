#pragma once
// SentencePiece's .model: a ModelProto in protobuf's wire format (sentencepiece_model.proto).

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace qloft::tokenizer {

struct SentencePieceFile {
  enum class Kind : std::uint8_t { normal = 1, unknown, control, user_defined, unused, byte };
  struct Piece {
    std::string text;
    float score = 0;
    Kind kind = Kind::normal;
  };
  static constexpr std::uint64_t kUnigram = 1, kBpe = 2;  // TrainerSpec::ModelType

  std::vector<Piece> pieces;
  std::uint64_t model_type = 1;
  std::int64_t unknown_id = 0, bos_id = 1, eos_id = 2, pad_id = -1;
  std::string character_map;  // the normalizer's; empty: text stays as it is
  bool add_dummy_prefix = true;
};

// Throws InputError naming the file, where it is no such message.
SentencePieceFile read_sentencepiece_file(const std::filesystem::path& file);
// The same of bytes that are read already; `file` is named in errors.
SentencePieceFile parse_sentencepiece(std::string_view bytes, const std::filesystem::path& file);

}  // namespace qloft::tokenizer
