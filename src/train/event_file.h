#pragma once
// TensorBoard's event files: Event protocol buffers in TFRecord framing.
//
//   record  u64 length | u32 masked CRC-32C of those 8 bytes | data | u32 masked CRC-32C of data
//   Event   1 wall_time (double), 2 step (int64), 3 file_version (string), 5 summary, 7 session_log
//   Summary repeated 1 value { 1 tag (string), 2 simple_value (float) }
//
// All little-endian. Only what scalars need is encoded; nothing is read.

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "log_file.h"

namespace qloft::train {

struct Scalar {
  std::string_view tag;
  float value = 0;
};

// The bytes of one record that holds an Event.
std::string version_record(double wall_time);
std::string scalars_record(double wall_time, std::int64_t step, const std::vector<Scalar>& scalars);
// SessionLog START: readers drop events of this step and later that came before.
std::string restart_record(double wall_time, std::int64_t step);

// A new events.out.tfevents.SECONDS.HOST.PID.N in `folder`.
class EventFile {
 public:
  // first_step > 0: a resumed run, whose first step is this one.
  EventFile(const std::filesystem::path& folder, std::int64_t first_step);
  void add(std::int64_t step, const std::vector<Scalar>& scalars);

 private:
  LogFile file_;
};

}  // namespace qloft::train
