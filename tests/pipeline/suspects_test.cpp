#include "../../src/pipeline/suspects.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>

#include "qloft/core/error.h"
#include "qloft/core/file.h"
#include "refusal.h"
#include "temporary_folder.h"

namespace qloft::pipeline {
namespace {

// A file of one tensor "a" of one value.
void write_value(const std::filesystem::path& file, float value) {
  const std::string header = R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  std::string bytes(8, '\0');
  bytes[0] = static_cast<char>(header.size());
  bytes += header + std::string(4, '\0');
  std::memcpy(&bytes[bytes.size() - 4], &value, 4);
  write_file(file, bytes);
}

TEST(RethrowAtLargest, NamesTheTensorThatNoModelWouldHave) {
  const test::TemporaryFolder folder;
  const std::filesystem::path file = folder / "state.safetensors";
  const std::string at = file.string() + ": a: ";
  const struct {
    float value;
    std::string failure;
  } cases[] = {{1, "no loss"},
               {3e7F, at + "holds values of up to 3e+07, most likely too large; no loss"},
               {NAN, at + "holds infinity or NaN; no loss"}};
  for (const auto& c : cases) {
    write_value(file, c.value);
    EXPECT_EQ(test::failure([&] {
                try {
                  throw ComputationError({}, "no loss");
                } catch (const ComputationError&) {
                  rethrow_at_largest({file});
                }
              }),
              c.failure);
  }
}

}  // namespace
}  // namespace qloft::pipeline
