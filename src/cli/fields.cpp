#include "fields.h"

#include "terminal_progress.h"

namespace qloft::cli {

std::string field_text(double value, const Shown& shown) {
  switch (shown.as) {
    case Shown::As::nothing:
    case Shown::As::absent:
      return kNoValue;
    case Shown::As::text:
      return fmt::format("{}", value);
    case Shown::As::fixed:
      return fmt::format("{:.{}f}", value, shown.decimals);
    case Shown::As::percent:
      return fmt::format("{:.{}f} %", 100 * value, shown.decimals);
    case Shown::As::bytes:
      return format_bytes(value);
    case Shown::As::duration:
      return clock_time(value);
    case Shown::As::count:
      return short_number(value);
  }
  return {};
}

}  // namespace qloft::cli
