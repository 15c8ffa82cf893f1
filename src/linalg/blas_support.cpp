// What the joined OpenBLAS object asks back (cmake/OpenBLAS.cmake redirects the two names).

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string_view>

extern "C" {

// OpenBLAS reads its settings when the program starts. Its pool stays empty until svd() wants it,
// and its threads sleep soon after (2^20 cycles), so that they do not spin beside core's threads.
char* qloft_blas_getenv(const char* name) {
  static char one[] = "1";
  static char short_spin[] = "20";
  const std::string_view wanted(name);
  if (wanted == "OPENBLAS_NUM_THREADS") return one;
  if (wanted == "OPENBLAS_THREAD_TIMEOUT") return short_spin;
  return std::getenv(name);
}

// libgfortran's string concatenation, the one thing that LAPACK needs of that library: `to` gets
// first, second and blanks up to its length.
void qloft_blas_concat_string(std::size_t to_length, char* to, std::size_t first_length,
                              const char* first, std::size_t second_length, const char* second) {
  const std::size_t head = std::min(to_length, first_length);
  const std::size_t tail = std::min(to_length - head, second_length);
  std::memcpy(to, first, head);
  std::memcpy(to + head, second, tail);
  std::memset(to + head + tail, ' ', to_length - head - tail);
}

}  // extern "C"
