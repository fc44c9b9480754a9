// Files with torch's quantized tensors, and the networks in them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "apps/weights/read_weights.h"
#include "nn/graph/capture.h"
#include "nn/model.h"
#include "qat/int8/from_torch.h"
#include "qat/int8/session.h"
#include "tests/apps/child_program.h"
#include "tests/apps/weights/pth_maker.h"

namespace stair::apps {
namespace {

using support::TemporaryFolder;

const std::string kFolder = std::string(STAIR_SOURCE_DIR) + "/tests/golden/torch_quantized/";

nn::Graph network(const std::string& name) {
  nn::ModelOptions options;
  options.num_classes = 10;
  options.width = name == "resnet18" ? 0.0625 : 0.25;
  options.relu6 = false;
  options.inverted_residual_setting = {{1, 8, 1, 1}, {6, 16, 2, 2}, {6, 24, 2, 2}};
  const auto model = nn::find_model(name).build(options);
  return nn::capture(*model, autograd::Variable(Tensor::zeros({1, 32, 32, 3}, DType::f32)));
}

// (pixel / 64 - 2), as the script that made the files did it.
Tensor pictures_of(const SafeTensors& golden) {
  const Tensor& pixels = golden.at("pixels");
  Tensor x = Tensor::empty(pixels.shape(), DType::f32);
  std::transform(pixels.data<uint8_t>(), pixels.data<uint8_t>() + pixels.numel(), x.data<float>(),
                 [](uint8_t pixel) { return static_cast<float>(pixel) / 64 - 2; });
  return x;
}

int64_t best(const Tensor& logits, int64_t row) {
  const float* begin = logits.data<float>() + row * logits.size(1);
  return std::max_element(begin, begin + logits.size(1)) - begin;
}

struct CodeCounts {
  int64_t all = 0, different = 0, largest = 0;
};
CodeCounts compare_codes(const Tensor& ours, const Tensor& torchs) {
  CodeCounts counts{ours.numel()};
  for (int64_t i = 0; i < ours.numel(); ++i) {
    const int64_t d = std::abs(int64_t{ours.data<uint8_t>()[i]} - torchs.data<uint8_t>()[i]);
    counts.different += d != 0 ? 1 : 0;
    counts.largest = std::max(counts.largest, d);
  }
  return counts;
}

TEST(TorchQuantizedGolden, LayersHaveTorchsCodesAndPicturesItsClasses) {
  for (const std::string name : {"resnet18", "mobilenet_v2"}) {
    qat::Int8Session session(
        qat::int8_from_torch(network(name), read_weights(kFolder + name + ".pth")));
    const SafeTensors golden = read_safetensors(kFolder + name + ".safetensors");
    const Tensor x = pictures_of(golden), logits = session.run(x);
    for (int64_t i = 0; i < x.size(0); ++i)
      EXPECT_EQ(best(logits, i), best(golden.at("logits"), i)) << name << ' ' << i;
    CodeCounts total;
    int layers = 0;
    for (const SafeTensors::Entry& entry : golden.tensors) {
      if (!entry.name.starts_with("codes.")) continue;
      const std::string layer = entry.name.substr(6);
      const Tensor ours = session.node_value(x.slice(0, 1), layer),
                   torchs = entry.tensor.slice(0, 1);
      ASSERT_EQ(ours.shape(), torchs.shape()) << layer;
      const CodeCounts counts = compare_codes(ours, torchs);
      EXPECT_LE(counts.largest, 1) << name << ' ' << layer;
      total.all += counts.all;
      total.different += counts.different;
      ++layers;
    }
    EXPECT_GE(layers, 17) << name;
    EXPECT_LT(total.different * 1000, total.all) << name;
  }
}

Tensor read_one(const std::string& tensor, const std::vector<std::string>& storages) {
  const TemporaryFolder folder;
  const std::string path = folder / "t.pth";
  pth::write_zip(path, pth::records(pth::pickle(pth::dict({{"w", tensor}})), storages));
  return read_weights(path).tensors.at(0).tensor;
}

template <class T>
std::string bytes(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

const std::string kPerTensor = pth::global("torch", "per_tensor_affine"),
                  kPerChannel = pth::global("torch", "per_channel_affine");
const std::string kCodes = pth::storage("QInt8Storage", "0", 4);

std::string per_channel(const std::string& scales, const std::string& zero_points, int64_t axis) {
  return pth::quantized_tensor(kCodes, {2, 2},
                               {kPerChannel, scales, zero_points, pth::integer(axis)});
}
std::string scales_of(int64_t count) {
  return pth::tensor(pth::storage("DoubleStorage", "1", count), 0, {count}, {1});
}
std::string zero_points_of(int64_t count) {
  return pth::tensor(pth::storage("LongStorage", "2", count), 0, {count}, {1});
}

TEST(TorchQuantized, CodesKeepTheirScalesAndZeroPoints) {
  const std::string codes = bytes<int8_t>({-128, 0, 1, 127});
  const std::string quint8 = pth::storage("QUInt8Storage", "0", 4);
  const Tensor plain = read_one(
      pth::quantized_tensor(quint8, {4}, {kPerTensor, pth::real(0.25), pth::integer(3)}), {codes});
  EXPECT_EQ(plain.dtype(), DType::u8);
  EXPECT_EQ(plain.data<uint8_t>()[0], 128);
  EXPECT_EQ(plain.qparams(), (QParams{{0.25F}, {3}, -1, 0, 255}));
  const Tensor channels = read_one(per_channel(scales_of(2), zero_points_of(2), 1),
                                   {codes, bytes<double>({0.5, 2}), bytes<int64_t>({0, -7})});
  EXPECT_EQ(channels.data<int8_t>()[0], -128);
  EXPECT_EQ(channels.qparams(), (QParams{{0.5F, 2}, {0, -7}, 1, -128, 127}));
}

TEST(TorchQuantizedGolden, TorchsOwnFilesAreRead) {
  const std::string folder = std::string(STAIR_SOURCE_DIR) + "/tests/golden/pth/";
  const Tensor plain = read_weights(folder + "quantized.pth").tensors.at(0).tensor,
               channels = read_weights(folder + "quantized_channel.pth").tensors.at(0).tensor;
  EXPECT_EQ(bytes<int8_t>({2, 0, 0, 4}), std::string(reinterpret_cast<char*>(plain.raw()), 4));
  EXPECT_EQ(plain.qparams(), (QParams{{0.5F}, {0}, -1, -128, 127}));
  EXPECT_EQ(bytes<int8_t>({2, 0, 0, 2}), std::string(reinterpret_cast<char*>(channels.raw()), 4));
  EXPECT_EQ(channels.qparams(), (QParams{{0.5F, 1}, {0, 0}, 0, -128, 127}));
}

void expect_unreadable(const std::string& tensor, const std::string& reason, double scale = 1,
                       int64_t zero_point = 0) {
  try {
    (void)read_one(
        tensor, {std::string(4, '\1'), bytes<double>({1, scale}), bytes<int64_t>({0, zero_point})});
    ADD_FAILURE() << "read, expected: " << reason;
  } catch (const FormatError& error) {
    EXPECT_NE(std::string(error.what()).find("tensor 'w': " + reason), std::string::npos)
        << error.what();
  }
}

TEST(TorchQuantizedFault, QuantizersThatMakeNoSenseAreNamed) {
  const auto plain = [](double scale, int64_t zero_point) {
    return pth::quantized_tensor(kCodes, {4},
                                 {kPerTensor, pth::real(scale), pth::integer(zero_point)});
  };
  expect_unreadable(plain(0, 0), "scale 0 of channel 0 is not positive and finite");
  expect_unreadable(plain(1e300, 0), "scale 1e+300 of channel 0 is not positive and finite");
  expect_unreadable(plain(1, 128), "zero point 128 of channel 0 is outside [-128,127]");
  const std::string good = per_channel(scales_of(2), zero_points_of(2), 0);
  expect_unreadable(good, "scale -1 of channel 1 is not positive and finite", -1);
  expect_unreadable(good, "zero point -129 of channel 1 is outside [-128,127]", 1, -129);
  expect_unreadable(per_channel(scales_of(2), zero_points_of(2), 2),
                    "its scales lie along dimension 2 of [2,2]");
  expect_unreadable(per_channel(scales_of(1), zero_points_of(2), 0),
                    "its scales are F64 [1] for 2 channels");
  expect_unreadable(per_channel(zero_points_of(2), zero_points_of(2), 0),
                    "its scales are I64 [2] for 2 channels");
  expect_unreadable(per_channel(good, zero_points_of(2), 0), "a quantized tensor in another");
  expect_unreadable(pth::quantized_tensor(kCodes, {4}, {pth::global("torch", "quint4x2")}),
                    "its quantization is torch.quint4x2");
  expect_unreadable(pth::quantized_tensor(kCodes, {4}, {}), "argument 0 is no quantization scheme");
  expect_unreadable(pth::tensor(kCodes, 0, {4}, {1}), "made by torch._utils._rebuild_tensor_v2 of");
  const std::string chars = pth::storage("CharStorage", "0", 4);
  expect_unreadable(pth::quantized_tensor(chars, {4}, {kPerTensor, pth::real(1), pth::integer(0)}),
                    "made by torch._utils._rebuild_qtensor of a storage CharStorage");
}

nn::Weights resnet18() {
  return read_weights(kFolder + "resnet18.pth");
}
Tensor& tensor_of(nn::Weights& weights, const std::string& name) {
  return std::find_if(weights.tensors.begin(), weights.tensors.end(),
                      [&](const NamedTensor& t) { return t.name == name; })
      ->tensor;
}

void expect_refused(const nn::Weights& weights, const std::string& reason) {
  try {
    (void)qat::int8_from_torch(network("resnet18"), weights);
    ADD_FAILURE() << "imported, expected: " << reason;
  } catch (const FormatError& error) {
    EXPECT_NE(std::string(error.what()).find(reason), std::string::npos) << error.what();
  }
}

TEST(TorchQuantizedFault, StateDictsOfAnotherNetworkAreNamed) {
  nn::Weights weights = resnet18();
  const auto without = [&](const std::string& name) {
    nn::Weights rest = weights;
    std::erase_if(rest.tensors, [&](const NamedTensor& t) { return t.name == name; });
    return rest;
  };
  for (const std::string name : {"quant.scale", "conv1.weight", "layer2.0.downsample.0.scale",
                                 "layer3.1.conv2.zero_point", "fc.weight"})
    expect_refused(without(name), "there is no '" + name + "'");
  expect_refused(without("layer4.0.add_relu.scale"), "'layer4.0.NAME.scale'");
  nn::Weights more = weights;
  more.tensors.push_back({"layer5.0.conv1.weight", tensor_of(weights, "conv1.weight")});
  expect_refused(more, "1 tensors that the network has not: layer5.0.conv1.weight");
  const auto with = [&](const std::string& name, const Tensor& tensor) {
    nn::Weights changed = weights;
    tensor_of(changed, name) = tensor;
    return changed;
  };
  const Tensor conv1 = tensor_of(weights, "conv1.weight");
  expect_refused(with("layer1.0.conv1.weight", conv1),
                 "'layer1.0.conv1.weight' is [4,3,7,7] s8, expected [4,4,3,3]");
  expect_refused(with("conv1.weight", Tensor::zeros(conv1.shape(), DType::f32)),
                 "'conv1.weight' is [4,3,7,7] f32, expected a qint8 tensor");
  QParams p = conv1.qparams();
  p.zero_point[2] = 5;
  expect_refused(with("conv1.weight", conv1.with_qparams(p)), "has the zero point 5");
  p = {{1, 1, 1}, {0, 0, 0}, 1, -128, 127};
  expect_refused(with("conv1.weight", conv1.with_qparams(p)), "has scales along dimension 1");
  expect_refused(with("fc.scale", Tensor::full<float>({1}, 0)), "scale 0 is not positive");
  expect_refused(with("fc.scale", conv1), "'fc.scale' is [4,3,7,7] s8, expected one f32");
  expect_refused(with("fc.zero_point", Tensor::full<int64_t>({1}, 256)), "is 256, not a u8 code");
  expect_refused(with("fc.bias", Tensor::zeros({3}, DType::f32)), "bias [3] f32 for 10 channels");
}

TEST(TorchQuantizedJob, ProgramsRunThemAndExportWritesTheInt8File) {
  const TemporaryFolder folder;
  const std::string pth = kFolder + "resnet18.pth", int8 = folder / "r.int8";
  const Flags model = {{"--model", "resnet18"}, {"--width", "0.0625"}, {"--val-crop-size", "32"}};
  Flags first = model, second = {{"--val-crop-size", "32"}, {"--val-resize-size", "32"}};
  first.insert({"--val-resize-size", "32"});
  first.insert({"--logits", folder / "logits"});
  second.insert({"--expect-logits", folder / "logits"});
  expect_ended(eval(pth, first), 0, {});
  const std::vector<std::string> export_flags = {"--model", "resnet18",      "--width",
                                                 "0.0625",  "--num-classes", "10"};
  std::vector<std::string> arguments = {pth, int8};
  arguments.insert(arguments.end(), export_flags.begin(), export_flags.end());
  expect_ended(run_child("qat_export", arguments), 0, {});
  expect_ended(eval(int8, second), 0, {});
  arguments.push_back("--int4");
  arguments.push_back("--overwrite");
  expect_ended(run_child("qat_export", arguments), 2, {"is no ONNX file"});
  expect_ended(train(folder / "run", {{"--model", "resnet18"}, {"--weights", pth}}), 4,
               {"holds the integers of a quantized network", "hint: "});
}

}  // namespace
}  // namespace stair::apps
