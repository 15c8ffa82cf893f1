#include "output.h"

#include <cerrno>
#include <cstdio>

#include "qloft/core/error.h"

namespace qloft::cli {
namespace {

[[noreturn]] void refuse() {
  throw SystemError({"standard output", {}}, "cannot write", errno);
}

}  // namespace

void print_out(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) refuse();
}

void flush_out() {
  if (std::fflush(stdout) != 0) refuse();
}

void print_error(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

}  // namespace qloft::cli
