#include "points.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstring>

namespace qloft::test {
namespace {

struct Watch {
  std::string folder;
  long at = 0;
  Failure failure = Failure::none;
  long* count = nullptr;
};
Watch watched;

bool counts(const char* path) {
  return watched.count != nullptr &&
         std::strncmp(path, watched.folder.c_str(), watched.folder.size()) == 0;
}

// The path of a file that is open.
std::array<char, 4096> path_of(int descriptor) {
  std::array<char, 64> link{};
  std::snprintf(link.data(), link.size(), "/proc/self/fd/%d", descriptor);
  std::array<char, 4096> path{};
  const long length =
      ::syscall(SYS_readlinkat, AT_FDCWD, link.data(), path.data(), path.size() - 1);
  if (length < 0) path[0] = '\0';
  return path;
}

bool counts(int descriptor) {
  return watched.count != nullptr && counts(path_of(descriptor).data());
}

bool counts_at(int folder, const char* path) {
  if (watched.count == nullptr) return false;
  return folder == AT_FDCWD || path[0] == '/' ? counts(path) : counts(folder);
}

[[noreturn]] void end() {
  ::kill(::getpid(), SIGKILL);
  for (;;) ::pause();
}

enum class Needs { room, nothing };

// Counts a point. True: it fails, with errno set.
bool fails(Needs needs) {
  const long number = ++*watched.count;
  if (watched.failure == Failure::no_space && needs == Needs::room && number >= watched.at) {
    errno = ENOSPC;
    return true;
  }
  if (number != watched.at) return false;
  if (watched.failure == Failure::killed || watched.failure == Failure::torn) end();
  if (watched.failure != Failure::io_error) return false;
  errno = EIO;
  return true;
}

// Half of a write and no more, where this is the point for it.
template <typename Write>
void tear(std::size_t size, const Write& write) {
  if (watched.failure != Failure::torn || *watched.count + 1 != watched.at) return;
  write(size / 2);
  end();
}

template <typename... Arguments>
int call(long number, Arguments... arguments) {
  return static_cast<int>(::syscall(number, arguments...));
}

int open_at(int folder, const char* path, int flags, mode_t mode) {
  if ((flags & (O_CREAT | O_TRUNC)) != 0 && counts_at(folder, path) && fails(Needs::room))
    return -1;
  return call(SYS_openat, folder, path, flags, mode);
}

int unlink_at(int folder, const char* path, int flags) {
  if (counts_at(folder, path) && fails(Needs::nothing)) return -1;
  return call(SYS_unlinkat, folder, path, flags);
}

mode_t mode_of(int flags, va_list arguments) {
  return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
}

}  // namespace

void watch(const std::string& folder, long at, Failure failure, long* count) {
  watched = {folder, at, failure, count};
}

}  // namespace qloft::test

using namespace qloft::test;

// Exported, so that the C++ library's calls come here too.
#define POINT extern "C" __attribute__((visibility("default")))

POINT int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  return open_at(AT_FDCWD, path, flags, mode);
}

POINT int open64(const char* path, int flags, ...) __attribute__((alias("open")));

POINT int openat(int folder, const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  return open_at(folder, path, flags, mode);
}

POINT ssize_t write(int file, const void* bytes, size_t size) {
  if (counts(file)) {
    tear(size, [&](std::size_t half) { ::syscall(SYS_write, file, bytes, half); });
    if (fails(Needs::room)) return -1;
  }
  return ::syscall(SYS_write, file, bytes, size);
}

POINT ssize_t pwrite(int file, const void* bytes, size_t size, off_t offset) {
  if (counts(file)) {
    tear(size, [&](std::size_t half) { ::syscall(SYS_pwrite64, file, bytes, half, offset); });
    if (fails(Needs::room)) return -1;
  }
  return ::syscall(SYS_pwrite64, file, bytes, size, offset);
}

POINT int fallocate(int file, int mode, off_t offset, off_t size) {
  if (counts(file) && fails(Needs::room)) return -1;
  return call(SYS_fallocate, file, mode, offset, size);
}

POINT int ftruncate(int file, off_t size) noexcept {
  if (counts(file) && fails(Needs::nothing)) return -1;
  return call(SYS_ftruncate, file, size);
}

POINT int truncate(const char* path, off_t size) noexcept {
  if (counts(path) && fails(Needs::nothing)) return -1;
  return call(SYS_truncate, path, size);
}

POINT int fsync(int file) {
  if (counts(file) && fails(Needs::nothing)) return -1;
  return call(SYS_fsync, file);
}

POINT int fdatasync(int file) {
  if (counts(file) && fails(Needs::nothing)) return -1;
  return call(SYS_fdatasync, file);
}

POINT int msync(void* memory, size_t size, int flags) {
  if (watched.count != nullptr && fails(Needs::nothing)) return -1;
  return call(SYS_msync, memory, size, flags);
}

POINT int rename(const char* from, const char* to) noexcept {
  if (watched.count != nullptr && (counts(from) || counts(to)) && fails(Needs::nothing)) return -1;
  return call(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

POINT int mkdir(const char* path, mode_t mode) noexcept {
  if (counts(path) && fails(Needs::room)) return -1;
  return call(SYS_mkdirat, AT_FDCWD, path, mode);
}

POINT int unlink(const char* path) noexcept {
  return unlink_at(AT_FDCWD, path, 0);
}

POINT int rmdir(const char* path) noexcept {
  return unlink_at(AT_FDCWD, path, AT_REMOVEDIR);
}

POINT int unlinkat(int folder, const char* path, int flags) noexcept {
  return unlink_at(folder, path, flags);
}

POINT int remove(const char* path) noexcept {
  struct stat status {};
  const bool is_folder = ::lstat(path, &status) == 0 && S_ISDIR(status.st_mode);
  return unlink_at(AT_FDCWD, path, is_folder ? AT_REMOVEDIR : 0);
}
