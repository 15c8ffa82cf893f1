#include "sentencepiece_file.h"

#include <cmath>
#include <cstddef>
#include <cstring>
#include <optional>
#include <string_view>

#include "qloft/core/error.h"
#include "qloft/io.h"
#include "unicode.h"

namespace qloft::tokenizer {
namespace {

// One message of protobuf's wire format, field by field.
class Message {
 public:
  Message(std::string_view bytes, const std::filesystem::path& file) : bytes_(bytes), file_(file) {}

  struct Entry {
    std::uint64_t number = 0;
    std::uint64_t value = 0;   // of a varint
    std::string_view content;  // of a length-delimited field
  };

  std::optional<Entry> next() {
    if (at_ == bytes_.size()) return std::nullopt;
    const std::uint64_t tag = varint();
    Entry entry{tag >> 3, 0, {}};
    switch (tag & 7) {
      case 0:
        entry.value = varint();
        break;
      case 1:
        entry.content = take(8);
        break;
      case 2:
        entry.content = take(varint());
        break;
      case 5:
        entry.content = take(4);
        break;
      default:
        fail();
    }
    return entry;
  }

 private:
  [[noreturn]] void fail() const {
    throw InputError({file_, {}}, "expected a SentencePiece model, found other or cut bytes");
  }
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (at_ == bytes_.size()) fail();
      const auto byte = static_cast<unsigned char>(bytes_[at_++]);
      value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
    fail();
  }
  std::string_view take(std::uint64_t count) {
    if (count > bytes_.size() - at_) fail();
    const std::string_view part = bytes_.substr(at_, count);
    at_ += count;
    return part;
  }

  std::string_view bytes_;
  const std::filesystem::path& file_;
  std::size_t at_ = 0;
};

SentencePieceFile::Piece read_piece(Message message, const std::filesystem::path& file) {
  SentencePieceFile::Piece piece;
  while (const auto entry = message.next()) {
    if (entry->number == 1) {
      piece.text = entry->content;
    } else if (entry->number == 2 && entry->content.size() == sizeof(piece.score)) {
      std::memcpy(&piece.score, entry->content.data(), sizeof(piece.score));
      if (!std::isfinite(piece.score)) {
        throw InputError({file, "pieces.score"}, "expected a finite number, found another");
      }
    } else if (entry->number == 3) {
      if (entry->value < 1 || entry->value > 6) {
        throw InputError({file, "pieces.type"}, "expected 1 to 6");
      }
      piece.kind = static_cast<SentencePieceFile::Kind>(entry->value);
    }
  }
  if (!is_valid_utf8(piece.text)) {
    throw InputError({file, "pieces.piece"}, "expected UTF-8, found other bytes");
  }
  return piece;
}

// Protobuf's int32, negative numbers included.
std::int64_t as_int(std::uint64_t value) {
  return static_cast<std::int32_t>(value);
}

void read_trainer(Message message, SentencePieceFile& result) {
  while (const auto entry = message.next()) {
    if (entry->number == 3) result.model_type = entry->value;
    if (entry->number == 40) result.unknown_id = as_int(entry->value);
    if (entry->number == 41) result.bos_id = as_int(entry->value);
    if (entry->number == 42) result.eos_id = as_int(entry->value);
    if (entry->number == 43) result.pad_id = as_int(entry->value);
  }
}

void read_normalizer(Message message, SentencePieceFile& result) {
  while (const auto entry = message.next()) {
    if (entry->number == 2) result.character_map = entry->content;
    if (entry->number == 3) result.add_dummy_prefix = entry->value != 0;
  }
}

}  // namespace

SentencePieceFile read_sentencepiece_file(const std::filesystem::path& file) {
  const io::MappedFile mapped(file);
  const auto bytes = mapped.bytes();
  return parse_sentencepiece({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, file);
}

SentencePieceFile parse_sentencepiece(std::string_view bytes, const std::filesystem::path& file) {
  SentencePieceFile result;
  Message message(bytes, file);
  while (const auto entry = message.next()) {
    const Message part(entry->content, file);
    if (entry->number == 1) result.pieces.push_back(read_piece(part, file));
    if (entry->number == 2) read_trainer(part, result);
    if (entry->number == 3) read_normalizer(part, result);
  }
  if (result.pieces.empty()) {
    throw InputError({file, "pieces"}, "expected a SentencePiece model with pieces, found none");
  }
  return result;
}

}  // namespace qloft::tokenizer
