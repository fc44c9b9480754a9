#include "core/json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "core/text.h"

namespace stair {
namespace {

class Writer {
 public:
  Writer(std::string& out, int indent) : out_(out), indent_(indent) {}

  void write(const Json& json) {
    if (json.is_null()) {
      out_ += "null";
    } else if (json.is_bool()) {
      out_ += json.as_bool() ? "true" : "false";
    } else if (json.is_string()) {
      append_json_string(out_, json.as_string());
    } else if (json.is_array()) {
      write_items(json.as_array(), '[', ']', [&](const Json& item) { write(item); });
    } else if (json.is_object()) {
      write_items(json.as_object(), '{', '}', [&](const Json::Member& member) {
        append_json_string(out_, member.first);
        out_ += indent_ > 0 ? ": " : ":";
        write(member.second);
      });
    } else {
      write_number(json);
    }
  }

 private:
  template <class Items, class WriteItem>
  void write_items(const Items& items, char open, char close, const WriteItem& write_item) {
    out_ += open;
    ++level_;
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out_ += ',';
      new_line();
      write_item(items[i]);
    }
    --level_;
    if (!items.empty()) new_line();
    out_ += close;
  }

  void new_line() {
    if (indent_ > 0) out_.append(1, '\n').append(static_cast<size_t>(indent_ * level_), ' ');
  }

  void write_number(const Json& json) {
    if (json.is_integer()) {
      const double approximate = json.as_double();
      out_ += approximate < 0 ? std::to_string(json.as_int()) : std::to_string(json.as_uint());
      return;
    }
    const double value = json.as_double();
    if (!std::isfinite(value))
      throw FormatError(str("json: ", value, " cannot be written: JSON has no such number"));
    char digits[32];
    const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
    const std::string_view text(digits, static_cast<size_t>(end - digits));
    out_ += text;
    if (text.find_first_of(".e") == text.npos) out_ += ".0";
  }

  std::string& out_;
  int indent_;
  int level_ = 0;
};

}  // namespace

Json Json::from_object(Object members) {
  Json json;
  json.value_ = std::move(members);
  return json;
}

Json::Value Json::from_unsigned(uint64_t value) {
  if (value <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
    return static_cast<int64_t>(value);
  return value;
}

const char* Json::type_name() const {
  constexpr const char* kNames[] = {"null",   "bool",   "integer", "integer",
                                    "number", "string", "array",   "object"};
  return kNames[value_.index()];
}

template <class T>
const T& Json::get(const char* wanted) const {
  if (const T* value = std::get_if<T>(&value_)) return *value;
  std::string found = type_name();
  if (!is_array() && !is_object() && !is_null()) found += str(" ", printable(dump(), 40));
  throw FormatError(str("json: expected ", wanted, ", found ", found));
}

bool Json::as_bool() const {
  return get<bool>("bool");
}

int64_t Json::as_int() const {
  if (holds<uint64_t>())
    throw FormatError(str("json: ", as_uint(), " does not fit a signed 64-bit integer"));
  return get<int64_t>("integer");
}

uint64_t Json::as_uint() const {
  if (const uint64_t* large = std::get_if<uint64_t>(&value_)) return *large;
  const int64_t value = get<int64_t>("integer");
  if (value < 0) throw FormatError(str("json: expected an integer of at least 0, found ", value));
  return static_cast<uint64_t>(value);
}

double Json::as_double() const {
  if (const int64_t* value = std::get_if<int64_t>(&value_)) return static_cast<double>(*value);
  if (const uint64_t* value = std::get_if<uint64_t>(&value_)) return static_cast<double>(*value);
  return get<double>("number");
}

const std::string& Json::as_string() const {
  return get<std::string>("string");
}
const Json::Array& Json::as_array() const {
  return get<Array>("array");
}
const Json::Object& Json::as_object() const {
  return get<Object>("object");
}

size_t Json::size() const {
  return is_array() ? as_array().size() : as_object().size();
}

const Json* Json::find(std::string_view key) const {
  for (const Member& member : as_object())
    if (member.first == key) return &member.second;
  return nullptr;
}

const Json& Json::at(std::string_view key) const {
  if (const Json* value = find(key)) return *value;
  std::vector<std::string> keys;
  for (const Member& member : as_object()) keys.push_back(member.first);
  throw FormatError(str("json: key '", printable(key), "' is missing"), did_you_mean(key, keys));
}

const Json& Json::at(size_t index) const {
  const Array& items = as_array();
  if (index >= items.size())
    throw FormatError(str("json: element ", index, " of an array of ", items.size()));
  return items[index];
}

Json& Json::set(std::string key, Json value) {
  if (is_null()) value_ = Object();
  as_object();
  Object& members = std::get<Object>(value_);
  const auto same = [&](const Member& member) { return member.first == key; };
  const auto found = std::find_if(members.begin(), members.end(), same);
  if (found != members.end())
    found->second = std::move(value);
  else
    members.emplace_back(std::move(key), std::move(value));
  return *this;
}

Json& Json::push_back(Json value) {
  if (is_null()) value_ = Array();
  as_array();
  std::get<Array>(value_).push_back(std::move(value));
  return *this;
}

std::string Json::dump(int indent) const {
  std::string out;
  Writer(out, indent).write(*this);
  return out;
}

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  for (size_t position = 0; position < text.size();) {
    const size_t before = position;
    const std::optional<char32_t> c = decode_utf8(text, position);
    if (!c)
      throw FormatError(str("json: '", printable(text), "' is not UTF-8 at its byte ", before));
    constexpr std::string_view kEscaped = "\"\\\b\f\n\r\t", kLetters = "\"\\bfnrt";
    const size_t known = *c < 0x80 ? kEscaped.find(static_cast<char>(*c)) : kEscaped.npos;
    if (known != kEscaped.npos) {
      out += '\\';
      out += kLetters[known];
    } else if (*c < 0x20 || *c == 0x7F) {
      constexpr char kHexDigits[] = "0123456789abcdef";
      out += "\\u00";
      out += kHexDigits[*c >> 4];
      out += kHexDigits[*c & 15];
    } else {
      out += text.substr(before, position - before);
    }
  }
  out += '"';
}

}  // namespace stair
