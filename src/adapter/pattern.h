#pragma once
// Module name patterns of adapter_config.json, matched as PEFT matches them.

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace qloft::adapter {

// A regular expression that must match a whole name. Time and memory of a match are bounded.
class Pattern {
 public:
  // Throws InputError naming file and field if `expression` is not valid.
  Pattern(const std::string& expression, const std::filesystem::path& file,
          const std::string& field);
  ~Pattern();
  Pattern(Pattern&&) noexcept;
  Pattern& operator=(Pattern&&) noexcept;

  // Throws InputError where the expression needs too many steps.
  bool matches(std::string_view name) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace qloft::adapter
