// The stack machine behind Pickle: one pass over the stream, every operand checked.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "apps/weights/pickle.h"

namespace stair::apps {

class PickleMachine {
 public:
  // `bytes` must outlive the values, whose texts are in it.
  PickleMachine(std::string_view bytes, std::string what) : bytes_(bytes), what_(std::move(what)) {}
  // The index of the value that the stream is. Throws FormatError.
  uint32_t run();
  std::vector<PickleValue> take_values() { return std::move(values_); }

 private:
  [[noreturn]] void fail(const std::string& reason, const std::string& hint = "") const;
  // Reads an operand of the operation.
  std::string_view take(uint64_t count);
  std::string_view take_line();
  uint64_t take_unsigned(size_t bytes);
  int64_t take_signed(size_t bytes);
  // The stack above the last mark, or at all.
  uint32_t pop(const char* wanted);
  PickleValue& top(const char* wanted);
  std::vector<uint32_t> pop_to_mark();
  void push(PickleValue value);
  void push_index(uint32_t index);

  void execute(unsigned char code);
  bool execute_constant(unsigned char code);
  bool execute_container(unsigned char code);
  bool execute_memo(unsigned char code);
  bool execute_call(unsigned char code);
  void push_text(uint64_t bytes);
  void push_tuple(std::vector<uint32_t> items);
  void push_global();
  void append(const std::vector<uint32_t>& items);
  void set_items(const std::vector<uint32_t>& items);
  void reduce();
  void make_object();
  void build();

  std::string_view bytes_;
  std::string what_;
  size_t position_ = 0, operation_ = 0;
  std::vector<PickleValue> values_;
  std::vector<uint32_t> stack_;
  std::vector<size_t> marks_;  // sizes of the stack
  std::unordered_map<uint64_t, uint32_t> memo_;
};

}  // namespace stair::apps
