// qat_export as a user runs it.
#include <gtest/gtest.h>

#include "core/file.h"
#include "tests/apps/child_program.h"
#include "tests/apps/onnx/read_qdq.h"

namespace stair::apps {
namespace {

using support::TemporaryFolder;

Ended qat_export(const std::string& in, const std::string& out,
                 const std::vector<std::string>& flags = {}) {
  std::vector<std::string> arguments = {in, out};
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  return run_child("qat_export", arguments);
}

TEST(ExportJob, AFloatCheckpointGivesAFloatModel) {
  const TemporaryFolder folder;
  ASSERT_EQ(train(folder / "run", {{"--epochs", "1"}, {"--float-epochs", "1"}}).code, 0);
  const Ended ended = qat_export(folder / "run", folder / "a.onnx", {"--json"});
  ASSERT_EQ(ended.code, 0) << ended.err;
  EXPECT_EQ(parse_json(ended.out).at("form").as_string(), "float");
  auto counts = node_counts(parse_onnx(file_text(folder / "a.onnx")));
  EXPECT_GT(counts["Conv"], 0);
  EXPECT_EQ(counts["Conv"], counts["BatchNormalization"]);
  EXPECT_FALSE(counts.contains("QuantizeLinear"));
}

TEST(ExportJob, AnInt8FileAndItsCheckpointGiveTheSameModel) {
  const TemporaryFolder folder;
  ASSERT_EQ(train(folder / "run").code, 0);
  const Ended int8 = qat_export(folder / "run/last.int8", folder / "a.onnx", {"--json"});
  ASSERT_EQ(int8.code, 0) << int8.err;
  const Json j = parse_json(int8.out);
  EXPECT_EQ(j.at("form").as_string(), "qdq");
  EXPECT_EQ(j.at("bytes").as_uint(), file_text(folder / "a.onnx").size());
  ASSERT_EQ(qat_export(newest_checkpoint(folder / "run"), folder / "b.onnx").code, 0);
  // The int8 file knows its score besides.
  const onnx::ModelProto a = parse_onnx(file_text(folder / "a.onnx")),
                         b = parse_onnx(file_text(folder / "b.onnx"));
  EXPECT_TRUE(a.graph().SerializeAsString() == b.graph().SerializeAsString());
  ASSERT_EQ(qat_export(folder / "run/last.int8", folder / "c.onnx",
                       {"--form", "qoperator", "--opset", "15"})
                .code,
            0);
  const onnx::ModelProto model = parse_onnx(file_text(folder / "c.onnx"));
  EXPECT_EQ(model.opset_import(0).version(), 15);
  EXPECT_GT(node_counts(model)["QLinearConv"], 0);
}

TEST(ExportFault, BadInputLeavesNoFile) {
  const TemporaryFolder folder;
  ASSERT_EQ(train(folder / "run", {{"--epochs", "1"}, {"--float-epochs", "1"}}).code, 0);
  write_file(folder / "text", std::string_view("no network"));
  write_file(folder / "there", std::string_view("mine"));
  const std::string out = folder / "out.onnx", checkpoint = newest_checkpoint(folder / "run");
  expect_ended(qat_export(checkpoint, out, {"--form", "qdq"}), 2, {"float network", "hint: "});
  expect_ended(qat_export(folder / "text", out), 2, {"neither an int8 file nor a checkpoint"});
  expect_ended(qat_export(folder / "text", out, {"--model", "resnet20"}), 4, {"text"});
  expect_ended(qat_export(folder / "none", out), 4, {"none", "No such file"});
  expect_ended(qat_export(folder / "text", folder / "there"), 5, {"exists", "--overwrite"});
  expect_ended(qat_export(folder / "text", out, {"--opset", "12"}), 2, {"13"});
  EXPECT_EQ(file_text(folder / "there"), "mine");
  EXPECT_FALSE(file_exists(out));
}

TEST(ExportFault, AFileIsReplacedOnlyWhenAskedFor) {
  const TemporaryFolder folder;
  ASSERT_EQ(train(folder / "run").code, 0);
  const std::string in = folder / "run/last.int8", out = folder / "out.onnx";
  write_file(out, std::string_view("old"));
  ChildOptions full_disk;
  full_disk.largest_file = 1000;
  expect_ended(run_child("qat_export", {in, out, "--overwrite"}, full_disk), 5, {"cannot write"});
  EXPECT_EQ(file_text(out), "old");
  ASSERT_EQ(qat_export(in, out, {"--overwrite"}).code, 0);
  EXPECT_GT(parse_onnx(file_text(out)).graph().node_size(), 0);
}

}  // namespace
}  // namespace stair::apps
