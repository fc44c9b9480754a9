#include "apps/weights/pickle_machine.h"

#include <algorithm>
#include <bit>
#include <iomanip>

#include "core/error.h"
#include "core/text.h"

namespace stair::apps {
namespace {

// A value takes 64 bytes, a place on the stack or in the memo less.
constexpr size_t kMostValues = 1'000'000;
constexpr const char* kCut = "the stream is cut";

// Modules whose functions act on the system, found by the first part of their names. Nothing is
// ever called: a file that names them is not what it says, and the user should know.
constexpr std::string_view kRefused[] = {
    "os",     "nt",      "posix",  "sys",    "subprocess", "importlib",  "runpy",
    "pty",    "shutil",  "socket", "ctypes", "pickle",     "_pickle",    "webbrowser",
    "code",   "codeop",  "timeit", "pdb",    "bdb",        "operator",   "_operator",
    "signal", "asyncio", "pip",    "pydoc",  "builtins",   "__builtin__"};
// What of Python itself is only data.
constexpr std::string_view kPlainBuiltins[] = {
    "object", "set",   "frozenset", "dict",    "list",  "tuple", "int",  "float",   "bool",
    "str",    "bytes", "bytearray", "complex", "slice", "range", "long", "unicode", "xrange"};

bool refused(std::string_view module, std::string_view name) {
  const std::string_view first = module.substr(0, module.find('.'));
  if (std::ranges::find(kRefused, first) == std::end(kRefused)) return false;
  const bool python = module == "builtins" || module == "__builtin__";
  return !python || std::ranges::find(kPlainBuiltins, name) == std::end(kPlainBuiltins);
}

bool is_dict_class(const PickleValue& global) {
  return global.text == "collections\nOrderedDict" || global.text == "collections\ndefaultdict";
}

bool of_torch(const PickleValue& global) {
  return global.text.starts_with("torch.") || global.text.starts_with("torch\n");
}

}  // namespace

void PickleMachine::fail(const std::string& reason, const std::string& hint) const {
  throw FormatError(str(what_, ": byte ", operation_, ": ", reason), hint);
}

std::string_view PickleMachine::take(uint64_t count) {
  if (count > bytes_.size() - position_) fail(kCut);
  position_ += count;
  return bytes_.substr(position_ - count, count);
}

std::string_view PickleMachine::take_line() {
  const size_t end = bytes_.find('\n', position_);
  if (end == std::string_view::npos) fail(kCut);
  const std::string_view line = bytes_.substr(position_, end - position_);
  position_ = end + 1;
  return line;
}

uint64_t PickleMachine::take_unsigned(size_t count) {
  uint64_t value = 0;
  const std::string_view digits = take(count);
  for (size_t i = 0; i < count; ++i)
    value |= uint64_t{static_cast<unsigned char>(digits[i])} << (8 * i);
  return value;
}

int64_t PickleMachine::take_signed(size_t count) {
  if (count > 8) fail(str("an integer of ", count, " bytes, at most 8 are known"));
  if (count == 0) return 0;
  const size_t unused = 64 - 8 * count;
  return static_cast<int64_t>(take_unsigned(count) << unused) >> unused;
}

uint32_t PickleMachine::pop(const char* wanted) {
  if (stack_.size() <= (marks_.empty() ? 0 : marks_.back()))
    fail(str("the stack is empty, ", wanted, " was expected"));
  const uint32_t index = stack_.back();
  stack_.pop_back();
  return index;
}

PickleValue& PickleMachine::top(const char* wanted) {
  const uint32_t index = pop(wanted);
  stack_.push_back(index);
  return values_[index];
}

std::vector<uint32_t> PickleMachine::pop_to_mark() {
  if (marks_.empty()) fail("there is no mark on the stack");
  const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
  std::vector<uint32_t> items(begin, stack_.end());
  stack_.erase(begin, stack_.end());
  marks_.pop_back();
  return items;
}

void PickleMachine::push_index(uint32_t index) {
  if (stack_.size() >= kMostValues) fail(str("more than ", kMostValues, " values on the stack"));
  stack_.push_back(index);
}

void PickleMachine::push(PickleValue value) {
  if (values_.size() >= kMostValues) fail(str("more than ", kMostValues, " values"));
  values_.push_back(std::move(value));
  push_index(static_cast<uint32_t>(values_.size() - 1));
}

void PickleMachine::push_text(uint64_t count) {
  push({.kind = PickleKind::text, .text = take(count)});
}

void PickleMachine::push_tuple(std::vector<uint32_t> items) {
  push({.kind = PickleKind::tuple, .items = std::move(items)});
}

void PickleMachine::push_global() {
  const size_t begin = position_;
  const std::string_view module = take_line(), name = take_line();
  const PickleValue global{.kind = PickleKind::global,
                           .text = bytes_.substr(begin, position_ - begin - 1)};
  if (refused(module, name))
    fail(str("it names ", in_quotes(dotted(global)), ", which no weights need; nothing was run"),
         "do not open this file in Python; fetch the weights from where you trust them");
  push(global);
}

void PickleMachine::append(const std::vector<uint32_t>& items) {
  PickleValue& list = top("a list");
  if (list.kind == PickleKind::object) return;
  if (list.kind != PickleKind::list) fail("something is appended to what is no list");
  list.items.insert(list.items.end(), items.begin(), items.end());
}

void PickleMachine::set_items(const std::vector<uint32_t>& items) {
  if (items.size() % 2 != 0) fail("a key without a value");
  PickleValue& dict = top("a dict");
  if (dict.kind == PickleKind::object) return;
  if (dict.kind != PickleKind::dict) fail("an item is set in what is no dict");
  dict.items.insert(dict.items.end(), items.begin(), items.end());
}

void PickleMachine::reduce() {
  const uint32_t arguments = pop("a tuple of arguments"), function = pop("a function");
  if (values_[function].kind != PickleKind::global) fail("what is called is no named function");
  if (values_[arguments].kind != PickleKind::tuple) fail("the arguments of a call are no tuple");
  if (is_dict_class(values_[function])) return push({.kind = PickleKind::dict});
  push({.kind = of_torch(values_[function]) ? PickleKind::call : PickleKind::object,
        .items = {function, arguments}});
}

void PickleMachine::make_object() {
  const uint32_t arguments = pop("a tuple of arguments"), type = pop("a class");
  if (values_[type].kind != PickleKind::global) fail("what is made is of no named class");
  if (values_[arguments].kind != PickleKind::tuple) fail("the arguments of a class are no tuple");
  if (is_dict_class(values_[type])) return push({.kind = PickleKind::dict});
  push({.kind = PickleKind::object, .items = {type, arguments}});
}

void PickleMachine::build() {
  pop("a state");
  const PickleKind kind = top("an object").kind;
  // The state of an object stays unread; that of an OrderedDict is its _metadata.
  if (kind != PickleKind::object && kind != PickleKind::dict)
    fail("a state is given to what is no object");
}

bool PickleMachine::execute_constant(unsigned char code) {
  const auto integer = [&](int64_t value) {
    push({.kind = PickleKind::integer, .integer = value});
  };
  switch (code) {
    case 'N':
      push({});
      break;
    case 0x88:
      push({.kind = PickleKind::boolean, .integer = 1});
      break;
    case 0x89:
      push({.kind = PickleKind::boolean});
      break;
    case 'J':
      integer(take_signed(4));
      break;
    case 'K':
      integer(static_cast<int64_t>(take_unsigned(1)));
      break;
    case 'M':
      integer(static_cast<int64_t>(take_unsigned(2)));
      break;
    case 0x8a:
      integer(take_signed(take_unsigned(1)));
      break;
    case 'G': {
      const std::string_view digits = take(8);  // big-endian
      uint64_t bits = 0;
      for (const char c : digits) bits = bits << 8 | static_cast<unsigned char>(c);
      push({.kind = PickleKind::real, .real = std::bit_cast<double>(bits)});
      break;
    }
    case 'X':
    case 'T':
      push_text(take_unsigned(4));
      break;
    case 'U':
      push_text(take_unsigned(1));
      break;
    default:
      return false;
  }
  return true;
}

bool PickleMachine::execute_container(unsigned char code) {
  switch (code) {
    case '(':
      if (marks_.size() >= kMostValues) fail(str("more than ", kMostValues, " marks"));
      marks_.push_back(stack_.size());
      break;
    case ')':
      push_tuple({});
      break;
    case ']':
      push({.kind = PickleKind::list});
      break;
    case '}':
      push({.kind = PickleKind::dict});
      break;
    case 't':
      push_tuple(pop_to_mark());
      break;
    case 0x85:
    case 0x86:
    case 0x87: {
      std::vector<uint32_t> items(code - 0x84U);
      for (size_t i = items.size(); i-- > 0;) items[i] = pop("a member of a tuple");
      push_tuple(std::move(items));
      break;
    }
    case 'a':
      append({pop("a value")});
      break;
    case 'e':
      append(pop_to_mark());
      break;
    case 's': {
      const uint32_t value = pop("a value"), key = pop("a key");
      set_items({key, value});
      break;
    }
    case 'u':
      set_items(pop_to_mark());
      break;
    default:
      return false;
  }
  return true;
}

bool PickleMachine::execute_memo(unsigned char code) {
  switch (code) {
    case 'q':
    case 'r': {
      const uint64_t slot = take_unsigned(code == 'q' ? 1 : 4);
      top("a value");
      if (memo_.size() >= kMostValues) fail(str("more than ", kMostValues, " memo slots"));
      memo_[slot] = stack_.back();
      break;
    }
    case 'h':
    case 'j': {
      const uint64_t slot = take_unsigned(code == 'h' ? 1 : 4);
      const auto it = memo_.find(slot);
      if (it == memo_.end()) fail(str("memo slot ", slot, " holds nothing"));
      push_index(it->second);
      break;
    }
    case '0':
      pop("a value");
      break;
    case '1':
      pop_to_mark();
      break;
    case '2':
      top("a value");
      push_index(stack_.back());
      break;
    default:
      return false;
  }
  return true;
}

bool PickleMachine::execute_call(unsigned char code) {
  switch (code) {
    case 'c':
      push_global();
      break;
    case 'R':
      reduce();
      break;
    case 0x81:
      make_object();
      break;
    case 'b':
      build();
      break;
    case 'Q': {
      const uint32_t id = pop("a persistent id");
      if (values_[id].kind != PickleKind::tuple) fail("a persistent id is no tuple");
      push({.kind = PickleKind::persistent, .items = {id}});
      break;
    }
    default:
      return false;
  }
  return true;
}

void PickleMachine::execute(unsigned char code) {
  if (execute_constant(code) || execute_container(code) || execute_memo(code) || execute_call(code))
    return;
  std::ostringstream shown;
  shown << "0x" << std::hex << std::setw(2) << std::setfill('0') << int{code};
  fail(str("unknown operation ", shown.str()), "torch.save writes pickles of protocol 2");
}

uint32_t PickleMachine::run() {
  if (bytes_.size() < 2 || bytes_[0] != '\x80') fail("it is no pickle of protocol 2");
  if (bytes_[1] != 2)
    fail(str("protocol ", int{static_cast<unsigned char>(bytes_[1])}, ", only 2 is read"),
         "save it again with torch.save's own pickle_protocol");
  position_ = 2;
  while (true) {
    operation_ = position_;
    const auto code = static_cast<unsigned char>(take(1)[0]);
    if (code == '.') break;
    execute(code);
  }
  const uint32_t root = pop("the value of the stream");
  if (!stack_.empty() || !marks_.empty()) fail("values are left on the stack");
  if (position_ != bytes_.size()) fail(str(bytes_.size() - position_, " bytes follow the end"));
  return root;
}

}  // namespace stair::apps
