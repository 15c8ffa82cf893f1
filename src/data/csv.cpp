#include "qloft/data/csv.h"

#include <string_view>
#include <utility>

#include "qloft/core/error.h"
#include "qloft/core/file.h"

namespace qloft::data {
namespace {

class CsvReader {
 public:
  CsvReader(std::string_view text, const std::filesystem::path& file) : text_(text), file_(file) {
    if (text_.starts_with("\xEF\xBB\xBF")) at_ = 3;
  }

  std::vector<CsvRecord> read() {
    std::vector<CsvRecord> records;
    while (at_ < text_.size()) {
      CsvRecord record{{}, line_};
      do {
        record.fields.push_back(at_ < text_.size() && text_[at_] == '"' ? quoted() : plain());
      } while (take(','));
      take('\r');
      if (take('\n')) ++line_;
      const bool blank = record.fields.size() == 1 && record.fields[0].empty();
      if (!blank) records.push_back(std::move(record));
    }
    return records;
  }

 private:
  [[noreturn]] void fail(const char* message, std::int64_t line) const {
    throw InputError({file_, "line " + std::to_string(line)}, message);
  }
  bool take(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool at_end_of_field() const {
    return at_ >= text_.size() || text_[at_] == ',' || text_[at_] == '\n' ||
           text_.substr(at_).starts_with("\r\n");
  }
  std::string plain() {
    const std::size_t begin = at_;
    while (!at_end_of_field()) ++at_;
    return std::string(text_.substr(begin, at_ - begin));
  }
  std::string quoted() {
    const std::int64_t begin = line_;
    ++at_;
    std::string field;
    for (;; ++at_) {
      if (at_ >= text_.size()) fail("expected a closing quote, found the end of the file", begin);
      if (text_[at_] == '"') {
        ++at_;
        if (at_ >= text_.size() || text_[at_] != '"') break;
      }
      if (text_[at_] == '\n') ++line_;
      field += text_[at_];
    }
    if (!at_end_of_field()) fail("expected a comma behind a closing quote, found text", line_);
    return field;
  }

  std::string_view text_;
  const std::filesystem::path& file_;
  std::size_t at_ = 0;
  std::int64_t line_ = 1;
};

}  // namespace

std::vector<CsvRecord> read_csv(const std::filesystem::path& file) {
  const std::string text = read_file(file);
  return CsvReader(text, file).read();
}

}  // namespace qloft::data
