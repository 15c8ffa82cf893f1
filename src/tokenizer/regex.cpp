#define PCRE2_CODE_UNIT_WIDTH 8
#include "regex.h"

#include <pcre2.h>
#include <time.h>

#include <algorithm>
#include <array>

#include "qloft/core/error.h"

namespace qloft::tokenizer {
namespace {

constexpr std::uint32_t kMatchLimit = 20'000'000;  // steps of one search
constexpr std::uint32_t kHeapLimit = 64 * 1024;    // KiB, where PCRE2 interprets
// What all searches through one text may take: more than a hundred times what honest ones do.
constexpr double kSeconds = 1;
constexpr double kSecondsPerByte = 5e-6;
constexpr std::size_t kUntimedBytes = 4096;
constexpr std::size_t kBytesAtRisk = std::size_t{1} << 28;
constexpr std::size_t kStackStart = 32 * 1024;
constexpr std::size_t kStackLimit = 8 * 1024 * 1024;

// What a search writes to: one a thread.
struct Workspace {
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack* stack = pcre2_jit_stack_create(kStackStart, kStackLimit, nullptr);

  Workspace() {
    if (data == nullptr || context == nullptr) {
      release();
      throw SystemError({}, "no memory for a regular expression");
    }
    pcre2_set_match_limit(context, kMatchLimit);
    pcre2_set_heap_limit(context, kHeapLimit);
    if (stack != nullptr) pcre2_jit_stack_assign(context, nullptr, stack);
  }
  ~Workspace() { release(); }
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

 private:
  void release() {
    pcre2_jit_stack_free(stack);
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
  }
};

Workspace& workspace() {
  thread_local Workspace one;
  return one;
}

// A clock that costs a few nanoseconds and ticks every few milliseconds.
double coarse_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

std::string error_text(int code) {
  std::array<PCRE2_UCHAR, 256> buffer{};
  pcre2_get_error_message(code, buffer.data(), buffer.size());
  return reinterpret_cast<const char*>(buffer.data());
}

}  // namespace

Regex::Regex(std::string_view ruby) : source_(ruby) {
  const std::string pattern = translate_regex(ruby);
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* code = pcre2_compile(
      reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
      PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C | PCRE2_USE_OFFSET_LIMIT,
      &error, &offset, nullptr);
  if (code == nullptr) {
    throw InputError("expected a regular expression, found \"" + source_ + "\" (" +
                     error_text(error) + ")");
  }
  code_ =
      std::shared_ptr<void>(code, [](void* p) { pcre2_code_free(static_cast<pcre2_code*>(p)); });
  // Without a just-in-time compiler PCRE2 interprets: slower, the same matches.
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
}

// Many places of a short text, few of a long one: between two looks at the clock no more is done
// than a fraction of a second takes.
int Regex::match(std::string_view text, std::size_t from, Spent& spent) const {
  Workspace& space = workspace();
  const bool timed = text.size() > kUntimedBytes;
  const double most = kSeconds + kSecondsPerByte * static_cast<double>(text.size());
  for (;;) {
    const std::size_t places = std::max<std::size_t>(16, kBytesAtRisk / (text.size() - from + 1));
    const std::size_t last = timed ? from + places : PCRE2_UNSET;
    pcre2_set_offset_limit(space.context, last);
    const double begin = timed ? coarse_seconds() : 0;
    const int result = pcre2_match(static_cast<const pcre2_code*>(code_.get()),
                                   reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                                   PCRE2_NO_UTF_CHECK, space.data, space.context);
    // A process that is stopped meanwhile is not to blame.
    if (timed) spent.seconds += std::min(1.0, coarse_seconds() - begin);
    if (spent.seconds > most) {
      throw InputError("the search for \"" + source_ + "\" was given up: it takes too long");
    }
    if (result != PCRE2_ERROR_NOMATCH || !timed || last >= text.size()) return result;
    from = last + 1;
    while (from < text.size() && (static_cast<unsigned char>(text[from]) & 0xC0) == 0x80) ++from;
  }
}

std::optional<std::pair<std::size_t, std::size_t>> Regex::find(std::string_view text,
                                                               std::size_t from,
                                                               Spent& spent) const {
  Workspace& space = workspace();
  const int result = match(text, from, spent);
  if (result == PCRE2_ERROR_NOMATCH) return std::nullopt;
  if (result < 0) {
    throw InputError("tokenizer.json: the search for \"" + source_ +
                     "\" was given up: " + error_text(result));
  }
  const PCRE2_SIZE* range = pcre2_get_ovector_pointer(space.data);
  // \K in a lookahead can put the start behind the end.
  if (range[0] > range[1]) {
    throw InputError("expected a regular expression whose matches have a length, found \"" +
                     source_ + "\"");
  }
  return std::pair{range[0], range[1]};
}

}  // namespace qloft::tokenizer
