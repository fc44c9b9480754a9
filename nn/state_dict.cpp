#include "nn/state_dict.h"

#include <algorithm>
#include <map>

#include "core/text.h"

namespace stair::nn {
namespace {

constexpr const char* kPrefixes[] = {"module.", "_orig_mod.", "ema."};
constexpr std::string_view kAveragedSteps = "n_averaged";
constexpr size_t kListed = 10;

// t [A,R,S] -> [A,S,R], element by element of `size` bytes.
void swap_last_two(const Tensor& from, const Tensor& to, int64_t a, int64_t r, int64_t s) {
  const size_t size = from.element_size();
  for (int64_t i = 0; i < a; ++i)
    for (int64_t j = 0; j < r; ++j)
      for (int64_t k = 0; k < s; ++k)
        std::memcpy(to.raw() + static_cast<size_t>((i * s + k) * r + j) * size,
                    from.raw() + static_cast<size_t>((i * r + j) * s + k) * size, size);
}

Tensor keep_qparams(const Tensor& from, Tensor to) {
  return from.quantized() ? to.with_qparams(from.qparams()) : to;
}

// The prefix that wrappers of torch put before every name, "module._orig_mod."; their count of
// averaged steps has none.
std::string common_prefix(std::span<const NamedTensor> tensors, const std::string& source) {
  std::string prefix;
  for (bool longer = true; longer;) {
    longer = false;
    for (const char* wrapper : kPrefixes) {
      const std::string with = prefix + wrapper;
      std::vector<std::string> others;
      for (const NamedTensor& t : tensors) {
        if (t.name.starts_with(with))
          longer = true;
        else if (t.name != kAveragedSteps)
          others.push_back(t.name);
      }
      if (!longer) continue;
      if (!others.empty())
        throw FormatError(str(source, ": names begin with '", with,
                              "', but not all: ", join(others, ", ", kListed)),
                          "save one state dict, that of the model or that of its wrapper");
      prefix = with;
      break;
    }
  }
  return prefix;
}

std::map<std::string, const Tensor*> by_name(std::span<const NamedTensor> tensors,
                                             const LoadOptions& options) {
  const std::string prefix = common_prefix(tensors, options.source);
  if (!prefix.empty() && options.notes != nullptr)
    options.notes->push_back(str("prefix '", prefix, "' taken off all names"));
  std::map<std::string, const Tensor*> out;
  for (const NamedTensor& t : tensors) {
    if (!prefix.empty() && t.name == kAveragedSteps) continue;
    if (!out.emplace(t.name.substr(prefix.size()), &t.tensor).second)
      throw FormatError(str(options.source, ": '", printable(t.name), "' occurs twice"));
  }
  return out;
}

// "fc." for a model whose last weight of two dimensions is "fc.weight"; a text that begins no name
// when there is none.
std::string head_prefix(const Module& module) {
  std::string prefix = "\n";
  for (const NamedVariable& p : module.named_parameters())
    if (p.variable.shape().rank() == 2) prefix = p.name.substr(0, p.name.rfind('.') + 1);
  return prefix;
}

Shape torch_shape(const Shape& s) {
  return s.rank() == 4 ? Shape{s[0], s[3], s[1], s[2]} : s;
}

struct Differences {
  std::vector<std::string> names;  // all
  std::vector<std::string> missing, unexpected, mismatched;

  std::string text() const {
    std::string out;
    const auto add = [&](const std::vector<std::string>& items, const char* what) {
      if (!items.empty())
        out += str(out.empty() ? "" : "; ", items.size(), what, join(items, ", ", kListed));
    };
    add(missing, " missing: ");
    add(unexpected, " unexpected: ");
    add(mismatched, " mismatched: ");
    return out;
  }
};

struct Loading {
  std::vector<std::pair<Variable, const Tensor*>> copies;
  Differences differences;
};

Loading compare(const Module& module, std::map<std::string, const Tensor*> given,
                const std::string& kept_prefix) {
  Loading out;
  const auto differ = [&](std::vector<std::string>& list, const std::string& name,
                          const std::string& text) {
    if (!kept_prefix.empty() && name.starts_with(kept_prefix)) return;
    out.differences.names.push_back(name);
    list.push_back(text);
  };
  for (const NamedVariable& own : module.named_state()) {
    const auto it = given.find(own.name);
    if (it == given.end()) {
      if (!own.name.ends_with("num_batches_tracked"))
        differ(out.differences.missing, own.name, own.name);
      continue;
    }
    const Tensor& t = *it->second;
    const Shape expected = torch_shape(own.variable.shape());
    if (t.shape() != expected || t.dtype() != own.variable.dtype())
      differ(out.differences.mismatched, own.name,
             str(own.name, " is ", t, ", expected ", expected, " ", own.variable.dtype()));
    else
      out.copies.emplace_back(own.variable, &t);
    it->second = nullptr;
  }
  for (const auto& [name, t] : given)
    if (t != nullptr) differ(out.differences.unexpected, name, name);
  return out;
}

}  // namespace

Tensor to_torch_layout(const Tensor& t) {
  if (t.shape().rank() != 4) return t;
  Tensor out = Tensor::empty(torch_shape(t.shape()), t.dtype());
  swap_last_two(t, out, t.size(0), t.size(1) * t.size(2), t.size(3));
  return keep_qparams(t, out);
}

Tensor from_torch_layout(const Tensor& t) {
  if (t.shape().rank() != 4) return t;
  Tensor out = Tensor::empty({t.size(0), t.size(2), t.size(3), t.size(1)}, t.dtype());
  swap_last_two(t, out, t.size(0), t.size(1), t.size(2) * t.size(3));
  return keep_qparams(t, out);
}

std::vector<NamedTensor> state_dict(const Module& module) {
  std::vector<NamedTensor> out;
  for (const NamedVariable& s : module.named_state()) {
    const Tensor& value = s.variable.value();
    out.push_back({s.name, value.shape().rank() == 4 ? to_torch_layout(value) : value.clone()});
  }
  return out;
}

void load_state_dict(Module& module, std::span<const NamedTensor> tensors,
                     const LoadOptions& options) {
  const std::string head = head_prefix(module);
  const Loading loading =
      compare(module, by_name(tensors, options), options.reset_head ? head : "");
  const Differences& d = loading.differences;
  if (!d.names.empty()) {
    const bool head_only =
        std::all_of(d.names.begin(), d.names.end(),
                    [&](const std::string& name) { return name.starts_with(head); });
    throw FormatError(str(options.source, ": does not fit the model: ", d.text()),
                      head_only ? "--reset-head starts with a new classifier" : "");
  }
  for (const auto& [variable, t] : loading.copies)
    Tensor(variable.value()).copy_from(from_torch_layout(*t));
}

}  // namespace stair::nn
