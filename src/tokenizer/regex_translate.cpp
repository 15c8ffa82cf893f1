#include <cctype>
#include <vector>

#include "qloft/core/error.h"
#include "regex.h"
#include "unicode.h"

namespace qloft::tokenizer {
namespace {

constexpr std::string_view kSpace =
    "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{"
    "205f}"
    "\\x{3000}";
constexpr std::string_view kHex = "0-9A-Fa-f";
constexpr std::size_t kMaximumGroups = 250;  // PCRE2's own limit for nesting

// Names that are no script and mean the same to both engines.
bool is_category(std::string_view name) {
  if (name == "Any" || name == "L&") return true;
  return !name.empty() && name.size() <= 2 &&
         std::string_view("CLMNPSZ").find(name[0]) != std::string_view::npos;
}

class Translator {
 public:
  explicit Translator(std::string_view in) : in_(in) {}

  std::string run() {
    while (at_ < in_.size()) step();
    return std::move(out_);
  }

 private:
  [[noreturn]] void refuse(std::string_view what) const {
    throw InputError("expected a regular expression without " + std::string(what) + ", found \"" +
                     std::string(in_) + "\"");
  }
  char peek(std::size_t ahead = 0) const {
    return at_ + ahead < in_.size() ? in_[at_ + ahead] : '\0';
  }
  bool rest_starts(std::string_view text) const { return in_.substr(at_).starts_with(text); }
  void begin_atom() { atom_ = out_.size(); }

  void step() {
    switch (peek()) {
      case '\\':
        begin_atom();
        escape(false);
        return;
      case '[':
        begin_atom();
        character_class();
        return;
      case '(':
        open_group();
        return;
      case ')':
        if (!groups_.empty()) {
          atom_ = groups_.back();
          groups_.pop_back();
        }
        out_ += in_[at_++];
        return;
      case '{':
        interval();
        return;
      case '*':
      case '+':
      case '?':
        out_ += in_[at_++];
        return;
      default:
        begin_atom();
        do {  // a whole character is one atom
          out_ += in_[at_++];
        } while ((static_cast<unsigned char>(peek()) & 0xC0) == 0x80);
    }
  }

  void open_group() {
    if (rest_starts("(?~")) refuse("an absence operator");
    if (groups_.size() >= kMaximumGroups) refuse("that many groups in groups");
    groups_.push_back(out_.size());
    out_ += in_[at_++];
    if (peek() != '?') return;
    out_ += in_[at_++];
    if (peek() == '#') {  // a comment
      while (at_ < in_.size() && peek() != ')') out_ += in_[at_++];
      return;
    }
    // Options: Ruby's m lets the dot match a newline, which PCRE calls s.
    while (std::isalpha(static_cast<unsigned char>(peek())) || peek() == '-') {
      const char option = in_[at_++];
      if (option == 'P' || option == 'R' || option == 'C' || option == 's') refuse("Perl's groups");
      out_ += option == 'm' ? 's' : option;
      if (option == 'x') refuse("(?x)");
    }
    if (peek() == '<' || peek() == '\'') {  // a name or a lookbehind
      while (at_ < in_.size() &&
             (std::isalnum(static_cast<unsigned char>(peek())) ||
              std::string_view("<>'=!_").find(peek()) != std::string_view::npos)) {
        const char c = in_[at_++];
        out_ += c;
        if (c == '>' || c == '=' || c == '!') break;
      }
    }
  }

  // {n}, {n,}, {n,m}, {,m}; anything else is literal.
  void interval() {
    std::size_t i = at_ + 1;
    const auto digits = [&] {
      const std::size_t start = i;
      while (i < in_.size() && std::isdigit(static_cast<unsigned char>(in_[i]))) ++i;
      return in_.substr(start, i - start);
    };
    const std::string_view low = digits();
    bool comma = false;
    std::string_view high;
    if (i < in_.size() && in_[i] == ',') {
      comma = true;
      ++i;
      high = digits();
    }
    if (i >= in_.size() || in_[i] != '}' || (low.empty() && high.empty())) {
      begin_atom();
      out_ += "\\{";
      ++at_;
      return;
    }
    at_ = i + 1;
    out_ += '{';
    out_ += low.empty() ? std::string_view("0") : low;
    if (comma) {
      out_ += ',';
      out_ += high;
    }
    out_ += '}';
    if (peek() == '+') {  // Ruby repeats the repetition, where Perl makes it possessive
      out_.insert(atom_, "(?:");
      out_ += ")";
    }
  }

  // One escape outside (or inside) a class.
  void escape(bool in_class) {
    if (at_ + 1 >= in_.size()) refuse("a backslash at its end");
    const char c = in_[at_ + 1];
    const auto set = [&](std::string_view members, bool negated) {
      at_ += 2;
      if (in_class && negated) refuse("a negated escape such as \\S of that kind in a class");
      if (!in_class) out_ += negated ? "[^" : "[";
      out_ += members;
      if (!in_class) out_ += "]";
    };
    switch (c) {
      case 's':
        set(kSpace, false);
        return;
      case 'S':
        if (in_class) {
          at_ += 2;
          out_ += non_space();
          return;
        }
        set(kSpace, true);
        return;
      case 'h':
        set(kHex, false);
        return;
      case 'H':
        set(kHex, true);
        return;
      case 'w':
      case 'W':
        set("\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}" + std::string(property_additions("w")), c == 'W');
        return;
      case 'd':
        set("\\p{Nd}" + std::string(property_additions("Nd")), false);
        return;
      case 'D':
        set("\\p{Nd}" + std::string(property_additions("Nd")), true);
        return;
      case 'v':
        at_ += 2;
        out_ += "\\x{b}";
        return;
      case 'u':
        if (in_.size() < at_ + 6) refuse("a short \\u");
        out_ += "\\x{" + std::string(in_.substr(at_ + 2, 4)) + "}";
        at_ += 6;
        return;
      case 'p':
      case 'P':
        property(in_class);
        return;
      default:
        out_ += in_.substr(at_, 2);
        at_ += 2;
        while ((static_cast<unsigned char>(peek()) & 0xC0) == 0x80) out_ += in_[at_++];
    }
  }

  // The complement of kSpace as ranges, for use within a class.
  static std::string_view non_space() {
    return "\\x{0}-\\x{8}\\x{e}-\\x{1f}\\x{21}-\\x{84}\\x{86}-\\x{9f}\\x{a1}-\\x{167f}\\x{1681}-"
           "\\x{1fff}"
           "\\x{200b}-\\x{2027}\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}\\x{3001}-"
           "\\x{10ffff}";
  }

  void property(bool in_class) {
    bool negated = in_[at_ + 1] == 'P';
    const std::size_t close = in_.find('}', at_);
    if (peek(2) != '{' || close == std::string_view::npos) refuse("\\p without {name}");
    std::string_view name = in_.substr(at_ + 3, close - at_ - 3);
    at_ = close + 1;
    if (name.starts_with('^')) {
      negated = !negated;
      name.remove_prefix(1);
    }
    const std::string spelled = is_category(name) ? std::string(name) : "sc:" + std::string(name);
    const std::string_view extra = property_additions(name);
    if (extra.empty() || (in_class && negated)) {
      out_ += (negated ? "\\P{" : "\\p{") + spelled + "}";
      return;
    }
    if (!in_class) out_ += negated ? "[^" : "[";
    out_ += "\\p{" + spelled + "}";
    out_ += extra;
    if (!in_class) out_ += "]";
  }

  void character_class() {
    out_ += in_[at_++];
    if (peek() == '^') out_ += in_[at_++];
    if (peek() == ']') {  // literal in first place
      out_ += "\\]";
      ++at_;
    }
    while (peek() != ']') {
      if (at_ >= in_.size()) refuse("an open class");
      if (rest_starts("&&")) refuse("an intersection of classes");
      if (peek() == '[') {
        const std::size_t close = rest_starts("[:") ? in_.find(":]", at_) : std::string_view::npos;
        if (close == std::string_view::npos) refuse("a class in a class");
        out_ += in_.substr(at_, close + 2 - at_);
        at_ = close + 2;
      } else if (peek() == '\\') {
        escape(true);
      } else {
        out_ += in_[at_++];
      }
    }
    out_ += in_[at_++];
  }

  std::string_view in_;
  std::size_t at_ = 0;
  std::string out_;
  std::size_t atom_ = 0;             // where the last atom begins in out_
  std::vector<std::size_t> groups_;  // where each open group begins in out_
};

}  // namespace

std::string translate_regex(std::string_view ruby) {
  return Translator(ruby).run();
}

}  // namespace qloft::tokenizer
