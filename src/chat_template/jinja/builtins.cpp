#include "jinja/builtins.h"

#include <algorithm>
#include <array>
#include <ctime>

#include "jinja/operators.h"
#include "jinja/parameters.h"
#include "jinja/print.h"
#include "jinja/unicode.h"

namespace qloft::chat_template::jinja {
namespace {

// A copy of a dict, or of pairs, with the named arguments on top.
Value make_dict(Interpreter& machine, const Arguments& arguments) {
  Budget& budget = machine.budget();
  Dict dict;
  if (arguments.positional.size() > 1) throw Failure{"dict() takes at most one argument"};
  for (const Value& given : arguments.positional) {
    if (const Dict* other = given.dict()) {
      for (const auto& [key, value] : other->items) dict.set(key, value, budget);
      continue;
    }
    require_defined(given);
    for (const Value& pair : iterate(given, budget)) {
      const auto parts = iterate(pair, budget);
      if (parts.size() != 2) throw Failure{"dict() takes pairs of a key and a value"};
      dict.set(parts[0], parts[1], budget);
    }
  }
  for (const auto& [name, value] : arguments.named) dict.set(name, value, budget);
  return std::make_shared<const Dict>(std::move(dict));
}

Value make_namespace(Interpreter& machine, const Arguments& arguments) {
  const Value source = make_dict(machine, arguments);
  Value space = machine.new_namespace();
  for (const auto& [key, value] : source.dict()->items) {
    if (!key.is_string()) throw Failure{"namespace() takes names that are strings"};
    (*space.name_space())->set(key.string(), value);
  }
  return space;
}

Value raise_exception(Interpreter& machine, const Arguments& arguments) {
  const Parameters given(arguments, "raise_exception()", {"message"});
  throw Failure{to_text(given.required(0), machine.budget())};
}

Value strftime_now(Interpreter& machine, const Arguments& arguments) {
  const Parameters given(arguments, "strftime_now()", {"format"});
  const std::string& format = given.required_text(0);
  if (format.empty()) return Value("");
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  ::localtime_r(&now, &local);
  // strftime gives 0 both for an empty result and for one that does not fit: a mark tells them
  // apart.
  const std::string marked = format + "x";
  std::string out(64 + 64 * format.size(), '\0');
  machine.budget().spend(out.size());
  const std::size_t size = std::strftime(out.data(), out.size(), marked.c_str(), &local);
  if (size == 0) throw Failure{"strftime_now() cannot print this format"};
  out.resize(size - 1);
  return Value(std::move(out));
}

Value range(Interpreter& machine, const Arguments& arguments) {
  return make_range(arguments, machine.budget());
}

template <typename F>
F find_row(std::span<const Row<F>> rows, std::string_view name) {
  const auto found =
      std::find_if(rows.begin(), rows.end(), [&](const Row<F>& row) { return row.name == name; });
  return found == rows.end() ? nullptr : found->function;
}

Value bound(std::string_view name, Method method, const Value& object) {
  return Value::function(
      std::string(name),
      [method, object](Interpreter& machine, const Arguments& arguments) {
        machine.budget().spend(object.is_string() ? object.string().size() : 8);
        return method(machine, object, arguments);
      },
      object);
}

Value hidden(const Value& object, const std::string& name) {
  return Value::undefined("access to attribute '" + name + "' of '" + type_name(object) +
                          "' object is unsafe");
}

Value dict_get(Interpreter& machine, const Value& object, const Arguments& arguments) {
  const Parameters given(arguments, "get()", {"key", "default"});
  const Value* found = object.dict()->find(given.required(0), machine.budget());
  return found != nullptr ? *found : given.value(1, None{});
}

enum class Part { keys, values, items };

template <Part part>
Value dict_view(Interpreter& machine, const Value& object, const Arguments& arguments) {
  const Parameters given(arguments, "a dict's view", {});
  Values out;
  for (const auto& [key, value] : object.dict()->items) {
    if constexpr (part == Part::keys) out.push_back(key);
    if constexpr (part == Part::values) out.push_back(value);
    if constexpr (part == Part::items) {
      out.push_back(Value::sequence({key, value}, SequenceKind::tuple));
    }
  }
  machine.budget().spend(out.size() * 3 * sizeof(Value));
  return Value::sequence(std::move(out), SequenceKind::view);
}

Value same_object(Interpreter&, const Value& object, const Arguments& arguments) {
  const Parameters given(arguments, "copy()", {});
  return object;
}

Value list_count(Interpreter& machine, const Value& object, const Arguments& arguments) {
  const Parameters given(arguments, "count()", {"value"});
  const Values& items = object.sequence()->data->items;
  return static_cast<std::int64_t>(std::count_if(
      items.begin(), items.end(),
      [&](const Value& item) { return equal(item, given.required(0), machine.budget()); }));
}

Value list_index(Interpreter& machine, const Value& object, const Arguments& arguments) {
  const Parameters given(arguments, "index()", {"value"});
  const Values& items = object.sequence()->data->items;
  const auto found = std::find_if(items.begin(), items.end(), [&](const Value& item) {
    return equal(item, given.required(0), machine.budget());
  });
  if (found == items.end()) throw Failure{"index() does not find the value"};
  return static_cast<std::int64_t>(found - items.begin());
}

constexpr Row<Method> kDictMethods[] = {
    {"get", dict_get},
    {"keys", dict_view<Part::keys>},
    {"values", dict_view<Part::values>},
    {"items", dict_view<Part::items>},
    {"copy", same_object},
};
constexpr std::string_view kDictChanges[] = {"clear", "pop", "popitem", "setdefault", "update"};

constexpr Row<Method> kListMethods[] = {
    {"count", list_count}, {"index", list_index}, {"copy", same_object}};
constexpr std::string_view kListChanges[] = {"append", "clear", "pop",    "reverse",
                                             "insert", "sort",  "extend", "remove"};

Value loop_cycle(Interpreter&, const Value& object, const Arguments& arguments) {
  if (arguments.positional.empty()) throw Failure{"cycle() needs something to cycle through"};
  return arguments.positional[object.loop()->index0 % arguments.positional.size()];
}

std::optional<Value> loop_member(const Value& object, const std::string& name) {
  const Loop& loop = *object.loop();
  const Values& items = loop.items->items;
  const std::size_t left = items.size() - loop.index0;
  if (name == "index") return loop.index0 + 1;
  if (name == "index0") return loop.index0;
  if (name == "revindex") return left;
  if (name == "revindex0") return left - 1;
  if (name == "first") return loop.index0 == 0;
  if (name == "last") return left == 1;
  if (name == "length") return items.size();
  if (name == "depth") return loop.depth0 + 1;
  if (name == "depth0") return loop.depth0;
  if (name == "previtem") {
    return loop.index0 > 0 ? items[loop.index0 - 1] : Value::undefined("there is no previous item");
  }
  if (name == "nextitem") {
    return left > 1 ? items[loop.index0 + 1] : Value::undefined("there is no next item");
  }
  if (name == "cycle") return bound("cycle", loop_cycle, object);
  return std::nullopt;
}

std::optional<Value> member_of(const Value& object, const std::string& name,
                               std::span<const Row<Method>> methods,
                               std::span<const std::string_view> changes) {
  if (const Method method = find_row(methods, name)) return bound(name, method, object);
  if (std::find(changes.begin(), changes.end(), name) != changes.end()) return hidden(object, name);
  return std::nullopt;
}

}  // namespace

std::span<const std::pair<std::string, Function>> global_functions() {
  static const std::array<std::pair<std::string, Function>, 5> kFunctions = {{
      {"raise_exception", raise_exception},
      {"strftime_now", strftime_now},
      {"namespace", make_namespace},
      {"range", range},
      {"dict", make_dict},
  }};
  return kFunctions;
}

Filter find_filter(std::string_view name) {
  for (const auto rows :
       {text_filters(), number_filters(), sequence_filters(), selection_filters()}) {
    if (const Filter filter = find_row(rows, name)) return filter;
  }
  return nullptr;
}

Test find_test(std::string_view name) {
  return find_row(tests(), name);
}

std::optional<Value> member(const Value& object, const std::string& name) {
  if (object.dict() != nullptr) return member_of(object, name, kDictMethods, kDictChanges);
  if (object.is_sequence(SequenceKind::list)) {
    return member_of(object, name, kListMethods, kListChanges);
  }
  if (object.is_sequence(SequenceKind::tuple)) {
    return member_of(object, name, std::span(kListMethods).first(2), {});
  }
  if (object.loop() != nullptr) return loop_member(object, name);
  if (object.is_string()) {
    for (const auto rows : {string_methods(), string_search_methods()}) {
      if (const Method method = find_row(rows, name)) return bound(name, method, object);
    }
  }
  return std::nullopt;
}

Value follow_path(Interpreter& machine, Value item, const Value& path, const Value* fallback) {
  if (path.is_none()) return item;
  const auto step = [&](const Value& key) {
    item = machine.item(item, key);
    if (fallback != nullptr && item.is_undefined()) item = *fallback;
  };
  if (!path.is_string()) {
    step(path);
    return item;
  }
  std::string_view rest = path.string();
  for (;;) {
    const std::size_t dot = std::min(rest.find('.'), rest.size());
    const std::string part(rest.substr(0, dot));
    const bool index = !part.empty() && part.size() < 10 &&
                       part.find_first_not_of("0123456789") == std::string::npos;
    step(index ? Value(std::stoi(part)) : Value(part));
    if (dot == rest.size()) return item;
    rest.remove_prefix(dot + 1);
  }
}

Value ignore_case(const Value& value, Budget& budget) {
  if (!value.is_string()) return value;
  budget.spend(value.string().size() * 2);
  return Value(lower(value.string()));
}

}  // namespace qloft::chat_template::jinja
