#include "apps/train/checkpoint.h"

#include <algorithm>
#include <cstdio>

#include "core/hash.h"
#include "core/tensor_table.h"
#include "core/text.h"
#include "nn/finite.h"

namespace stair::apps {
namespace {

constexpr uint32_t kVersion = 1;

Json to_json(const RunState& p) {
  Json j = Json::object();
  j.set("epoch", p.epoch);
  j.set("batch", p.batch);
  j.set("step", p.step);
  j.set("qat", p.qat);
  j.set("loss_sum", p.loss_sum);
  j.set("seen", p.seen);
  j.set("hits", p.hits);
  j.set("skipped_in_row", p.skipped_in_row);
  j.set("best_top1", p.best_top1);
  j.set("best_epoch", p.best_epoch);
  j.set("random_seed", p.random.seed);
  j.set("random_stream", p.random.stream);
  j.set("random_position", p.random.position);
  return j;
}

RunState progress_from(const Json& j) {
  RunState p;
  p.epoch = j.at("epoch").as_int();
  p.batch = j.at("batch").as_int();
  p.step = j.at("step").as_int();
  p.qat = j.at("qat").as_bool();
  p.loss_sum = j.at("loss_sum").as_double();
  p.seen = j.at("seen").as_int();
  p.hits = j.at("hits").as_int();
  p.skipped_in_row = j.at("skipped_in_row").as_int();
  p.best_top1 = j.at("best_top1").as_double();
  p.best_epoch = j.at("best_epoch").as_int();
  p.random = {j.at("random_seed").as_uint(), j.at("random_stream").as_uint(),
              j.at("random_position").as_uint()};
  return p;
}

// Ten names, then how many more.
std::string listed(const char* title, const std::vector<std::string>& names) {
  if (names.empty()) return "";
  std::string text = str("\n  ", title, ": ");
  for (size_t i = 0; i < names.size() && i < 10; ++i) text += str(i ? ", " : "", names[i]);
  if (names.size() > 10) text += str(" and ", names.size() - 10, " more");
  return text;
}

// Whether all tensors of the list belong to one module: "linear.weight is ...", "linear.bias is
// ...".
bool of_one_module(const std::vector<std::string>& different) {
  const auto module = [](const std::string& text) { return text.substr(0, text.find('.')); };
  return std::all_of(different.begin(), different.end(),
                     [&](const std::string& text) { return module(text) == module(different[0]); });
}

}  // namespace

void save_checkpoint(const std::string& path, const RunState& progress, const Json& settings,
                     const Json& network, const nn::Module& model, const nn::Optimizer& optimizer,
                     const std::vector<NamedTensor>& low_bit) {
  const std::string progress_text = to_json(progress).dump(1), settings_text = settings.dump(1),
                    network_text = network.dump(1);
  TensorTable state("state"), optimizer_state("optimizer"), help("low_bit");
  for (const nn::NamedVariable& v : model.named_state()) state.add(v.name, v.variable.value());
  for (const NamedTensor& t : optimizer.save_state()) optimizer_state.add(t.name, t.tensor);
  std::vector<Section> sections = {Section("progress", std::string_view(progress_text)),
                                   Section("settings", std::string_view(settings_text)),
                                   Section("network", std::string_view(network_text))};
  state.append_sections(sections);
  optimizer_state.append_sections(sections);
  for (const NamedTensor& t : low_bit) help.add(t.name, t.tensor);
  help.append_sections(sections);
  write_section_file(path, kCheckpointMagic, kVersion, sections);
}

Checkpoint load_checkpoint(const std::string& path) {
  const SectionFile file = read_section_file(path, kCheckpointMagic, kVersion);
  Checkpoint c{progress_from(parse_json(file.text("progress"), path)),
               parse_json(file.text("settings"), path),
               parse_json(file.text("network"), path),
               read_tensor_table(file, "state"),
               {},
               {}};
  for (auto& [name, tensor] : read_tensor_table(file, "optimizer"))
    c.optimizer.push_back({name, tensor});
  for (auto& [name, tensor] : read_tensor_table(file, "low_bit"))
    c.low_bit.push_back({name, tensor});
  return c;
}

void restore(const Checkpoint& checkpoint, const nn::Module& model, bool allow_nonfinite) {
  std::vector<std::string> missing, unexpected, different;
  std::map<std::string, Tensor> left = checkpoint.state;
  const std::vector<nn::NamedVariable> own = model.named_state();
  for (const nn::NamedVariable& v : own) {
    const auto found = left.find(v.name);
    if (found == left.end()) {
      missing.push_back(v.name);
      continue;
    }
    const Tensor& value = v.variable.value();
    // Observers start with infinities; only trained values must be numbers.
    if (v.variable.requires_grad() && !allow_nonfinite && nn::first_non_finite(found->second) >= 0)
      throw FormatError(str("checkpoint: tensor '", v.name, "' holds NaN or infinity"),
                        "--allow-nonfinite loads it all the same");
    if (found->second.shape() != value.shape() || found->second.dtype() != value.dtype())
      different.push_back(str(v.name, " is ", found->second, ", model wants ", value));
    left.erase(found);
  }
  for (const auto& [name, tensor] : left) unexpected.push_back(printable(name));
  if (!missing.empty() || !unexpected.empty() || !different.empty())
    throw FormatError("checkpoint: its tensors are those of another network" +
                          listed("missing", missing) + listed("unexpected", unexpected) +
                          listed("different", different),
                      missing.empty() && unexpected.empty() && of_one_module(different)
                          ? "the number of classes differs: give the "
                            "weights with --weights and --reset-head"
                          : "resume with the flags of the run");
  for (const nn::NamedVariable& v : own) {
    Tensor value = v.variable.value();
    value.copy_from(checkpoint.state.at(v.name));
  }
}

std::string state_hash(const nn::Module& model, const nn::Optimizer& optimizer) {
  Hasher hasher;
  const auto add = [&](const std::string& name, const Tensor& t) {
    hasher.update(std::as_bytes(std::span(name)));
    hasher.update({t.raw(), t.bytes()});
  };
  for (const nn::NamedVariable& v : model.named_state()) add(v.name, v.variable.value());
  for (const NamedTensor& t : optimizer.save_state()) add(t.name, t.tensor);
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(hasher.digest()));
  return text;
}

void check_settings(const Json& checkpoint, const Json& run, const std::string& path) {
  std::string differences;
  const auto text = [](const Json* value) { return value == nullptr ? "nothing" : value->dump(); };
  const auto compare = [&](const std::string& key, const Json* before, const Json* now) {
    if (before == nullptr || now == nullptr || !(*before == *now))
      differences += str("\n  ", key, ": checkpoint ", text(before), " | this run ", text(now));
  };
  for (const auto& [key, value] : run.as_object()) compare(key, checkpoint.find(key), &value);
  for (const auto& [key, value] : checkpoint.as_object())
    if (run.find(key) == nullptr) compare(key, &value, nullptr);
  if (!differences.empty())
    throw FormatError(str("checkpoint '", path, "' was made with other settings:", differences),
                      "resume with the flags of that run");
}

}  // namespace stair::apps
