#pragma once
// The one way in which stages go on after an interruption.
//
// What a piece of work depends on is one JSON object: its options by name, its inputs by
// fingerprints of their contents, never by path or time, and nothing else. What an earlier run left
// is taken up where that object is equal; else the work begins anew.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "qloft/core/file.h"
#include "qloft/io.h"

namespace qloft::pipeline {

// Of a file's contents.
std::string file_fingerprint(const std::filesystem::path& file);
// Of config.json and all safetensors of a folder: a model's weights, dense or packed.
std::string weights_fingerprint(const std::filesystem::path& folder);
// Of these, the tokenizer's files and the chat template: whatever a model's answers depend on.
std::string model_fingerprint(const std::filesystem::path& folder);
// Of a chat template, or of all that a folder may have one in.
std::string template_fingerprint(const std::filesystem::path& source);

// Options by their names, a chat template by its contents and not its path.
io::Json by_contents(io::Json options);

// Names what is kept for this work: 16 hexadecimal digits.
std::string work_name(const io::Json& work);

// A result that is kept in a file with what it depends on: {"key": WORK, NAME: RESULT}. Empty where
// there is none for this work.
std::optional<io::Json> read_kept(const std::filesystem::path& file, const io::Json& work,
                                  const std::string& name);
void write_kept(const std::filesystem::path& file, const io::Json& work, const std::string& name,
                const io::Json& result);

// Finished pieces of one work: a file of JSON lines, the first {"key": WORK}.
class Journal {
 public:
  enum class State { fresh, resumed, replaced };  // replaced: there was one of another work

  Journal(std::filesystem::path file, const io::Json& work);
  // Whether the file is there and of this work.
  static bool is_of(const std::filesystem::path& file, const io::Json& work);

  const std::filesystem::path& path() const { return file_; }
  State state() const { return state_; }
  // What the earlier run had entered; a line that was cut short is left out.
  const std::vector<io::Json>& pieces() const { return pieces_; }
  // Enters a piece at the next flush().
  void add(const io::Json& piece);
  // What was added is on the disk when it returns.
  void flush();

 private:
  std::filesystem::path file_;
  State state_ = State::fresh;
  std::vector<io::Json> pieces_;
  std::string lines_;
};

}  // namespace qloft::pipeline
