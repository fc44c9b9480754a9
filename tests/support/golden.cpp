#include "tests/support/golden.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "core/file.h"

namespace stair::test {
namespace {

// The index and the tensor files read so far; tests of one program share them.
struct Folder {
  Json index;
  std::map<std::string, std::shared_ptr<const SafeTensors>> files;
};

Folder& folder() {
  static Folder instance = [] {
    const std::string path = golden_folder() + "/index.json";
    if (!file_exists(path))
      throw FormatError(str("golden: ", path, " is missing"),
                        "set STAIR_GOLDEN_DIR to a folder of golden data");
    return Folder{parse_json(read_file(path, uint64_t{1} << 28, FileUse::model), path), {}};
  }();
  return instance;
}

std::shared_ptr<const SafeTensors> tensors_of(const std::string& file) {
  auto& known = folder().files[file];
  if (known == nullptr) {
    const std::string path = golden_folder() + "/" + file;
    if (!file_exists(path))
      throw FormatError(str("golden: ", path, " is missing, and index.json has cases in it"),
                        "copy the group's file into the folder");
    known = std::make_shared<const SafeTensors>(read_safetensors(path));
  }
  return known;
}

double element(const Tensor& t, int64_t i) {
  switch (t.dtype()) {
    case DType::f32:
      return static_cast<double>(t.data<float>()[i]);
    case DType::f64:
      return t.data<double>()[i];
    case DType::u8:
      return t.data<uint8_t>()[i];
    case DType::s8:
      return t.data<int8_t>()[i];
    case DType::s32:
      return t.data<int32_t>()[i];
    case DType::s64:
      return static_cast<double>(t.data<int64_t>()[i]);
    case DType::b1:
      break;
  }
  throw DTypeError(str("golden: ", t, " has no comparable elements"));
}

// The tolerance of one tensor of a case; `tol` may name a tensor that has to be equal
// ("<role>": "exact") or that may be off by more ("<role>_atol").
Tolerance tolerance_of(const Json& tol, const std::string& role) {
  const std::string& mode = tol.at("mode").as_string();
  const Json* own = tol.find(role);
  if (mode == "exact" || (own != nullptr && own->is_string() && own->as_string() == "exact"))
    return {};
  if (mode == "close") {
    const Json* atol = tol.find(role + "_atol");
    return {tol.at("rtol").as_double(), (atol ? *atol : tol.at("atol")).as_double()};
  }
  if (mode == "int") return {0, tol.at("max_diff").as_double()};
  throw FormatError(str("golden: tolerance mode '", mode, "', expected exact, close or int"));
}

void run_case(GoldenCase& c, const GoldenRunner& run) {
  try {
    run(c);
    if (c.expects_error() && !c.left())
      ADD_FAILURE() << "the reference refuses this input, it was accepted";
  } catch (const Error& error) {
    if (!c.expects_error()) ADD_FAILURE() << error.what();
    return;
  }
  for (const std::string& role : c.unchecked()) ADD_FAILURE() << role << " was not compared";
}

}  // namespace

std::string golden_folder() {
  const char* set = std::getenv("STAIR_GOLDEN_DIR");
  return set != nullptr && *set != 0 ? set : STAIR_SOURCE_DIR "/tests/golden";
}

GoldenCase::GoldenCase(const Json& entry, std::shared_ptr<const SafeTensors> tensors)
    : entry_(&entry), tensors_(std::move(tensors)) {}

double GoldenCase::number(const char* key, double otherwise) const {
  const Json* value = attrs().find(key);
  return value == nullptr || value->is_null() ? otherwise : value->as_double();
}

int64_t GoldenCase::integer(const char* key, int64_t otherwise) const {
  const Json* value = attrs().find(key);
  return value == nullptr || value->is_null() ? otherwise : value->as_int();
}

bool GoldenCase::flag(const char* key, bool otherwise) const {
  const Json* value = attrs().find(key);
  return value == nullptr || value->is_null() ? otherwise : value->as_bool();
}

std::vector<int64_t> GoldenCase::integers(const char* key) const {
  std::vector<int64_t> values;
  for (const Json& value : attrs().at(key).as_array()) values.push_back(value.as_int());
  return values;
}

bool GoldenCase::has(const char* kind, const std::string& role) const {
  return entry_->at(kind).find(role) != nullptr;
}

Tensor GoldenCase::tensor(const char* kind, const std::string& role) const {
  return tensors_->at(entry_->at(kind).at(role).as_string());
}

std::vector<std::string> GoldenCase::gradients() const {
  std::vector<std::string> roles;
  for (const auto& [role, key] : entry_->at("grads").as_object()) roles.push_back(role);
  return roles;
}

void GoldenCase::expect(const char* kind, const std::string& role, const Tensor& got) {
  checked_.insert(str(kind, "/", role));
  const Json& tol = entry_->at("tol");
  if (tol.at("mode").as_string() == "informative") return;
  const std::string wrong = mismatch(got, tensor(kind, role), tolerance_of(tol, role));
  if (!wrong.empty()) ADD_FAILURE() << kind << " " << role << ": " << wrong;
}

void GoldenCase::expect_output(const std::string& role, const Tensor& got) {
  expect("outputs", role, got);
}

void GoldenCase::expect_gradient(const std::string& role, const Tensor& got) {
  expect("grads", role, got);
}

std::vector<std::string> GoldenCase::unchecked() const {
  std::vector<std::string> roles;
  if (left_) return roles;
  for (const char* kind : {"outputs", "grads"})
    for (const auto& [role, key] : entry_->at(kind).as_object())
      if (!checked_.contains(str(kind, "/", role))) roles.push_back(str(kind, " ", role));
  return roles;
}

std::vector<GoldenCase> golden_cases(const std::string& group) {
  std::vector<GoldenCase> cases;
  for (const Json& entry : folder().index.at("cases").as_array())
    if (entry.at("group").as_string() == group)
      cases.emplace_back(entry, tensors_of(entry.at("file").as_string()));
  return cases;
}

void run_golden_group(const std::string& group, const std::map<std::string, GoldenRunner>& runners,
                      const std::set<std::string>& elsewhere) {
  std::vector<GoldenCase> cases = golden_cases(group);
  if (cases.empty()) {
    if (std::getenv("STAIR_GOLDEN_DIR") != nullptr)
      GTEST_SKIP() << golden_folder() << " has no case of group " << group;
    FAIL() << golden_folder() << " has no case of group " << group;
  }
  for (GoldenCase& c : cases) {
    SCOPED_TRACE(c.name());
    if (elsewhere.contains(c.op())) continue;
    const auto runner = runners.find(c.op());
    if (runner == runners.end())
      ADD_FAILURE() << "operation '" << c.op() << "' of group " << group << " has no runner";
    else
      run_case(c, runner->second);
  }
}

void run_golden_ops(const std::string& group, const std::map<std::string, GoldenRunner>& runners) {
  std::set<std::string> elsewhere;
  size_t mine = 0;
  for (const GoldenCase& c : golden_cases(group))
    runners.contains(c.op()) ? void(++mine) : void(elsewhere.insert(c.op()));
  if (mine == 0 && std::getenv("STAIR_GOLDEN_DIR") == nullptr)
    ADD_FAILURE() << golden_folder() << " has no case for these runners";
  run_golden_group(group, runners, elsewhere);
}

std::string mismatch(const Tensor& got, const Tensor& want, const Tolerance& tolerance) {
  if (!got.defined()) return str("there is none, expected ", want);
  if (got.shape() != want.shape()) return str("shape ", got.shape(), ", expected ", want.shape());
  int64_t wrong = 0, first = -1;
  for (int64_t i = 0; i < want.numel(); ++i) {
    const double a = element(got, i), b = element(want, i);
    if (a == b || (std::isnan(a) && std::isnan(b))) continue;
    if (std::abs(a - b) <= tolerance.atol + tolerance.rtol * std::abs(b)) continue;
    if (wrong++ == 0) first = i;
  }
  if (wrong == 0) return "";
  std::ostringstream text;
  text.precision(9);
  text << wrong << " of " << want.numel() << " elements of " << want.shape()
       << " differ, the first at " << first << ": " << element(got, first) << ", expected "
       << element(want, first) << " within " << tolerance.atol << " + " << tolerance.rtol
       << " * it";
  return text.str();
}

Tensor move_axis(const Tensor& t, int from, int to) {
  std::vector<int64_t> dims = t.shape().dims();
  const int64_t size = dims[static_cast<size_t>(from)];
  dims.erase(dims.begin() + from);
  dims.insert(dims.begin() + to, size);
  Tensor moved = Tensor::empty(Shape(dims), t.dtype());
  // Between the two places the tensor is a matrix that is transposed: [outer, a, b, inner].
  const int low = std::min(from, to), high = std::max(from, to);
  int64_t outer = 1, middle = 1, inner = 1;
  for (int i = 0; i < low; ++i) outer *= t.size(i);
  for (int i = high + 1; i < t.shape().rank(); ++i) inner *= t.size(i);
  for (int i = low; i <= high; ++i) middle *= i == from ? 1 : t.size(i);
  const int64_t a = from < to ? size : middle, b = from < to ? middle : size;
  const size_t bytes = t.element_size() * static_cast<size_t>(inner);
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t i = 0; i < a; ++i)
      for (int64_t j = 0; j < b; ++j)
        std::memcpy(moved.raw() + static_cast<size_t>((o * b + j) * a + i) * bytes,
                    t.raw() + static_cast<size_t>((o * a + i) * b + j) * bytes, bytes);
  return moved;
}

Tensor channels_last(const Tensor& t) {
  return t.shape().rank() < 3 ? t : move_axis(t, 1, t.shape().rank() - 1);
}

Tensor channels_first(const Tensor& t) {
  return t.shape().rank() < 3 ? t : move_axis(t, t.shape().rank() - 1, 1);
}

}  // namespace stair::test
