#include "vocabulary.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace qloft::tokenizer {
namespace {

std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

std::uint64_t load(const char* bytes, std::size_t count) {
  std::uint64_t value = 0;
  std::memcpy(&value, bytes, count);
  return value;
}

constexpr std::uint64_t kOdd = 0x9E3779B97F4A7C15u;
constexpr std::uint64_t kPrime = 0xD6E8FEB86659FD93u;
constexpr std::size_t kFirstSlots = 64;
constexpr std::size_t kSparseness = 16;
constexpr std::int64_t kIdHeadroom = 1 << 20;

}  // namespace

std::uint64_t hash_bytes(std::string_view bytes) {
  std::uint64_t hash = kPrime ^ bytes.size();
  const char* at = bytes.data();
  std::size_t left = bytes.size();
  for (; left > 8; left -= 8, at += 8) hash = mix(hash ^ load(at, 8), kOdd);
  return mix(hash ^ load(at, left), kPrime);
}

std::int64_t Vocabulary::id_limit(std::size_t entries) {
  return std::min<std::int64_t>(static_cast<std::int64_t>(entries * kSparseness) + kIdHeadroom,
                                INT32_MAX);
}

void Vocabulary::reserve(std::size_t entries) {
  entries_.reserve(entries);
  const std::size_t slots = std::bit_ceil(std::max(kFirstSlots, entries * 2));
  if (slots > slots_.size()) {
    slots_.assign(slots / 2, 0);
    grow();
  }
}

void Vocabulary::grow() {
  std::vector<std::uint32_t> slots(std::max(kFirstSlots, slots_.size() * 2), 0);
  slots_.swap(slots);
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    slots_[slot_of(entries_[i].token)] = static_cast<std::uint32_t>(i + 1);
  }
}

std::size_t Vocabulary::slot_of(std::string_view token) const {
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot = hash_bytes(token) & mask;
  while (slots_[slot] != 0 && entries_[slots_[slot] - 1].token != token) slot = (slot + 1) & mask;
  return slot;
}

void Vocabulary::add(std::string_view token, TokenId id) {
  if (slots_.size() < 2 * (entries_.size() + 1)) grow();
  const std::size_t slot = slot_of(token);
  if (slots_[slot] == 0) {
    entries_.push_back({std::string(token), id});
    slots_[slot] = static_cast<std::uint32_t>(entries_.size());
  }
  entries_[slots_[slot] - 1].id = id;
  const auto index = static_cast<std::size_t>(id);
  if (index >= by_id_.size()) by_id_.resize(index + 1, 0);
  if (by_id_[index] == 0) by_id_[index] = slots_[slot];
}

std::optional<TokenId> Vocabulary::find(std::string_view token) const {
  if (slots_.empty()) return std::nullopt;
  const std::uint32_t entry = slots_[slot_of(token)];
  if (entry == 0) return std::nullopt;
  return entries_[entry - 1].id;
}

const std::string* Vocabulary::token(TokenId id) const {
  const auto index = static_cast<std::size_t>(id);
  if (id < 0 || index >= by_id_.size() || by_id_[index] == 0) return nullptr;
  return &entries_[by_id_[index] - 1].token;
}

}  // namespace qloft::tokenizer
