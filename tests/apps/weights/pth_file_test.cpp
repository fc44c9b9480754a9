// Files that torch.save wrote give the tensors that torch had.
#include "apps/weights/pth_file.h"

#include <gtest/gtest.h>

#include "apps/weights/read_weights.h"
#include "core/file.h"
#include "nn/model.h"
#include "tests/apps/child_program.h"
#include "tests/apps/weights/pth_maker.h"
#include "tests/support/golden.h"
#include "tests/support/real_files.h"

namespace stair::apps {
namespace {

using pth::torch_file;
using support::TemporaryFolder;
using test::GoldenCase;

bool equal(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         std::memcmp(a.raw(), b.raw(), a.bytes()) == 0;
}

void expect_scalar(const PickleValue& value, const Json& want, const std::string& path) {
  const double number = value.kind == PickleKind::real ? value.real : double(value.integer);
  const std::string shown = value.kind == PickleKind::none   ? "null"
                            : value.kind == PickleKind::text ? "text " + std::string(value.text)
                                                             : std::to_string(number);
  const std::string wanted = want.is_null()     ? "null"
                             : want.is_string() ? "text " + want.as_string()
                             : want.is_bool()   ? std::to_string(want.as_bool() ? 1.0 : 0.0)
                                                : std::to_string(want.as_double());
  EXPECT_EQ(shown, wanted) << path;
}

// Tensors and scalars at every place of the file.
void check_checkpoint(GoldenCase& c) {
  const std::string path =
      test::golden_folder() + "/" + c.attrs().at("file_checkpoint").as_string();
  if (c.attrs().at("container").as_string() != "zip") {
    EXPECT_THROW((void)read_weights(path), FormatError);
    return c.leave_rest();
  }
  PthFile file(path);
  constexpr std::string_view kOutputs = "outputs ";
  for (const std::string& unchecked : c.unchecked()) {
    const std::string role = unchecked.substr(kOutputs.size());
    c.expect_output(role, file.tensor(role));
  }
  for (const auto& [place, want] : c.attrs().at("scalars").as_object()) {
    const PickleValue& value = file.at(place);
    if (!want.is_array()) {
      expect_scalar(value, want, place);
      continue;
    }
    ASSERT_EQ(value.items.size(), want.size()) << place;
    for (size_t i = 0; i < want.size(); ++i) {
      const std::string member = place + "/" + std::to_string(i);
      expect_scalar(file.at(member), want.at(i), member);
    }
  }
}

void expect_tensors(const std::string& pth, const std::string& safetensors) {
  const nn::Weights got = read_weights(torch_file(pth)),
                    want = nn::read_weights(torch_file(safetensors));
  EXPECT_EQ(got.tensors.size(), want.tensors.size());
  for (const NamedTensor& w : want.tensors) {
    const auto it = std::find_if(got.tensors.begin(), got.tensors.end(),
                                 [&](const NamedTensor& g) { return g.name == w.name; });
    ASSERT_NE(it, got.tensors.end()) << w.name;
    EXPECT_TRUE(equal(it->tensor, w.tensor)) << w.name;
  }
}

TEST(PthGolden, EveryTensorOfTheCheckpointsIsFound) {
  test::run_golden_group("checkpoints", {{"torch_checkpoint", check_checkpoint}});
}

TEST(PthFault, P17ViewsSharedAndTransposedStoragesGiveTorchsValues) {
  expect_tensors("views.pth", "views.safetensors");
}

TEST(PthFault, P11DeflatedRecordsAreAccepted) {
  expect_tensors("deflated.pth", "training.safetensors");
}

TEST(PthFault, P04TheWeightsOfATrainingCheckpointLoadAndTheRestIsListed) {
  expect_tensors("training.pth", "training.safetensors");
  const std::vector<std::string> notes = read_weights(torch_file("training.pth")).notes;
  ASSERT_EQ(notes.size(), 1U);
  EXPECT_EQ(notes[0],
            "left out, no tensors: optimizer (dict), epoch (integer), args (argparse.Namespace), "
            "best (numpy._core.multiarray.scalar), recipe (__main__.Recipe), losses (list), counts "
            "(collections.Counter)");
}

TEST(PthFile, AKeyChoosesADictionaryAtAnyDepth) {
  PthFile file(torch_file("training.pth"));
  EXPECT_EQ(file.weights("model").tensors.size(), 9U);
  EXPECT_EQ(file.weights("optimizer/state/0").tensors.size(), 1U);
}

TEST(PthFile, SixteenAndSixtyFourBitRealsBecomeF32) {
  const std::vector<std::string> notes = read_weights(torch_file("views.pth")).notes;
  EXPECT_EQ(notes, (std::vector<std::string>{"1 tensors converted from BF16 to F32",
                                             "1 tensors converted from F16 to F32",
                                             "1 tensors converted from F64 to F32"}));
}

std::string in_checkpoint(const std::string& dict) {
  return pth::dict({{"epoch", pth::integer(3)}, {"state_dict", dict}});
}

TEST(PthJob, EveryProgramScoresThemAsItScoresSafetensors) {
  const TemporaryFolder folder;
  const auto model = nn::find_model("resnet20").build({.num_classes = 10, .seed = 5});
  nn::save_weights(folder / "w.safetensors", *model);
  pth::write_pth(folder / "w.pth", nn::state_dict(*model), "module._orig_mod.", in_checkpoint);
  const Flags small = {{"--model", "resnet20"}, {"--val-crop-size", "16"}};
  Flags first = small, second = small;
  first.insert({"--logits", folder / "logits"});
  second.insert({"--expect-logits", folder / "logits"});
  expect_ended(eval(folder / "w.safetensors", first), 0, {});
  expect_ended(eval(folder / "w.pth", second), 0,
               {"left out, no tensors: epoch (integer)", "prefix 'module._orig_mod.' taken off"});
  second.insert({"--weights-key", "state_dict"});
  expect_ended(eval(folder / "w.pth", second), 0, {});
  expect_ended(train(folder / "run", {{"--weights", folder / "w.pth"}, {"--epochs", "1"}}), 0,
               {"prefix 'module._orig_mod.' taken off"});
  expect_ended(run_child("qat_ptq", {"--model", "resnet20", "--weights", folder / "w.pth",
                                     "--weights-key", "stat_dict", "--output", folder / "o.int8"}),
               4, {"it holds no 'stat_dict'; it holds epoch (integer), state_dict (dict)"});
  second["--weights-key"] = "x";
  expect_ended(eval(folder / "w.safetensors", second), 2, {"--weights-key 'x' needs a .pth file"});
}

TEST(WeightsJobFault, O09AnOnnxFileIsNoFileOfWeights) {
  expect_ended(eval(std::string(STAIR_SOURCE_DIR) + "/tests/golden/qdq_convnet.onnx",
                    {{"--model", "resnet20"}}),
               4, {"qdq_convnet.onnx': its header", "is it a safetensors file?"});
}

TEST(RealWeights, TheZipFormOfResnet20IsItsSafetensors) {
  const std::string pth = support::shared_file("models/resnet20_zip.pth");
  if (pth.empty()) GTEST_SKIP() << "no real weights: STAIR_SHARED names no folder with models/";
  const auto a = nn::find_model("resnet20").build({}), b = nn::find_model("resnet20").build({});
  nn::load_weights(*a, read_weights(pth));
  nn::load_weights(*b, support::shared_file("models/resnet20.safetensors"));
  const auto left = nn::state_dict(*a), right = nn::state_dict(*b);
  for (size_t i = 0; i < left.size(); ++i)
    EXPECT_TRUE(equal(left[i].tensor, right[i].tensor)) << left[i].name;
}

}  // namespace
}  // namespace stair::apps
