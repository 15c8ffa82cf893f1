#include "pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "qloft/core/error.h"

namespace qloft::adapter {
namespace {

constexpr std::size_t kMaximumLength = 100'000;  // bytes of an expression
constexpr std::uint32_t kMaximumSteps = 1'000'000;

}  // namespace

struct Pattern::State {
  ErrorLocation where;
  pcre2_code* code = nullptr;
  pcre2_match_data* match = nullptr;
  pcre2_match_context* context = nullptr;

  ~State() {
    pcre2_match_data_free(match);
    pcre2_match_context_free(context);
    pcre2_code_free(code);
  }
};

Pattern::Pattern(const std::string& expression, const std::filesystem::path& file,
                 const std::string& field)
    : state_(std::make_unique<State>()) {
  state_->where = {file, field};
  if (expression.size() > kMaximumLength) {
    throw InputError(state_->where, "expected a regular expression of at most " +
                                        std::to_string(kMaximumLength) + " bytes");
  }
  int error = 0;
  PCRE2_SIZE offset = 0;
  state_->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression.data()), expression.size(),
                               PCRE2_ANCHORED | PCRE2_ENDANCHORED, &error, &offset, nullptr);
  if (state_->code == nullptr) {
    char text[200] = "";
    pcre2_get_error_message(error, reinterpret_cast<PCRE2_UCHAR*>(text), sizeof text);
    throw InputError(state_->where, "expected a regular expression, found one with " +
                                        std::string(text) + " at character " +
                                        std::to_string(offset));
  }
  state_->match = pcre2_match_data_create_from_pattern(state_->code, nullptr);
  state_->context = pcre2_match_context_create(nullptr);
  if (state_->match == nullptr || state_->context == nullptr) throw std::bad_alloc();
  pcre2_set_match_limit(state_->context, kMaximumSteps);
}

Pattern::~Pattern() = default;
Pattern::Pattern(Pattern&&) noexcept = default;
Pattern& Pattern::operator=(Pattern&&) noexcept = default;

bool Pattern::matches(std::string_view name) const {
  const int result = pcre2_match(state_->code, reinterpret_cast<PCRE2_SPTR>(name.data()),
                                 name.size(), 0, 0, state_->match, state_->context);
  if (result == PCRE2_ERROR_NOMATCH) return false;
  if (result < 0) {
    throw InputError(state_->where, "the regular expression needs too many steps");
  }
  return true;
}

}  // namespace qloft::adapter
