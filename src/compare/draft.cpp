#include "draft.h"

#include <map>
#include <utility>

#include "qloft/core/error.h"

namespace qloft::compare {
namespace fs = std::filesystem;
namespace {

using io::Json;

// Options of quantize in whose place a plan stands.
const std::vector<std::string> kFormatOptions = {
    "bits",        "size",         "codebook",    "block",       "scale",         "scale_type",
    "second_bits", "second_block", "second_type", "second_code", "target_modules"};

// Writes the value of a varied option where a text has "{rank}"; false: it has no such place.
bool fill_in(std::string& text, const std::string& option, const Json& value) {
  const std::string mark = "{" + option.substr(option.rfind('.') + 1) + "}";
  const std::size_t at = text.find(mark);
  if (at == std::string::npos) return false;
  text.replace(at, mark.size(), value.is_string() ? value.get<std::string>() : value.dump());
  return true;
}

// The line of a plot that the rows of "LoftQ {bits}" are on, where none is named: "LoftQ".
std::string without_marks(std::string name) {
  for (std::size_t begin; (begin = name.find('{')) != std::string::npos;) {
    const std::size_t end = name.find('}', begin);
    name.erase(begin, end == std::string::npos ? end : end + 1 - begin);
  }
  return name.substr(0, name.find_last_not_of(" ,=") + 1);
}

// Statistics and plans are for the rows that ask for them, be it with nothing of their own.
Json asked_for(const Members& row, const std::string& name, const Json& shared,
               const ErrorLocation& where) {
  const Json* own = row.find(name);
  return own == nullptr ? Json() : over(shared, own, where);
}

}  // namespace

Draft draft_of(const Members& row, const Shared& shared, const std::string& field,
               const fs::path& file) {
  const auto at = [&](const char* name) { return ErrorLocation{file, field + "." + name}; };
  Draft draft;
  draft.name = row.text("name", "");
  if (draft.name.empty()) throw InputError(at("name"), "expected a name, found none");
  draft.group = row.text("group", without_marks(draft.name));
  draft.plan = asked_for(row, "plan", shared.plan, at("plan"));
  draft.calibrate = asked_for(row, "calibrate", shared.calibrate, at("calibrate"));
  draft.tune = over(shared.tune, row.find("tune"), at("tune"));
  Json quantize = shared.quantize;
  if (!draft.plan.is_null() && quantize.is_object()) {
    for (const std::string& option : kFormatOptions) quantize.erase(option);
  }
  draft.quantize = over(quantize, row.find("quantize"), at("quantize"));
  const Json* recover = row.find("recover");
  const bool quantizes = !draft.quantize.is_null();
  // What the rows share of it is for those that quantize.
  if (quantizes) draft.recover = over(shared.recover, recover, at("recover"));
  const bool own_recover = recover != nullptr && !recover->is_null();
  for (const auto& [name, asked] :
       {std::pair{"plan", !draft.plan.is_null()},
        std::pair{"calibrate", !draft.calibrate.is_null()}, std::pair{"recover", own_recover}}) {
    if (asked && !quantizes) {
      throw InputError(at(name), "the row does not quantize: expected none");
    }
  }
  for (const std::string& option : kFormatOptions) {
    if (draft.plan.is_null() || !draft.quantize.contains(option)) continue;
    throw InputError({file, field + ".quantize." + option},
                     "the row's plan says the formats: expected none");
  }
  return draft;
}

std::vector<Draft> vary(const Draft& draft, const Json& varied, const ErrorLocation& where) {
  if (!varied.is_object() || varied.empty()) {
    throw InputError(where, "expected an object of options and lists, found " + io::shown(varied));
  }
  std::vector<Draft> drafts = {draft};
  for (const auto& [option, values] : varied.items()) {
    const ErrorLocation at{where.file, where.field + "." + option};
    if (!values.is_array() || values.empty()) {
      throw InputError(at, "expected a list of values, found " + io::shown(values));
    }
    // "plan.bits": of plan; a bare name: of quantize.
    const std::size_t dot = option.find('.');
    const std::string stage = dot == std::string::npos ? "quantize" : option.substr(0, dot);
    const std::map<std::string, Json Draft::*> stages = {{"quantize", &Draft::quantize},
                                                         {"plan", &Draft::plan},
                                                         {"calibrate", &Draft::calibrate},
                                                         {"recover", &Draft::recover},
                                                         {"tune", &Draft::tune}};
    if (!stages.contains(stage) || (draft.*stages.at(stage)).is_null()) {
      throw InputError(at, "the row has no " + stage + " whose option could vary");
    }
    if (values.size() > kMostRows / drafts.size()) {
      throw InputError(
          at, "expected at most " + std::to_string(kMostRows) + " rows in all, found more");
    }
    std::vector<Draft> wider;
    for (const Draft& one : drafts) {
      for (const Json& value : values) {
        Draft next = one;
        (next.*stages.at(stage))[option.substr(dot == std::string::npos ? 0 : dot + 1)] = value;
        fill_in(next.group, option, value);
        if (!fill_in(next.name, option, value)) {
          next.name += ", " + option.substr(option.rfind('.') + 1) + " " +
                       (value.is_string() ? value.get<std::string>() : value.dump());
        }
        wider.push_back(std::move(next));
      }
    }
    drafts = std::move(wider);
  }
  return drafts;
}

}  // namespace qloft::compare
