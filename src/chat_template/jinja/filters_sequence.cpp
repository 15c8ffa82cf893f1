// Filters over whole sequences.
#include <algorithm>

#include "jinja/builtins.h"
#include "jinja/operators.h"
#include "jinja/parameters.h"
#include "jinja/print.h"
#include "jinja/unicode.h"

namespace qloft::chat_template::jinja {
namespace {

Value first(Interpreter& machine, const Value& value, const Arguments& arguments) {
  const Parameters given(arguments, "first", {});
  if (value.is_string() && !value.string().empty()) {
    return *at_index(value, 0, machine.budget());
  }
  const auto items = iterate(value, machine.budget());
  if (items.empty()) return Value::undefined("No first item, sequence was empty.");
  return items[0];
}

Value last(Interpreter& machine, const Value& value, const Arguments& arguments) {
  const Parameters given(arguments, "last", {});
  require_defined(value);
  if (value.is_sequence(SequenceKind::generator)) {
    throw Failure{"'generator' object is not reversible"};
  }
  const auto items = iterate(value, machine.budget());
  if (items.empty()) return Value::undefined("No last item, sequence was empty.");
  return items[items.size() - 1];
}

Value length(Interpreter& machine, const Value& value, const Arguments& arguments) {
  const Parameters given(arguments, "length", {});
  if (value.is_string()) {
    machine.budget().spend(value.string().size());
    return character_count(value.string());
  }
  if (value.is_undefined()) return 0;
  if (const Dict* dict = value.dict()) return dict->items.size();
  if (const Loop* loop = value.loop()) return loop->items->items.size();
  const Sequence* sequence = value.sequence();
  if (sequence == nullptr || sequence->kind == SequenceKind::generator) {
    throw Failure{"object of type '" + type_name(value) + "' has no len()"};
  }
  return sequence->data->items.size();
}

Value join(Interpreter& machine, const Value& value, const Arguments& arguments) {
  const Parameters given(arguments, "join", {"d", "attribute"});
  Budget& budget = machine.budget();
  const std::string between = to_text(given.value(0, ""), budget);
  const Value path = given.value(1, None{});
  std::string out;
  bool first_item = true;
  for (const Value& item : iterate(value, budget)) {
    if (!first_item) out += between;
    first_item = false;
    budget.spend(between.size());
    out += to_text(follow_path(machine, item, path), budget);
  }
  return Value(std::move(out));
}

Value list(Interpreter& machine, const Value& value, const Arguments& arguments) {
  const Parameters given(arguments, "list", {});
  Values items = iterate(value, machine.budget()).data()->items;
  machine.budget().spend(items.size() * sizeof(Value));
  return Value::sequence(std::move(items));
}

Value reverse(Interpreter& machine, const Value& value, const Arguments& arguments) {
  const Parameters given(arguments, "reverse", {});
  if (value.is_string()) {
    return slice(value, std::nullopt, std::nullopt, -1, machine.budget());
  }
  require_defined(value);
  Values items = iterate(value, machine.budget()).data()->items;
  machine.budget().spend(items.size() * sizeof(Value));
  std::reverse(items.begin(), items.end());
  return Value::sequence(std::move(items), SequenceKind::generator);
}

Value items(Interpreter& machine, const Value& value, const Arguments& arguments) {
  const Parameters given(arguments, "items", {});
  if (value.is_undefined()) return Value::sequence({}, SequenceKind::generator);
  if (value.dict() == nullptr) throw Failure{"Can only get item pairs from a mapping."};
  Values pairs = machine.call(*member(value, "items"), {}).sequence()->data->items;
  return Value::sequence(std::move(pairs), SequenceKind::generator);
}

// Items with what they are sorted by.
using Keyed = std::vector<std::pair<Value, Value>>;

void sort_by_key(Keyed& keyed, bool reversed, Budget& budget) {
  // Python's reverse keeps equal items in their order, as swapping the operands does.
  std::stable_sort(keyed.begin(), keyed.end(), [&](const auto& a, const auto& b) {
    return reversed ? less(b.first, a.first, budget) : less(a.first, b.first, budget);
  });
}

Value only_items(Keyed&& keyed) {
  Values out;
  for (auto& [key, item] : keyed) out.push_back(std::move(item));
  return Value::sequence(std::move(out));
}

Value sort(Interpreter& machine, const Value& value, const Arguments& arguments) {
  const Parameters given(arguments, "sort", {"reverse", "case_sensitive", "attribute"});
  Budget& budget = machine.budget();
  const Value attribute = given.value(2, None{});
  std::vector<Value> paths;
  if (attribute.is_string()) {
    // "a,b" sorts by several.
    std::string_view rest = attribute.string();
    for (std::size_t comma = 0; comma != std::string_view::npos;) {
      comma = rest.find(',');
      paths.emplace_back(rest.substr(0, comma));
      rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma + 1);
    }
  } else {
    paths.push_back(attribute);
  }
  Keyed keyed;
  for (const Value& item : iterate(value, budget)) {
    Values keys;
    for (const Value& path : paths) {
      const Value key = follow_path(machine, item, path);
      keys.push_back(given.flag(1, false) ? key : ignore_case(key, budget));
    }
    budget.spend(4 * sizeof(Value));
    keyed.emplace_back(Value::sequence(std::move(keys)), item);
  }
  sort_by_key(keyed, given.flag(0, false), budget);
  return only_items(std::move(keyed));
}

Value dict_sort(Interpreter& machine, const Value& value, const Arguments& arguments) {
  const Parameters given(arguments, "dictsort", {"case_sensitive", "by", "reverse"});
  Budget& budget = machine.budget();
  const std::string by = given.text(1, "key");
  if (by != "key" && by != "value") {
    throw Failure{"You can only sort by either \"key\" or \"value\""};
  }
  require_defined(value);
  if (value.dict() == nullptr) throw Failure{"dictsort needs a dict, not " + type_name(value)};
  Keyed keyed;
  for (const auto& [key, item] : value.dict()->items) {
    const Value& sorted_by = by == "key" ? key : item;
    budget.spend(4 * sizeof(Value));
    keyed.emplace_back(given.flag(0, false) ? sorted_by : ignore_case(sorted_by, budget),
                       Value::sequence({key, item}, SequenceKind::tuple));
  }
  sort_by_key(keyed, given.flag(2, false), budget);
  return only_items(std::move(keyed));
}

Value unique(Interpreter& machine, const Value& value, const Arguments& arguments) {
  const Parameters given(arguments, "unique", {"case_sensitive", "attribute"});
  Budget& budget = machine.budget();
  Values seen, out;
  for (const Value& item : iterate(value, budget)) {
    Value key = follow_path(machine, item, given.value(1, None{}));
    if (!given.flag(0, false)) key = ignore_case(key, budget);
    const bool known = std::any_of(seen.begin(), seen.end(),
                                   [&](const Value& one) { return equal(one, key, budget); });
    if (known) continue;
    budget.spend(2 * sizeof(Value));
    seen.push_back(std::move(key));
    out.push_back(item);
  }
  return Value::sequence(std::move(out), SequenceKind::generator);
}

template <bool greatest>
Value extreme(Interpreter& machine, const Value& value, const Arguments& arguments) {
  const Parameters given(arguments, greatest ? "max" : "min", {"case_sensitive", "attribute"});
  Budget& budget = machine.budget();
  Value best = Value::undefined("No aggregated item, sequence was empty.");
  std::optional<Value> best_key;
  for (const Value& item : iterate(value, budget)) {
    Value key = follow_path(machine, item, given.value(1, None{}));
    if (!given.flag(0, false)) key = ignore_case(key, budget);
    const bool better =
        !best_key || (greatest ? less(*best_key, key, budget) : less(key, *best_key, budget));
    if (!better) continue;
    best = item;
    best_key = std::move(key);
  }
  return best;
}

Value sum(Interpreter& machine, const Value& value, const Arguments& arguments) {
  const Parameters given(arguments, "sum", {"attribute", "start"});
  Value total = given.value(1, 0);
  for (const Value& item : iterate(value, machine.budget())) {
    total = arithmetic(Operation::add, total, follow_path(machine, item, given.value(0, None{})),
                       machine.budget());
  }
  return total;
}

Value batch(Interpreter& machine, const Value& value, const Arguments& arguments) {
  const Parameters given(arguments, "batch", {"linecount", "fill_with"});
  given.required(0);
  const std::int64_t wanted = given.integer(0, 1);
  const Value fill = given.value(1, None{});
  Values rows, row;
  for (const Value& item : iterate(value, machine.budget())) {
    machine.budget().spend(2 * sizeof(Value));
    if (static_cast<std::int64_t>(row.size()) == wanted) {
      rows.push_back(Value::sequence(std::exchange(row, {})));
    }
    row.push_back(item);
  }
  if (!row.empty()) {
    while (!fill.is_none() && static_cast<std::int64_t>(row.size()) < wanted) {
      machine.budget().spend(sizeof(Value));
      row.push_back(fill);
    }
    rows.push_back(Value::sequence(std::move(row)));
  }
  return Value::sequence(std::move(rows), SequenceKind::generator);
}

// `slices` columns, the first ones one longer where the items do not go up evenly.
Value slice_columns(Interpreter& machine, const Value& value, const Arguments& arguments) {
  const Parameters given(arguments, "slice", {"slices", "fill_with"});
  given.required(0);
  const std::int64_t slices = given.integer(0, 1);
  if (slices < 1) throw Failure{"slice needs at least one column"};
  const Value fill = given.value(1, None{});
  const auto source = iterate(value, machine.budget());
  const auto size = static_cast<std::int64_t>(source.size());
  Values columns;
  std::int64_t at = 0;
  for (std::int64_t i = 0; i < slices; ++i) {
    machine.budget().spend(2 * sizeof(Value));
    const std::int64_t end = at + size / slices + (i < size % slices ? 1 : 0);
    Values column(source.begin() + at, source.begin() + end);
    machine.budget().spend(column.size() * sizeof(Value));
    if (!fill.is_none() && i >= size % slices) column.push_back(fill);
    columns.push_back(Value::sequence(std::move(column)));
    at = end;
  }
  return Value::sequence(std::move(columns), SequenceKind::generator);
}

constexpr Row<Filter> kFilters[] = {
    {"first", first},         {"last", last},     {"length", length},
    {"count", length},        {"join", join},     {"list", list},
    {"reverse", reverse},     {"items", items},   {"sort", sort},
    {"dictsort", dict_sort},  {"unique", unique}, {"min", extreme<false>},
    {"max", extreme<true>},   {"sum", sum},       {"batch", batch},
    {"slice", slice_columns},
};

}  // namespace

std::span<const Row<Filter>> sequence_filters() {
  return kFilters;
}

}  // namespace qloft::chat_template::jinja
