// JSON values: a strict reader and a writer.
//
// Strict means RFC 8259 and besides: no key twice in an object, well-formed UTF-8, no lone
// surrogate, nothing after the value, at most 64 levels, no number beyond a double. Integers are
// kept whole: int64 or uint64, a double only beyond both.
#pragma once

#include <concepts>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace stair {

class Json {
 public:
  using Array = std::vector<Json>;
  using Member = std::pair<std::string, Json>;
  using Object = std::vector<Member>;  // in the order of the file, or of insertion

  Json() = default;  // null
  Json(bool value) : value_(value) {}
  Json(double value) : value_(value) {}
  Json(float value) : value_(static_cast<double>(value)) {}
  template <std::signed_integral T>
  Json(T value) : value_(static_cast<int64_t>(value)) {}
  template <std::unsigned_integral T>
  requires(!std::same_as<T, bool>) Json(T value) : value_(from_unsigned(value)) {}
  Json(std::string value) : value_(std::move(value)) {}
  Json(std::string_view value) : value_(std::string(value)) {}
  Json(const char* value) : value_(std::string(value)) {}
  Json(Array value) : value_(std::move(value)) {}
  static Json array() { return Json(Array()); }
  static Json object() { return from_object({}); }
  static Json from_object(Object members);

  bool is_null() const { return holds<std::monostate>(); }
  bool is_bool() const { return holds<bool>(); }
  bool is_integer() const { return holds<int64_t>() || holds<uint64_t>(); }
  bool is_number() const { return is_integer() || holds<double>(); }
  bool is_string() const { return holds<std::string>(); }
  bool is_array() const { return holds<Array>(); }
  bool is_object() const { return holds<Object>(); }
  // null, bool, integer, number, string, array or object.
  const char* type_name() const;

  // The value as a type. Throws FormatError when it is another type: as_int and as_uint want an
  // integer that fits, written without fraction or exponent; as_double takes any number.
  bool as_bool() const;
  int64_t as_int() const;
  uint64_t as_uint() const;
  double as_double() const;
  const std::string& as_string() const;
  const Array& as_array() const;
  const Object& as_object() const;

  // Elements of an array, members of an object. Throws FormatError on other types.
  size_t size() const;
  // The member of that name, or nullptr. Throws FormatError when this is no object.
  const Json* find(std::string_view key) const;
  // Throws FormatError when the member is missing, naming the nearest key, or the index is out of
  // range.
  const Json& at(std::string_view key) const;
  const Json& at(size_t index) const;

  // Replaces the member of that name or adds it at the end; null becomes an object.
  Json& set(std::string key, Json value);
  // Adds an element at the end; null becomes an array.
  Json& push_back(Json value);

  // Text without blanks (indent 0), or with one member a line. A double is written with the fewest
  // digits that read back to the same bits, and with ".0" when it looks like an integer. Throws
  // FormatError on NaN, infinity and broken UTF-8.
  std::string dump(int indent = 0) const;

  // Members of objects are compared in order.
  bool operator==(const Json&) const = default;

 private:
  template <class T>
  bool holds() const {
    return std::holds_alternative<T>(value_);
  }
  template <class T>
  const T& get(const char* wanted) const;
  // uint64_t is held only above the largest int64_t, so that equal numbers compare equal.
  using Value =
      std::variant<std::monostate, bool, int64_t, uint64_t, double, std::string, Array, Object>;
  static Value from_unsigned(uint64_t value);

  Value value_;
};

struct JsonLimits {
  size_t depth = 64;
  size_t values = 1'000'000;  // bounds memory: a value takes 40 bytes, with its key 72
};

// Reads one value. Throws FormatError `<what>: byte 17: ...`; `what` names the text in messages.
Json parse_json(std::string_view text, std::string_view what = "json", JsonLimits limits = {});

// Appends `text` as a JSON string with its quotes. Throws FormatError when it is not UTF-8.
void append_json_string(std::string& out, std::string_view text);

}  // namespace stair
