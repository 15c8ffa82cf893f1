#include "event_file.h"

#include <unistd.h>

#include <array>
#include <bit>
#include <chrono>

#include "crc32c.h"
#include "qloft/core/error.h"

namespace qloft::train {
namespace {

template <typename T>
void append_little_endian(std::string& out, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    out.push_back(static_cast<char>((value >> (8 * i)) & 0xff));
  }
}

void append_varint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>((value & 0x7f) | 0x80));
  out.push_back(static_cast<char>(value));
}

// Protocol buffers' wire types.
enum class Wire : std::uint8_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

void append_key(std::string& out, unsigned field, Wire wire) {
  append_varint(out, (field << 3) | static_cast<unsigned>(wire));
}
void append_int(std::string& out, unsigned field, std::int64_t value) {
  append_key(out, field, Wire::varint);
  append_varint(out, static_cast<std::uint64_t>(value));
}
void append_double(std::string& out, unsigned field, double value) {
  append_key(out, field, Wire::fixed64);
  append_little_endian(out, std::bit_cast<std::uint64_t>(value));
}
void append_float(std::string& out, unsigned field, float value) {
  append_key(out, field, Wire::fixed32);
  append_little_endian(out, std::bit_cast<std::uint32_t>(value));
}
void append_bytes(std::string& out, unsigned field, std::string_view value) {
  append_key(out, field, Wire::bytes);
  append_varint(out, value.size());
  out.append(value);
}

std::string record(std::string_view data) {
  std::string out;
  append_little_endian(out, static_cast<std::uint64_t>(data.size()));
  append_little_endian(out, masked_crc32c(out));
  out.append(data);
  append_little_endian(out, masked_crc32c(data));
  return out;
}

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

LogFile create_in(const std::filesystem::path& folder) {
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0 || host[0] == '\0') host = {"localhost"};
  const std::string stem = "events.out.tfevents." +
                           std::to_string(static_cast<std::int64_t>(now())) + "." + host.data() +
                           "." + std::to_string(::getpid()) + ".";
  for (int n = 0;; ++n) {
    const std::filesystem::path path = folder / (stem + std::to_string(n));
    if (!std::filesystem::exists(path)) return {path, LogFile::Mode::create_new};
  }
}

}  // namespace

std::string version_record(double wall_time) {
  std::string event;
  append_double(event, 1, wall_time);
  append_bytes(event, 3, "brain.Event:2");
  return record(event);
}

std::string scalars_record(double wall_time, std::int64_t step,
                           const std::vector<Scalar>& scalars) {
  std::string summary;
  for (const Scalar& scalar : scalars) {
    std::string value;
    append_bytes(value, 1, scalar.tag);
    append_float(value, 2, scalar.value);
    append_bytes(summary, 1, value);
  }
  std::string event;
  append_double(event, 1, wall_time);
  append_int(event, 2, step);
  append_bytes(event, 5, summary);
  return record(event);
}

std::string restart_record(double wall_time, std::int64_t step) {
  constexpr std::int64_t kStart = 1;
  std::string session_log;
  append_int(session_log, 1, kStart);
  std::string event;
  append_double(event, 1, wall_time);
  append_int(event, 2, step);
  append_bytes(event, 7, session_log);
  return record(event);
}

EventFile::EventFile(const std::filesystem::path& folder, std::int64_t first_step)
    : file_(create_in(folder)) {
  file_.append(version_record(now()));
  if (first_step > 0) file_.append(restart_record(now(), first_step));
}

void EventFile::add(std::int64_t step, const std::vector<Scalar>& scalars) {
  file_.append(scalars_record(now(), step, scalars));
}

}  // namespace qloft::train
