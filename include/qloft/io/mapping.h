#pragma once
// Which mapped file an address lies in: for the handler of SIGBUS, which a mapping raises where its
// file was cut.

namespace qloft::io {

// The path of a MappedFile that is open; nullptr where the address is in none. May be called in a
// signal handler.
const char* mapped_file_at(const void* address) noexcept;

}  // namespace qloft::io
