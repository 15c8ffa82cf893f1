#include "qloft/pipeline/resume.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>
#include <system_error>

#include "qloft/core/error.h"
#include "qloft/core/file.h"
#include "qloft/core/fingerprint.h"

namespace qloft::pipeline {
namespace fs = std::filesystem;
namespace {

// The objects so far, none where there is no file.
std::vector<io::Json> read_lines(const fs::path& file) {
  std::vector<io::Json> out;
  std::error_code error;
  if (!fs::exists(file, error)) return out;
  const std::string text = read_file(file);
  std::size_t begin = 0;
  for (std::size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    io::Json line = io::Json::parse(text.substr(begin, end - begin), nullptr, false);
    if (line.is_object()) out.push_back(std::move(line));
  }
  // The next line must not grow from a torn one.
  if (begin < text.size()) fs::resize_file(file, begin, error);
  if (error) throw SystemError({file, {}}, "cannot write", error.value());
  return out;
}

template <typename Wanted>
std::string fingerprint_of(const fs::path& folder, Wanted wanted) {
  std::vector<fs::path> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (entry.is_regular_file(error) && wanted(entry.path())) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  std::uint64_t hash = files.size();
  for (const fs::path& file : files) {
    hash = mix(mix(hash, file.filename().string()), fingerprint_of_file(file));
  }
  return hex(hash);
}

// A path in it may be no UTF-8, which JSON has to be.
std::string text_of(const io::Json& json) {
  return json.dump(-1, ' ', false, io::Json::error_handler_t::replace);
}

bool is_of_work(const io::Json& line, const io::Json& work) {
  const auto key = line.find("key");
  return key != line.end() && text_of(*key) == text_of(work);
}

}  // namespace

std::string file_fingerprint(const fs::path& file) {
  return hex(fingerprint_of_file(file));
}

std::string weights_fingerprint(const fs::path& folder) {
  return fingerprint_of(folder, [](const fs::path& file) {
    return file.extension() == ".safetensors" || file.filename() == "config.json";
  });
}

std::string model_fingerprint(const fs::path& folder) {
  static constexpr std::string_view kReports[] = {"quantization_report.json"};
  static constexpr std::string_view kRead[] = {".safetensors", ".json", ".jinja", ".model", ".txt"};
  return fingerprint_of(folder, [](const fs::path& file) {
    return std::ranges::find(kRead, file.extension().string()) != std::end(kRead) &&
           std::ranges::find(kReports, file.filename().string()) == std::end(kReports);
  });
}

std::string template_fingerprint(const fs::path& source) {
  std::error_code error;
  if (!fs::is_directory(source, error)) return file_fingerprint(source);
  static constexpr std::string_view kRead[] = {"chat_template.jinja", "chat_template.json",
                                               "tokenizer_config.json"};
  return fingerprint_of(source,
                        [](const fs::path& file) {
                          return std::ranges::find(kRead, file.filename().string()) !=
                                 std::end(kRead);
                        }) +
         fingerprint_of(source / "additional_chat_templates",
                        [](const fs::path& file) { return file.extension() == ".jinja"; });
}

io::Json by_contents(io::Json options) {
  const auto file = options.find("chat_template");
  if (file != options.end() && file->is_string() && !file->get_ref<const std::string&>().empty()) {
    *file = template_fingerprint(file->get<std::string>());
  }
  return options;
}

std::string work_name(const io::Json& work) {
  return hex(mix(0, text_of(work)));
}

std::optional<io::Json> read_kept(const fs::path& file, const io::Json& work,
                                  const std::string& name) {
  std::error_code error;
  if (!fs::exists(file, error)) return std::nullopt;
  const io::Json json = io::Json::parse(read_file(file), nullptr, false);
  if (!json.is_object() || !is_of_work(json, work) || !json.contains(name)) return std::nullopt;
  return json[name];
}

void write_kept(const fs::path& file, const io::Json& work, const std::string& name,
                const io::Json& result) {
  io::write_json(file, {{"key", work}, {name, result}});
}

Journal::Journal(fs::path file, const io::Json& work) : file_(std::move(file)) {
  std::vector<io::Json> lines = read_lines(file_);
  if (!lines.empty() && is_of_work(lines.front(), work)) {
    state_ = State::resumed;
    pieces_.assign(std::make_move_iterator(lines.begin() + 1),
                   std::make_move_iterator(lines.end()));
    return;
  }
  std::error_code error;
  if (fs::exists(file_, error)) state_ = State::replaced;
  write_file(file_, text_of({{"key", work}}) + "\n");
}

void Journal::add(const io::Json& piece) {
  lines_ += text_of(piece) + "\n";
}

void Journal::flush() {
  if (!lines_.empty()) append_to_disk(file_, lines_);
  lines_.clear();
}

bool Journal::is_of(const fs::path& file, const io::Json& work) {
  std::error_code error;
  if (!fs::is_regular_file(file, error)) return false;
  const std::string text = read_file(file);
  const io::Json line = io::Json::parse(text.substr(0, text.find('\n')), nullptr, false);
  return line.is_object() && is_of_work(line, work);
}

}  // namespace qloft::pipeline
