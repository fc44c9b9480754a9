// The rows of group P of the fault table: files that are damaged, made to do harm, or of a kind
// that is not read.
#include <gtest/gtest.h>

#include <algorithm>

#include "apps/weights/read_weights.h"
#include "core/file.h"
#include "core/random.h"
#include "tests/apps/weights/pth_maker.h"
#include "tests/support/temporary_folder.h"

namespace stair::apps {
namespace {

using pth::torch_file;
using pth::ZipRecord;
using support::TemporaryFolder;

// What reading says after the path, or "" when all is well.
std::string outcome(const std::string& path, const std::string& key = "") {
  try {
    (void)read_weights(path, key);
    return "";
  } catch (const FormatError& error) {
    const std::string what = error.what(), start = "cannot read '" + path + "': ";
    EXPECT_TRUE(what.starts_with(start)) << what;
    return what.substr(start.size());
  }
}

std::string outcome_of(const std::vector<ZipRecord>& records, const std::string& key = "") {
  static const TemporaryFolder folder;
  pth::write_zip(folder / "t.pth", records);
  return outcome(folder / "t.pth", key);
}

// Of a stream after its protocol.
std::string outcome_of_stream(const std::string& operations) {
  return outcome_of(pth::records("\x80\x02" + operations, {}));
}

// A dictionary of one tensor 'w' on a storage of `bytes`.
std::string outcome_of_view(const std::string& tensor, size_t bytes) {
  return outcome_of(
      pth::records(pth::pickle(pth::dict({{"w", tensor}})), {std::string(bytes, '\0')}));
}

const std::string kFloats = pth::storage("FloatStorage", "0", 6);
const std::string kGood = pth::tensor(kFloats, 0, {2, 3}, {3, 1});

TEST(PthFault, TheGoodFileIsRead) {
  EXPECT_EQ(outcome_of_view(kGood, 24), "");
}

TEST(PthFault, P01OlderFormsAreNeverParsed) {
  const TemporaryFolder folder;
  const std::string old = ", as torch.save wrote before version 1.6";
  EXPECT_EQ(outcome(torch_file("legacy.pth")), "it is a bare pickle" + old);
  EXPECT_EQ(outcome(folder.put("tar", std::string(257, 'x') + "ustar" + std::string(250, 'x'))),
            "it is a tar file" + old);
}

TEST(PthFault, P02TorchScriptIsRecognised) {
  EXPECT_EQ(outcome(torch_file("script.pth")), "it is a TorchScript program, not weights");
  EXPECT_EQ(outcome_of({{"w/data.pkl", pth::pickle("}")}, {"w/code/x.py", ""}}),
            "it is a TorchScript program, not weights");
  EXPECT_EQ(outcome_of({{"hello.txt", "hello"}}),
            "it is a zip file without data.pkl, so torch.save did not write it");
}

TEST(PthFault, P03ASystemCommandIsNamedAndNothingRuns) {
  const TemporaryFolder folder;
  const std::string proof = folder / "proof";
  for (const auto& [module, name] :
       std::vector<std::pair<std::string, std::string>>{{"os", "system"},
                                                        {"posix", "system"},
                                                        {"subprocess", "Popen"},
                                                        {"builtins", "eval"},
                                                        {"__builtin__", "exec"},
                                                        {"importlib", "import_module"},
                                                        {"os.path", "join"}})
    EXPECT_EQ(outcome_of_stream(pth::dict({{"w", pth::call(pth::global(module, name),
                                                           {pth::text("touch " + proof)})}}) +
                                "."),
              "data.pkl: byte 10: it names '" + module + "." + name +
                  "', which no weights need; nothing was run");
  EXPECT_FALSE(file_exists(proof));
}

TEST(PthFault, P05OtherProtocolsAndOperationsAreNamed) {
  EXPECT_EQ(outcome(torch_file("protocol4.pth")), "data.pkl: byte 0: protocol 4, only 2 is read");
  EXPECT_EQ(outcome_of_stream("}\x95."), "data.pkl: byte 3: unknown operation 0x95");
  EXPECT_EQ(outcome_of_stream("ios\nsystem\n."), "data.pkl: byte 2: unknown operation 0x69");
  EXPECT_EQ(outcome_of({{"w/data.pkl", ""}}), "data.pkl: byte 0: it is no pickle of protocol 2");
}

TEST(PthFault, P06BrokenStreams) {
  EXPECT_EQ(outcome_of_stream("}"), "data.pkl: byte 3: the stream is cut");
  EXPECT_EQ(outcome_of_stream("X\xff\xff\xff\xffw."), "data.pkl: byte 2: the stream is cut");
  EXPECT_EQ(outcome_of_stream("cos"), "data.pkl: byte 2: the stream is cut");
  EXPECT_EQ(outcome_of_stream("."),
            "data.pkl: byte 2: the stack is empty, the value of the stream was expected");
  EXPECT_EQ(outcome_of_stream("N\x86."),
            "data.pkl: byte 3: the stack is empty, a member of a tuple was expected");
  EXPECT_EQ(outcome_of_stream("]}("  // the dict is below the mark
                              "NNs."),
            "data.pkl: byte 7: the stack is empty, a dict was expected");
  EXPECT_EQ(outcome_of_stream("}u."), "data.pkl: byte 3: there is no mark on the stack");
  EXPECT_EQ(outcome_of_stream("h\x05."), "data.pkl: byte 2: memo slot 5 holds nothing");
  EXPECT_EQ(outcome_of_stream("}}."), "data.pkl: byte 4: values are left on the stack");
  EXPECT_EQ(outcome_of_stream("}.N"), "data.pkl: byte 3: 1 bytes follow the end");
  EXPECT_EQ(outcome_of_stream("\x8a\x09"
                              "123456789."),
            "data.pkl: byte 2: an integer of 9 bytes, at most 8 are known");
}

TEST(PthFault, P07OperandsOfTheWrongType) {
  EXPECT_EQ(outcome_of_stream("]NNs."), "data.pkl: byte 5: an item is set in what is no dict");
  EXPECT_EQ(outcome_of_stream("](NNu."), "data.pkl: byte 6: an item is set in what is no dict");
  EXPECT_EQ(outcome_of_stream("}(Nu."), "data.pkl: byte 5: a key without a value");
  EXPECT_EQ(outcome_of_stream("}Na."),
            "data.pkl: byte 4: something is appended to what is no list");
  EXPECT_EQ(outcome_of_stream(")(Ne."),
            "data.pkl: byte 5: something is appended to what is no list");
  for (const std::string& target : {std::string("]"), std::string("N"), kGood})
    EXPECT_TRUE(
        outcome_of_stream(target + "}b.").ends_with("a state is given to what is no object"));
  EXPECT_EQ(outcome_of_stream("N)R."), "data.pkl: byte 4: what is called is no named function");
  EXPECT_EQ(outcome_of_stream("ctorch\nx\n]R."),
            "data.pkl: byte 12: the arguments of a call are no tuple");
  EXPECT_EQ(outcome_of_stream("]Q."), "data.pkl: byte 3: a persistent id is no tuple");
}

TEST(PthFault, P08AStorageOfAnotherSizeThanItsElements) {
  EXPECT_EQ(outcome_of_view(kGood, 20),
            "tensor 'w': 6 elements F32 do not make the 20 bytes of 'w/data/0'");
  EXPECT_EQ(outcome_of_view(kGood, 28),
            "tensor 'w': 6 elements F32 do not make the 28 bytes of 'w/data/0'");
  const std::string wraps = pth::storage("FloatStorage", "0", (int64_t{1} << 62) + 6);
  EXPECT_EQ(outcome_of_view(pth::tensor(wraps, 0, {2, 3}, {3, 1}), 24),
            "tensor 'w': 4611686018427387910 elements F32 do not make the 24 bytes of 'w/data/0'");
}

TEST(PthFault, P09ViewsThatLeaveTheirStorage) {
  const auto view = [](int64_t offset, const std::vector<int64_t>& size,
                       const std::vector<int64_t>& strides) {
    return outcome_of_view(pth::tensor(kFloats, offset, size, strides), 24);
  };
  const int64_t huge = int64_t{1} << 61;
  EXPECT_EQ(view(-1, {2, 3}, {3, 1}), "tensor 'w': its offset is -1");
  EXPECT_EQ(view(0, {2, 3}, {-3, 1}), "tensor 'w': its strides holds what is no integer from 0 on");
  EXPECT_EQ(view(0, {2, -3}, {3, 1}), "tensor 'w': its size holds what is no integer from 0 on");
  EXPECT_EQ(view(0, {2, 3}, {3}), "tensor 'w': 1 strides for the shape [2,3]");
  const std::string beyond = " reaches beyond its storage of 6 elements";
  EXPECT_EQ(view(1, {2, 3}, {3, 1}), "tensor 'w': shape [2,3] at offset 1" + beyond);
  EXPECT_EQ(view(0, {2, 3}, {4, 1}), "tensor 'w': shape [2,3] at offset 0" + beyond);
  EXPECT_EQ(view(7, {0}, {1}), "tensor 'w': shape [0] at offset 7" + beyond);
  EXPECT_TRUE(view(0, {5, 3}, {huge, 1}).ends_with(beyond));
  EXPECT_TRUE(view(INT64_MAX, {2}, {1}).ends_with(beyond));
  EXPECT_TRUE(view(0, {huge, huge}, {0, 0}).ends_with(beyond));
  EXPECT_EQ(view(6, {0}, {1}), "");
  EXPECT_EQ(view(0, {0, huge}, {1, 1}),
            "tensor 'w': shape [0,2305843009213693952] at offset 0" + beyond);
}

TEST(PthFault, ExpandedViewsTakeBoundedMemory) {
  const std::string one = pth::storage("FloatStorage", "0", 1);
  EXPECT_EQ(outcome_of_view(pth::tensor(one, 0, {1000, 3}, {0, 0}), 4), "");
  EXPECT_EQ(outcome_of_view(pth::tensor(one, 0, {100000, 100000}, {0, 0}), 4),
            "tensor 'w' of 40000000000 bytes takes the tensors beyond four times the file");
}

TEST(PthFault, P10KeysAreLookedUpInTheArchiveAlone) {
  for (const std::string key : {"../../etc/passwd", "/etc/passwd", "1", ""})
    EXPECT_EQ(
        outcome_of_view(pth::tensor(pth::storage("FloatStorage", key, 6), 0, {2, 3}, {3, 1}), 24),
        "tensor 'w': there is no record 'w/data/" + key + "'");
}

TEST(PthFault, P12RecordsThatDeclareMoreThanThereIs) {
  std::vector<ZipRecord> good =
      pth::records(pth::pickle(pth::dict({{"w", kGood}})), {std::string(24, '\0')});
  std::vector<ZipRecord> larger = good, packed = good, deflated = good, overlapping = good;
  larger[2].size = larger[2].packed_size = uint64_t{3} << 30;
  EXPECT_EQ(outcome_of(larger), "zip: Not a zip archive");
  packed[2].size = uint64_t{3} << 30;
  EXPECT_EQ(outcome_of(packed), "record 'w/data/0' of 24 bytes would unpack to 3221225472");
  deflated[2].size = uint64_t{3} << 30;
  deflated[2].method = 8;
  EXPECT_EQ(outcome_of(deflated), "record 'w/data/0' of 24 bytes would unpack to 3221225472");
  for (int i = 0; i < 40; ++i) {
    overlapping.push_back(overlapping[0]);
    overlapping.back().at_record_before = true;
  }
  EXPECT_NE(outcome_of(overlapping), "");
  good[2].method = 12;
  EXPECT_EQ(outcome_of(good), "record 'w/data/0' is packed by method 12");
}

TEST(PthFault, P13TwoRecordsOfOneNameAndHeadersThatDiffer) {
  std::vector<ZipRecord> twice =
      pth::records(pth::pickle(pth::dict({{"w", kGood}})), {std::string(24, '\0')});
  std::vector<ZipRecord> renamed = twice;
  twice.push_back(twice[2]);
  EXPECT_EQ(outcome_of(twice), "zip: two records have the same name");
  renamed[2].name = "w/data/1";
  renamed[2].central_name = "w/data/0";
  EXPECT_EQ(outcome_of(renamed), "zip: Zip archive inconsistent");
}

TEST(PthFault, P14FilesBeyondFourGibibytesLoad) {
  std::vector<ZipRecord> records = {{"w/hole", "x"}};
  records[0].hole = (uint64_t{1} << 32) + 5;
  for (ZipRecord& r : pth::records(pth::pickle(pth::dict({{"w", kGood}})), {std::string(24, '\0')}))
    records.push_back(std::move(r));
  EXPECT_EQ(outcome_of(records), "");
}

TEST(PthFault, P15OneFlippedBitOfAWeight) {
  const TemporaryFolder folder;
  std::string bytes = read_file(torch_file("training.pth"), 1 << 20, FileUse::model);
  // The data follow the name and an extra field, whose length is before the name.
  const std::string name = "training/data/0";
  const size_t record = bytes.find(name);
  bytes[record + name.size() + static_cast<unsigned char>(bytes[record - 2]) + 7] ^= 4;
  EXPECT_EQ(outcome(folder.put("f", bytes)), "record 'training/data/0': CRC error");
}

TEST(PthFault, P16BigEndianFiles) {
  std::vector<ZipRecord> big =
      pth::records(pth::pickle(pth::dict({{"w", kGood}})), {std::string(24, '\0')});
  big[1].data = "big";
  EXPECT_EQ(outcome_of(big), "its byte order is 'big', only little can be read");
  big[1].data = std::string(1000, 'x');
  EXPECT_TRUE(outcome_of(big).starts_with("its byte order is "));
}

TEST(PthFault, P18TensorsOfOtherKindsAreNamed) {
  const std::map<std::string, std::string> makers = {{"sparse", "_rebuild_sparse_tensor"},
                                                     {"meta", "_rebuild_meta_tensor_no_storage"}};
  for (const auto& [file, maker] : makers)
    EXPECT_EQ(outcome(torch_file(file + ".pth")),
              "tensor 'w': made by torch._utils." + maker +
                  "; dense tensors alone can be read (no sparse, complex or meta ones)");
  for (const std::string& type : {std::string("complex"), std::string("short")})
    EXPECT_TRUE(
        outcome(torch_file(type + ".pth")).starts_with("tensor 'w': its values are of torch."));
}

TEST(PthFault, P19TensorsOfAGpuLoadToHostMemory) {
  const std::string cuda = pth::storage("FloatStorage", "0", 6, "cuda:3");
  EXPECT_EQ(outcome_of_view(pth::tensor(cuda, 0, {2, 3}, {3, 1}), 24), "");
}

TEST(PthFault, P21SeveralDictionariesAreListed) {
  const std::string two = pth::dict({{"epoch", pth::integer(1)},
                                     {"model", pth::dict({{"w", kGood}})},
                                     {"state_dict_ema", pth::dict({{"w", kGood}})}});
  const auto records = pth::records(pth::pickle(two), {std::string(24, '\0')});
  EXPECT_EQ(outcome_of(records), "several dictionaries hold tensors: model, state_dict_ema");
  EXPECT_EQ(outcome_of(records, "state_dict_ema"), "");
  EXPECT_EQ(outcome_of(records, "epoch"), "'epoch' holds no tensors but is integer");
  EXPECT_EQ(outcome_of(records, "model/v"),
            "it holds no 'model/v'; it holds epoch (integer), model (dict), state_dict_ema (dict)");
}

TEST(PthFault, P22NothingInIt) {
  EXPECT_EQ(outcome_of_stream("}."), "it holds no tensors, only nothing");
  EXPECT_EQ(outcome_of_stream(pth::dict({{"state_dict", "}"}}) + "."),
            "it holds no tensors, only state_dict (dict)");
  EXPECT_EQ(outcome_of_stream("]."), "it holds no tensors, only list");
}

TEST(PthFault, ManyValuesAndDeepNestingAreBounded) {
  EXPECT_EQ(outcome_of_stream(std::string(1'000'001, 'N')),
            "data.pkl: byte 1000002: more than "
            "1000000 values");
  EXPECT_EQ(outcome_of_stream("N" + std::string(1'000'001, '2')),
            "data.pkl: byte 1000002: more than 1000000 values on the stack");
  EXPECT_EQ(outcome_of_stream(std::string(1'000'001, '(')),
            "data.pkl: byte 1000002: more than 1000000 marks");
  // 500,000 tuples in each other; a list and a dict that hold themselves.
  EXPECT_EQ(outcome_of_stream("N" + std::string(500'000, '\x85') + "."),
            "it holds no tensors, only tuple");
  EXPECT_EQ(outcome_of_stream("]q\x01h\x01"
                              "a."),
            "it holds no tensors, only list");
  EXPECT_EQ(outcome_of_stream("}q\x01" + pth::text("a") + "h\x01s."),
            "it holds no tensors, only a (dict)");
}

TEST(PthFault, AParameterRoundAParameterIsRefused) {
  std::string value = kGood;
  const auto wrapped = [](const std::string& data) {
    return pth::call(pth::global("torch._utils", "_rebuild_parameter"), {data, "\x89", "}"});
  };
  EXPECT_EQ(outcome_of_view(wrapped(value), 24), "");
  for (int i = 0; i < 50; ++i) value = wrapped(value);
  EXPECT_EQ(outcome_of_view(value, 24), "tensor 'w': a parameter of parameters");
}

// Names and bytes of all tensors.
std::string content(const nn::Weights& weights) {
  std::string out;
  for (const NamedTensor& t : weights.tensors)
    out += t.name + std::string(reinterpret_cast<const char*>(t.tensor.raw()), t.tensor.bytes());
  return out;
}

// Reads damaged bytes: an error, or all that was in the whole file.
void expect_error_or_same(const std::string& bytes, const std::string& whole) {
  static const TemporaryFolder folder;
  try {
    EXPECT_EQ(content(read_weights(folder.put("t.pth", bytes))), whole);
  } catch (const FormatError&) {
  }
}

TEST(PthFault, EveryPrefixIsAnError) {
  const TemporaryFolder folder;
  const std::string whole = read_file(torch_file("training.pth"), 1 << 20, FileUse::model);
  for (size_t n = 0; n < whole.size(); n += 3)
    EXPECT_NE(outcome(folder.put("t", whole.substr(0, n))), "") << n;
}

TEST(PthFault, FlippedBitsAreAnErrorOrChangeNothing) {
  Random random(1);
  for (const char* name : {"training.pth", "deflated.pth", "quantized_channel.pth"}) {
    const std::string path = torch_file(name), whole = content(read_weights(path)),
                      bytes = read_file(path, 1 << 20, FileUse::model);
    for (int i = 0; i < 1000; ++i) {
      std::string damaged = bytes;
      damaged[random.below(bytes.size())] ^= static_cast<char>(1 << random.below(8));
      expect_error_or_same(damaged, whole);
    }
  }
}

// The checksum is right, the stream is not: nothing but errors or results.
void damage(const std::string& stream, const std::vector<std::string>& storages, uint64_t seed) {
  EXPECT_EQ(outcome_of(pth::records(stream, storages)), "");
  Random random(seed);
  int errors = 0;
  for (int i = 0; i < 3000; ++i) {
    std::string damaged = stream;
    for (uint64_t flips = 1 + random.below(3); flips > 0; --flips)
      damaged[random.below(stream.size())] ^= static_cast<char>(1 << random.below(8));
    errors += !outcome_of(pth::records(damaged, storages)).empty();
  }
  EXPECT_GT(errors, 1500);
  for (size_t n = 0; n < stream.size(); ++n)
    EXPECT_NE(outcome_of(pth::records(stream.substr(0, n), storages)), "") << n;
}

TEST(PthFault, DamagedStreamsAreAnErrorOrAResult) {
  damage(pth::pickle(pth::dict(
             {{"model", pth::dict({{"a", kGood}, {"b", pth::tensor(kFloats, 2, {2}, {1})}})},
              {"args", pth::call(pth::global("argparse", "Namespace"), {}) + "}b"},
              {"n", pth::integer(7)}})),
         {std::string(24, '\0')}, 2);
}

TEST(PthFault, DamagedStreamsOfQuantizedTensorsAreAnErrorOrAResult) {
  const std::string scales = pth::tensor(pth::storage("DoubleStorage", "1", 2), 0, {2}, {1}),
                    zeros = pth::tensor(pth::storage("LongStorage", "2", 2), 0, {2}, {1});
  const std::string channels = pth::quantized_tensor(
      pth::storage("QInt8Storage", "0", 6), {2, 3},
      {pth::global("torch", "per_channel_affine"), scales, zeros, pth::integer(0)});
  const std::string plain = pth::quantized_tensor(
      pth::storage("QInt8Storage", "0", 6), {6},
      {pth::global("torch", "per_tensor_affine"), pth::real(0.5), pth::integer(3)});
  damage(pth::pickle(pth::dict(
             {{"fc._packed_params._packed_params", pth::tuple({channels, "N"})}, {"w", plain}})),
         {std::string(6, '\1'), std::string("\0\0\0\0\0\0\xf0\x3f\0\0\0\0\0\0\xf0\x3f", 16),
          std::string(16, '\0')},
         3);
}

}  // namespace
}  // namespace stair::apps
