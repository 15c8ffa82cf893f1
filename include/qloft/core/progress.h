#pragma once
// Where long work reports how far it is. The library only calls it; the program draws it.

#include <cstdint>
#include <string>
#include <string_view>

namespace qloft {

// All members may be called from one thread at a time. The default implementation is silent.
class Progress {
 public:
  virtual ~Progress() = default;

  // A stage of `total` units begins ("quantize", 56, "matrices"); total 0: not known.
  virtual void begin(std::string_view stage, std::uint64_t total, std::string_view unit);
  // `done` units in all are finished; `note` is a short state ("loss 2.31").
  virtual void update(std::uint64_t done, std::string_view note);
  virtual void end();
  // One line that the user should read.
  virtual void note(std::string_view message);
  virtual void warn(std::string_view message);
  // True once the user asked to stop: finish the unit at hand, save, throw Interrupted.
  virtual bool stop_requested() const;
};

// Another's stages, each told with what it is a part of: "block 2 of 24: train".
class PartProgress : public Progress {
 public:
  PartProgress(Progress& whole, std::string part);
  void begin(std::string_view stage, std::uint64_t total, std::string_view unit) override;
  void update(std::uint64_t done, std::string_view note) override;
  void end() override;
  void note(std::string_view message) override;
  void warn(std::string_view message) override;
  bool stop_requested() const override;

 private:
  Progress& whole_;
  std::string part_;
};

}  // namespace qloft
