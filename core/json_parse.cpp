#include <algorithm>
#include <charconv>

#include "core/error.h"
#include "core/json.h"
#include "core/text.h"

namespace stair {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

void append_utf8(std::string& out, char32_t c) {
  const auto tail = [&](int shift) { out += static_cast<char>(0x80 | ((c >> shift) & 0x3F)); };
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | c >> 6);
    tail(0);
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0 | c >> 12);
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xF0 | c >> 18);
    tail(12);
    tail(6);
    tail(0);
  }
}

class Parser {
 public:
  Parser(std::string_view text, std::string_view what, JsonLimits limits)
      : text_(text), what_(what), limits_(limits) {}

  Json parse() {
    Json value = parse_value(1);
    skip_blanks();
    if (position_ < text_.size()) fail(position_, str("the end was expected, found ", found()));
    return value;
  }

 private:
  [[noreturn]] void fail(size_t position, const std::string& reason) const {
    throw FormatError(str(what_, ": byte ", position, ": ", reason));
  }

  std::string found() const {
    if (position_ >= text_.size()) return "the end";
    return str("'", printable(text_.substr(position_, 1)), "'");
  }

  // The next character, '\0' at the end: no token begins with it.
  char peek() const { return position_ < text_.size() ? text_[position_] : '\0'; }

  bool accept(char c) {
    if (peek() != c || position_ >= text_.size()) return false;
    ++position_;
    return true;
  }

  void skip_blanks() {
    while (peek() == ' ' || peek() == '\n' || peek() == '\r' || peek() == '\t') ++position_;
  }

  Json parse_value(size_t depth) {
    skip_blanks();
    if (++values_ > limits_.values) fail(position_, str("more than ", limits_.values, " values"));
    const char c = peek();
    if (c == '{' || c == '[') {
      if (depth > limits_.depth) fail(position_, str("more than ", limits_.depth, " levels"));
      return c == '{' ? parse_object(depth) : parse_array(depth);
    }
    if (c == '"') return parse_string();
    if (c == '-' || is_digit(c)) return parse_number();
    if (accept_word("true")) return true;
    if (accept_word("false")) return false;
    if (accept_word("null")) return {};
    fail(position_, str("a value was expected, found ", found()));
  }

  bool accept_word(std::string_view word) {
    if (text_.substr(position_, word.size()) != word) return false;
    position_ += word.size();
    return true;
  }

  Json parse_array(size_t depth) {
    ++position_;
    Json::Array items;
    skip_blanks();
    if (accept(']')) return items;
    do {
      items.push_back(parse_value(depth + 1));
      skip_blanks();
    } while (accept(','));
    if (!accept(']')) fail(position_, str("',' or ']' was expected, found ", found()));
    return items;
  }

  Json parse_object(size_t depth) {
    ++position_;
    Json::Object members;
    std::vector<size_t> key_positions;
    skip_blanks();
    if (accept('}')) return Json::object();
    do {
      skip_blanks();
      key_positions.push_back(position_);
      if (peek() != '"') fail(position_, str("a key in quotes was expected, found ", found()));
      std::string key = parse_string();
      skip_blanks();
      if (!accept(':')) fail(position_, str("':' was expected, found ", found()));
      members.emplace_back(std::move(key), parse_value(depth + 1));
      skip_blanks();
    } while (accept(','));
    if (!accept('}')) fail(position_, str("',' or '}' was expected, found ", found()));
    refuse_duplicates(members, key_positions);
    return Json::from_object(std::move(members));
  }

  void refuse_duplicates(const Json::Object& members, const std::vector<size_t>& positions) const {
    std::vector<size_t> order(members.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return members[a].first < members[b].first; });
    for (size_t i = 1; i < order.size(); ++i)
      if (members[order[i]].first == members[order[i - 1]].first)
        fail(positions[order[i]], str("duplicate key '", printable(members[order[i]].first), "'"));
  }

  std::string parse_string() {
    const size_t start = position_++;
    std::string out;
    while (!accept('"')) {
      if (position_ >= text_.size()) fail(start, "this string has no end");
      const size_t before = position_;
      const std::optional<char32_t> c = decode_utf8(text_, position_);
      if (!c) fail(before, "not UTF-8");
      if (*c < 0x20) fail(before, "a control character in a string must be escaped");
      if (*c == '\\')
        parse_escape(out);
      else
        out.append(text_, before, position_ - before);
    }
    return out;
  }

  void parse_escape(std::string& out) {
    const size_t start = position_ - 1;
    const char c = peek();
    constexpr std::string_view kLetters = "\"\\/bfnrt", kMeanings = "\"\\/\b\f\n\r\t";
    const size_t known = position_ < text_.size() ? kLetters.find(c) : kLetters.npos;
    if (known != kLetters.npos) {
      ++position_;
      out += kMeanings[known];
      return;
    }
    if (!accept('u')) fail(start, "unknown escape");
    char32_t code = parse_four_digits(start);
    if (code >= 0xD800 && code < 0xDC00) {
      if (!accept_word("\\u")) fail(start, "half of a surrogate pair");
      const char32_t low = parse_four_digits(start);
      if (low < 0xDC00 || low >= 0xE000) fail(start, "half of a surrogate pair");
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    } else if (code >= 0xDC00 && code < 0xE000) {
      fail(start, "half of a surrogate pair");
    }
    append_utf8(out, code);
  }

  char32_t parse_four_digits(size_t start) {
    uint32_t code = 0;
    const std::string_view digits = text_.substr(position_, 4);
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
    if (digits.size() < 4 || error != std::errc() || end != digits.data() + 4)
      fail(start, "\\u needs four hexadecimal digits");
    position_ += 4;
    return code;
  }

  Json parse_number() {
    const size_t start = position_;
    accept('-');
    if (accept('0')) {
      if (is_digit(peek())) fail(start, "a number must not begin with 0");
    } else {
      skip_digits();
    }
    bool integer = true;
    if (accept('.')) {
      integer = false;
      skip_digits();
    }
    if (peek() == 'e' || peek() == 'E') {
      integer = false;
      ++position_;
      if (!accept('+')) accept('-');
      skip_digits();
    }
    const char *begin = text_.data() + start, *end = text_.data() + position_;
    if (integer) {
      int64_t as_signed = 0;
      if (std::from_chars(begin, end, as_signed).ec == std::errc()) return as_signed;
      uint64_t as_unsigned = 0;
      if (std::from_chars(begin, end, as_unsigned).ec == std::errc()) return as_unsigned;
    }
    double value = 0;
    if (std::from_chars(begin, end, value).ec != std::errc())
      fail(start, "this number is beyond a double");
    return value;
  }

  void skip_digits() {
    if (!is_digit(peek())) fail(position_, str("a digit was expected, found ", found()));
    while (is_digit(peek())) ++position_;
  }

  std::string_view text_, what_;
  JsonLimits limits_;
  size_t position_ = 0, values_ = 0;
};

}  // namespace

Json parse_json(std::string_view text, std::string_view what, JsonLimits limits) {
  return Parser(text, what, limits).parse();
}

}  // namespace stair
