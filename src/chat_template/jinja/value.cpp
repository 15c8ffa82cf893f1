#include "jinja/value.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "jinja/unicode.h"

namespace qloft::chat_template::jinja {
namespace {

// Deeper values would exhaust the stack where they are compared, printed or destroyed.
constexpr int kDeepest = 300;

int depth_of(const Value& value) {
  if (const Sequence* sequence = value.sequence()) return sequence->data->depth;
  if (const Dict* dict = value.dict()) return dict->depth;
  if (const auto* callable = value.callable()) return (*callable)->depth;
  if (const Loop* loop = value.loop()) return loop->items->depth + 1;
  return 0;
}

int deeper(int depth, const Value& child) {
  const int result = std::max(depth, depth_of(child) + 1);
  if (result > kDeepest) throw Failure{"values are nested too deeply"};
  return result;
}

void require_key(const Value& key) {
  const bool hashable =
      key.is_string() || key.is_number() || key.is_none() || key.is_sequence(SequenceKind::tuple);
  if (!hashable) throw Failure{"unhashable type: '" + type_name(key) + "'"};
}

}  // namespace

Value::Value(std::string value, bool markup)
    : value_(Text{std::make_shared<const std::string>(std::move(value)), markup}) {}

Value Value::undefined(std::string why) {
  Value value;
  value.value_ = Undefined{std::make_shared<const std::string>(std::move(why))};
  return value;
}

Value Value::sequence(Values items, SequenceKind kind) {
  SequenceData data;
  for (const Value& item : items) data.depth = deeper(data.depth, item);
  data.items = std::move(items);
  Value value;
  value.value_ = Sequence{kind, std::make_shared<const SequenceData>(std::move(data))};
  return value;
}

Value Value::function(std::string name, std::function<Value(Interpreter&, const Arguments&)> call,
                      const Value& holds) {
  return Value(std::make_shared<const Callable>(
      Callable{std::move(name), std::move(call), deeper(0, holds)}));
}

bool Value::is_integral() const {
  return std::holds_alternative<std::int64_t>(value_) || std::holds_alternative<bool>(value_);
}

bool Value::is_sequence(SequenceKind kind) const {
  const Sequence* found = sequence();
  return found != nullptr && found->kind == kind;
}

std::int64_t Value::integer() const {
  if (const bool* flag = std::get_if<bool>(&value_)) return *flag ? 1 : 0;
  return std::get<std::int64_t>(value_);
}

double Value::number() const {
  if (const double* real = std::get_if<double>(&value_)) return *real;
  return static_cast<double>(integer());
}

const Dict* Value::dict() const {
  const auto* held = std::get_if<std::shared_ptr<const Dict>>(&value_);
  return held != nullptr ? held->get() : nullptr;
}

const Loop* Value::loop() const {
  const auto* held = std::get_if<std::shared_ptr<const Loop>>(&value_);
  return held != nullptr ? held->get() : nullptr;
}

void Dict::set(const Value& key, Value value, Budget& budget) {
  require_key(key);
  depth = deeper(deeper(depth, value), key);
  budget.spend(2 * sizeof(Value));
  if (const Value* found = find(key, budget)) {
    *const_cast<Value*>(found) = std::move(value);
    return;
  }
  if (key.is_string()) strings.emplace(key.string(), items.size());
  items.emplace_back(key, std::move(value));
}

const Value* Dict::find(const Value& key, Budget& budget) const {
  if (key.is_string()) return find(key.string());
  for (const auto& [own, value] : items) {
    if (!own.is_string() && equal(own, key, budget)) return &value;
  }
  return nullptr;
}

const Value* Dict::find(const std::string& key) const {
  const auto found = strings.find(key);
  return found == strings.end() ? nullptr : &items[found->second].second;
}

void Namespace::set(const std::string& name, Value value) {
  if (name.starts_with('_')) {
    throw Failure{"a namespace cannot store '" + name + "': names must not begin with _"};
  }
  for (auto& [own, held] : attributes) {
    if (own != name) continue;
    held = std::move(value);
    return;
  }
  attributes.emplace_back(name, std::move(value));
}

const Value* Namespace::find(std::string_view name) const {
  for (const auto& [own, value] : attributes) {
    if (own == name) return &value;
  }
  return nullptr;
}

std::string type_name(const Value& value) {
  struct Namer {
    std::string operator()(const Undefined&) const { return "Undefined"; }
    std::string operator()(None) const { return "NoneType"; }
    std::string operator()(bool) const { return "bool"; }
    std::string operator()(std::int64_t) const { return "int"; }
    std::string operator()(double) const { return "float"; }
    std::string operator()(const Text&) const { return "str"; }
    std::string operator()(const Sequence& sequence) const {
      constexpr const char* kNames[] = {"list", "tuple", "range", "dict_items", "generator"};
      return kNames[static_cast<std::size_t>(sequence.kind)];
    }
    std::string operator()(const std::shared_ptr<const Dict>&) const { return "dict"; }
    std::string operator()(const std::shared_ptr<const Callable>&) const { return "function"; }
    std::string operator()(const std::shared_ptr<Namespace>&) const { return "Namespace"; }
    std::string operator()(const std::shared_ptr<const Loop>&) const { return "LoopContext"; }
  };
  return std::visit(Namer{}, value.variant());
}

bool is_true(const Value& value) {
  if (value.is_undefined() || value.is_none()) return false;
  if (value.is_number()) return value.number() != 0;
  if (value.is_string()) return !value.string().empty();
  if (const Dict* dict = value.dict()) return !dict->items.empty();
  if (const Sequence* sequence = value.sequence()) {
    // A generator is an object like any other: Python does not look into it.
    return sequence->kind == SequenceKind::generator || !sequence->data->items.empty();
  }
  return true;
}

void require_defined(const Value& value) {
  if (const auto* undefined = std::get_if<Undefined>(&value.variant())) {
    throw Failure{undefined->why ? *undefined->why : "a value is undefined"};
  }
}

bool equal(const Value& a, const Value& b, Budget& budget) {
  budget.spend(8);
  if (a.is_number() && b.is_number()) {
    if (a.is_integral() && b.is_integral()) return a.integer() == b.integer();
    return a.number() == b.number();
  }
  if (a.variant().index() != b.variant().index()) return false;
  if (a.is_undefined() || a.is_none()) return true;
  if (a.is_string()) {
    budget.spend(std::min(a.string().size(), b.string().size()));
    return a.string() == b.string();
  }
  if (const Sequence* left = a.sequence()) {
    const Sequence* right = b.sequence();
    if (left->data == right->data && left->kind == right->kind) return true;
    const Values& x = left->data->items;
    const Values& y = right->data->items;
    return left->kind == right->kind && x.size() == y.size() &&
           std::equal(x.begin(), x.end(), y.begin(),
                      [&](const Value& p, const Value& q) { return equal(p, q, budget); });
  }
  if (const Dict* left = a.dict()) {
    const Dict* right = b.dict();
    if (left == right) return true;
    if (left->items.size() != right->items.size()) return false;
    for (const auto& [key, value] : left->items) {
      const Value* other = right->find(key, budget);
      if (other == nullptr || !equal(value, *other, budget)) return false;
    }
    return true;
  }
  if (const auto* callable = a.callable()) return *callable == *b.callable();
  if (const auto* space = a.name_space()) return *space == *b.name_space();
  return a.loop() == b.loop();
}

bool less(const Value& a, const Value& b, Budget& budget) {
  budget.spend(8);
  require_defined(a);
  require_defined(b);
  if (a.is_number() && b.is_number()) {
    if (a.is_integral() && b.is_integral()) return a.integer() < b.integer();
    return a.number() < b.number();
  }
  if (a.is_string() && b.is_string()) {
    budget.spend(std::min(a.string().size(), b.string().size()));
    return a.string() < b.string();  // UTF-8 sorts by code point
  }
  const Sequence* left = a.sequence();
  const Sequence* right = b.sequence();
  const bool ordered = left != nullptr && right != nullptr && left->kind == right->kind &&
                       (left->kind == SequenceKind::list || left->kind == SequenceKind::tuple);
  if (!ordered) {
    throw Failure{"'" + type_name(a) + "' and '" + type_name(b) + "' have no order"};
  }
  const Values& x = left->data->items;
  const Values& y = right->data->items;
  for (std::size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
    if (!equal(x[i], y[i], budget)) return less(x[i], y[i], budget);
  }
  return x.size() < y.size();
}

Items iterate(const Value& value, Budget& budget) {
  if (const Sequence* sequence = value.sequence()) return Items(sequence->data);
  SequenceData data;
  if (value.is_string()) {
    budget.spend(value.string().size() * sizeof(Value));
    for (const std::string_view character : characters(value.string())) {
      data.items.emplace_back(character);
    }
  } else if (const Dict* dict = value.dict()) {
    budget.spend(dict->items.size() * sizeof(Value));
    for (const auto& [key, held] : dict->items) data.items.push_back(key);
    data.depth = dict->depth;
  } else if (!value.is_undefined()) {
    throw Failure{"'" + type_name(value) + "' object is not iterable"};
  }
  return Items(std::make_shared<const SequenceData>(std::move(data)));
}

Value from_json(const io::Json& json, Budget& budget) {
  budget.spend(sizeof(Value));
  switch (json.type()) {
    case io::Json::value_t::boolean:
      return json.get<bool>();
    case io::Json::value_t::number_unsigned:
      if (json.get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX)) {
        throw Failure{"a number of the variables is too large"};
      }
      return json.get<std::int64_t>();
    case io::Json::value_t::number_integer:
      return json.get<std::int64_t>();
    case io::Json::value_t::number_float:
      return json.get<double>();
    case io::Json::value_t::string:
      return json.get_ref<const std::string&>();
    case io::Json::value_t::array: {
      Values items;
      items.reserve(json.size());
      for (const io::Json& item : json) items.push_back(from_json(item, budget));
      return Value::sequence(std::move(items));
    }
    case io::Json::value_t::object: {
      Dict dict;
      for (const auto& [key, item] : json.items()) dict.set(key, from_json(item, budget), budget);
      return std::make_shared<const Dict>(std::move(dict));
    }
    default:
      return None{};
  }
}

}  // namespace qloft::chat_template::jinja
