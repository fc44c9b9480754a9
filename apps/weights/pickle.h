// Python's pickle streams, read as data: no code is looked up, imported or called.
//
// The stream of protocol 2, as torch.save writes it, becomes a table of values that refer to each
// other by index. What Python would build by a call is kept as what it is: a call of torch's
// functions, or an opaque object of some class. Modules that can act on the system are refused by
// name. Protocol: https://github.com/python/cpython/blob/main/Lib/pickletools.py.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace stair::apps {

enum class PickleKind : uint8_t {
  none,
  boolean,
  integer,
  real,
  text,
  tuple,
  list,
  dict,        // items: key, value, key, value
  global,      // text: "module\nname"
  call,        // of a function of torch; items: function, arguments
  object,      // of any other class; items: class, arguments
  persistent,  // items: a tuple that says where the object is
};

struct PickleValue {
  PickleKind kind = PickleKind::none;
  int64_t integer = 0;
  double real = 0;
  std::string_view text = {};
  std::vector<uint32_t> items = {};
};

class Pickle {
 public:
  // Throws FormatError `<what>: byte 17: ...` for anything but a whole stream of protocol 2 with at
  // most a million values, each operation on values of the type it is meant for.
  Pickle(std::string bytes, const std::string& what);
  Pickle(const Pickle&) = delete;
  Pickle& operator=(const Pickle&) = delete;

  uint32_t root() const { return root_; }
  const PickleValue& operator[](uint32_t index) const { return values_[index]; }
  // The value of a dictionary under a text, nullptr without one; the last of equal keys.
  const uint32_t* find(const PickleValue& dict, std::string_view key) const;
  // "integer", "dict", "argparse.Namespace".
  std::string type_name(const PickleValue& value) const;

 private:
  std::string bytes_;  // the texts of the values are in here
  std::vector<PickleValue> values_;
  uint32_t root_ = 0;
};

// "torch._utils._rebuild_tensor_v2" of a global, made printable.
std::string dotted(const PickleValue& global);

}  // namespace stair::apps
