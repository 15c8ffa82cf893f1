#pragma once
// A file that grows at its end, one write a record: a reader beside never sees half of one.

#include <filesystem>
#include <string_view>

namespace qloft::train {

class LogFile {
 public:
  enum class Mode { create_new, append };
  // create_new throws InputError if the file exists; SystemError where it cannot be opened.
  LogFile(std::filesystem::path path, Mode mode);
  ~LogFile();
  LogFile(LogFile&& other) noexcept;
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;

  // Throws SystemError naming the file when the disk is full.
  void append(std::string_view record);

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
};

}  // namespace qloft::train
