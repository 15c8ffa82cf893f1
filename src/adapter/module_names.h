#pragma once
// How adapters name what they address, and the modules of a Layout that this is.
//
// PEFT wraps the experts of a block, which transformers keeps in one tensor [experts, out, in], as
// one parameter (LoraConfig's target_parameters): A [experts * rank, in], an expert's rows one
// after the other, and B [out, rank * experts], where column k * experts + e belongs to expert e.
// Several such parameters of a module nest, the first one innermost: "MODULE.base_layer", then
// "MODULE". Here each expert is a module of its own. Other names are those of checkpoints: of an
// expert's matrices by themselves, as adapters had them before transformers 5, and with other
// prefixes.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "qloft/adapter.h"
#include "qloft/architecture/layout.h"

namespace qloft::adapter {

// The experts' matrices that a checkpoint may keep in one tensor.
struct ExpertStack {
  std::string parameter;             // "... .mlp.experts.down"
  std::vector<std::string> modules;  // of the layout, by expert
  std::int64_t count() const { return static_cast<std::int64_t>(modules.size()); }
};

// Rows of a module, which an adapter may address by themselves.
struct ModuleRows {
  std::string module;
  std::int64_t first = 0;
  std::int64_t count = 0;
  std::int64_t all = 0;  // rows of the module
};

class ModuleNames {
 public:
  explicit ModuleNames(const architecture::Layout& layout);

  // The stacks that target_parameters address, by the names that PEFT gives their factors.
  std::map<std::string, ExpertStack> targeted(const std::vector<std::string>& targets) const;
  // The modules whose factors are written as one: those of stacks of which `ranks` (a module's name
  // and rank) has every expert, at one rank; by PEFT's names. `targets` becomes target_parameters.
  std::map<std::string, ExpertStack> stacked(const std::map<std::string, std::int64_t>& ranks,
                                             std::vector<std::string>& targets) const;
  // nullopt: the name is not another spelling of a module.
  std::optional<ModuleRows> find(const std::string& name) const;

 private:
  std::map<std::string, ExpertStack> nested(const std::vector<ExpertStack>& stacks) const;

  std::vector<ExpertStack> stacks_;  // in the order of the layout
  std::map<std::string, ModuleRows> others_;
};

// The factors of all experts as PEFT has them, and one expert's of these.
Factors stack_factors(const std::vector<const Factors*>& experts);
Factors factors_of_expert(const Factors& all, std::int64_t expert, std::int64_t experts);

// Puts an adapter of some rows of a module, at `scale`, into the one at hand (maybe empty), whose
// scale is or becomes `common`: their ranks add up.
void add_rows(Factors& factors, const Factors& added, const ModuleRows& rows, double scale,
              double common);

}  // namespace qloft::adapter
