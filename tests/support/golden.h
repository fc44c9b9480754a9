// Golden data: the results of other implementations, in a folder with `index.json` and one
// <group>.safetensors a group of cases (format: README.md of the folder the files come from).
// The folder is STAIR_GOLDEN_DIR, else tests/golden.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/json.h"
#include "core/safetensors.h"
#include "core/tensor.h"

namespace stair::test {

std::string golden_folder();

// One case. Tensors are as in the file: NCHW, OIHW.
class GoldenCase {
 public:
  GoldenCase(const Json& entry, std::shared_ptr<const SafeTensors> tensors);

  const std::string& name() const { return entry_->at("name").as_string(); }
  const std::string& op() const { return entry_->at("op").as_string(); }
  const Json& attrs() const { return entry_->at("attrs"); }
  // The member of attrs, or `otherwise` when it is missing or null.
  double number(const char* key, double otherwise) const;
  int64_t integer(const char* key, int64_t otherwise) const;
  bool flag(const char* key, bool otherwise) const;
  std::vector<int64_t> integers(const char* key) const;
  // Whether the reference refuses this input.
  bool expects_error() const { return entry_->find("expect_error") != nullptr; }

  bool has_input(const std::string& role) const { return has("inputs", role); }
  bool has_output(const std::string& role) const { return has("outputs", role); }
  bool has_gradient(const std::string& role) const { return has("grads", role); }
  // Throws FormatError when the case has none of that role.
  Tensor input(const std::string& role) const { return tensor("inputs", role); }
  Tensor output(const std::string& role) const { return tensor("outputs", role); }
  Tensor gradient(const std::string& role) const { return tensor("grads", role); }
  std::vector<std::string> gradients() const;

  // Fails the running test when `got` is further from the reference than the case allows.
  void expect_output(const std::string& role, const Tensor& got);
  void expect_gradient(const std::string& role, const Tensor& got);
  // Says that the library does not build what the rest of this case is about.
  void leave_rest() { left_ = true; }
  bool left() const { return left_; }
  // Outputs and gradients that nothing was compared with; none once the rest was left.
  std::vector<std::string> unchecked() const;

 private:
  bool has(const char* kind, const std::string& role) const;
  Tensor tensor(const char* kind, const std::string& role) const;
  void expect(const char* kind, const std::string& role, const Tensor& got);

  const Json* entry_;
  std::shared_ptr<const SafeTensors> tensors_;
  std::set<std::string> checked_;
  bool left_ = false;
};

// The cases of a group, in the order of the index. Throws FormatError when the index or a tensor
// file is missing or broken.
std::vector<GoldenCase> golden_cases(const std::string& group);

using GoldenRunner = std::function<void(GoldenCase&)>;

// Runs every case of a group by the name of its operation, but those in `elsewhere`. Fails the
// running test for an operation without runner, for outputs and gradients that a runner leaves
// unchecked, and for a case that should have been refused. Skips when another folder than
// tests/golden is in use and has no case of the group.
void run_golden_group(const std::string& group, const std::map<std::string, GoldenRunner>& runners,
                      const std::set<std::string>& elsewhere = {});

// Runs only the cases whose operation has a runner, as run_golden_group does. Fails the running
// test when tests/golden has none.
void run_golden_ops(const std::string& group, const std::map<std::string, GoldenRunner>& runners);

// How far `got` may be from the reference.
struct Tolerance {
  double rtol = 0, atol = 0;  // |got - want| <= atol + rtol * |want|; both 0: equal
};
// What is wrong with `got`; empty when all is well. NaN equals NaN.
std::string mismatch(const Tensor& got, const Tensor& want, const Tolerance& tolerance);

// Dimension 1 moved to the end, and back: NCHW to NHWC, OIHW to OHWI.
Tensor channels_last(const Tensor& t);
Tensor channels_first(const Tensor& t);
// The tensor with dimension `from` moved to place `to`.
Tensor move_axis(const Tensor& t, int from, int to);

}  // namespace stair::test
