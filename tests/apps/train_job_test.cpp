// The whole job: what a run leaves behind and says, and what qat_eval makes of it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "apps/train/network.h"
#include "core/safetensors.h"
#include "nn/model.h"
#include "nn/weights.h"
#include "tests/apps/child_program.h"

namespace stair::apps {
namespace {

using support::TemporaryFolder;

int64_t lines_of(const std::string& text) {
  return std::ranges::count(text, '\n');
}

TEST(TrainJob, LeavesARunFolderThatDescribesItself) {
  const TemporaryFolder folder;
  const std::string run = folder / "run";
  const Ended ended = train(run, {{"--epochs", "3"}, {"--convert-every", "1"}});
  ASSERT_EQ(ended.code, 0) << ended.err;
  const std::vector<std::string> names = names_in(run);
  for (const char* name :
       {"config.toml", "env.json", "command.txt", "metrics.jsonl", "quantization.txt", "best.int8",
        "last.int8", "checkpoint-00000003.stair", "checkpoint-00000009.stair"})
    EXPECT_TRUE(std::ranges::count(names, name)) << name;
  EXPECT_EQ(parse_json(file_text(run + "/env.json")).type_name(), std::string("object"));
  EXPECT_TRUE(file_text(run + "/command.txt").starts_with("qat_train --batch-size 8"));
  // One line an epoch, then the best.
  EXPECT_EQ(lines_of(ended.out), 4) << ended.out;
  EXPECT_TRUE(ended.out.starts_with("epoch 1/3 float  train loss ")) << ended.out;
  EXPECT_NE(ended.out.find("\nepoch 3/3 qat    train loss "), std::string::npos) << ended.out;
  EXPECT_NE(ended.out.find("\nbest int8: epoch "), std::string::npos) << ended.out;
}

TEST(TrainJob, WritesOneRecordAnEpoch) {
  const TemporaryFolder folder;
  ASSERT_EQ(train(folder / "run").code, 0);
  const std::vector<Json> records = metrics_of(folder / "run");
  ASSERT_EQ(records.size(), 2u);
  for (size_t i = 0; i < records.size(); ++i) {
    const Json& r = records[i];
    EXPECT_EQ(r.at("epoch").as_int(), static_cast<int64_t>(i));
    EXPECT_EQ(r.at("step").as_int(), static_cast<int64_t>(3 * (i + 1)));
    EXPECT_GT(r.at("train_loss").as_double(), 0);
    EXPECT_GE(r.at("float_top1").as_double(), 0);
    EXPECT_LE(r.at("float_top5").as_double(), 100);
    EXPECT_GT(r.at("images_per_second").as_double(), 0);
    EXPECT_EQ(r.at("state_hash").as_string().size(), 16u);
    EXPECT_EQ(r.find("int8_top1") != nullptr, i == 1);
  }
  EXPECT_EQ(records[1].at("phase").as_string(), "qat");
  EXPECT_LE(records[1].at("int8_top1").as_double(), 100);
}

TEST(TrainJob, TheMemoryOfAStepIsShownOnceAForm) {
  const TemporaryFolder folder;
  const Ended ended = train(folder / "run", {{"--memory-report", ""}});
  ASSERT_EQ(ended.code, 0);
  for (const char* form : {"memory of a float step\n", "memory of a QAT step\n"}) {
    const size_t at = ended.err.find(form);
    ASSERT_NE(at, std::string::npos) << form << " in\n" << ended.err;
    EXPECT_EQ(ended.err.find(form, at + 1), std::string::npos);
    for (const char* kind : {"parameters", "gradients of parameters", "optimizer state", "loader"})
      EXPECT_NE(ended.err.find(kind, at), std::string::npos) << kind;
  }
}

TEST(TrainJob, AConfigurationRepeatsTheRun) {
  const TemporaryFolder folder;
  ASSERT_EQ(train(folder / "a", {{"--seed", "7"}}).code, 0);
  const Ended again =
      run_child("qat_train", {"--config", folder / "a/config.toml", "--output-dir", folder / "b"});
  ASSERT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(metrics_of(folder / "a").back().at("state_hash").as_string(),
            metrics_of(folder / "b").back().at("state_hash").as_string());
}

TEST(TrainJob, JsonIsOneObject) {
  const TemporaryFolder folder;
  const Ended ended = train(folder / "run", {{"--json", ""}});
  ASSERT_EQ(ended.code, 0) << ended.err;
  EXPECT_EQ(lines_of(ended.out), 1) << ended.out;
  const Json object = parse_json(ended.out);
  EXPECT_EQ(object.at("state_hash").as_string(),
            metrics_of(folder / "run").back().at("state_hash").as_string());
  EXPECT_EQ(object.at("bad_samples").as_int(), 0);
  // A run that has nothing left to do says so in the same way.
  const Ended nothing = train(folder / "run", {{"--json", ""}, {"--resume", "auto"}});
  EXPECT_EQ(nothing.code, 0) << nothing.err;
  EXPECT_EQ(parse_json(nothing.out).at("epoch").as_int(), 2) << nothing.out;
}

TEST(TrainJob, QuietSaysNothing) {
  const TemporaryFolder folder;
  const Ended ended = train(folder / "run", {{"--quiet", ""}});
  EXPECT_EQ(ended.code, 0);
  EXPECT_EQ(ended.out + ended.err, "");
}

TEST(TrainJob, NoEpochsEvaluateAndSaveNothing) {
  const TemporaryFolder folder;
  const Ended ended = train(folder / "run", {{"--epochs", "0"}, {"--float-epochs", "0"}});
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_NE(ended.out.find("nothing trained, nothing saved"), std::string::npos) << ended.out;
  EXPECT_TRUE(names_in(folder / "run").empty());
}

TEST(EvalExact, TheInt8FileIsTheCheckpointBitByBit) {
  const TemporaryFolder folder;
  for (const char* quantizer : {"ste", "lsq"}) {
    const std::string run = folder / quantizer;
    ASSERT_EQ(train(run, {{"--quantizer", quantizer}}).code, 0);
    const Ended qat = eval(newest_checkpoint(run), {{"--logits", folder / "qat.safetensors"}});
    ASSERT_EQ(qat.code, 0) << qat.err;
    const Ended int8 = eval(run + "/last.int8", {{"--logits", folder / "int8.safetensors"}});
    ASSERT_EQ(int8.code, 0) << int8.err;
    const SafeTensors a = read_safetensors(folder / "qat.safetensors");
    const SafeTensors b = read_safetensors(folder / "int8.safetensors");
    const Tensor &x = a.at("logits"), &y = b.at("logits");
    ASSERT_EQ(x.shape(), Shape({8, 10}));
    ASSERT_EQ(y.shape(), x.shape());
    for (int64_t i = 0; i < x.numel(); ++i)
      EXPECT_EQ(x.data<float>()[i], y.data<float>()[i]) << quantizer << " logit " << i;
    EXPECT_EQ(a.at("labels").shape(), Shape({8}));
    EXPECT_EQ(eval(run + "/last.int8", {{"--expect-logits", folder / "qat.safetensors"}}).code, 0);
    const Ended other = eval(run + "/last.int8",
                             {{"--expect-logits", folder / "qat.safetensors"}, {"--seed", "5"}});
    expect_ended(other, 9, {"logit ", " of picture "});
  }
}

TEST(EvalJob, JsonSaysWhatWasMeasured) {
  const TemporaryFolder folder;
  ASSERT_EQ(train(folder / "run").code, 0);
  const std::string file = folder / "run/last.int8";
  const Ended ended = eval(file, {{"--json", ""}});
  ASSERT_EQ(ended.code, 0) << ended.err;
  EXPECT_EQ(lines_of(ended.out), 1);
  const Json j = parse_json(ended.out), trained = metrics_of(folder / "run").back();
  EXPECT_EQ(j.at("form").as_string(), "int8");
  EXPECT_EQ(j.at("top1").as_double(), trained.at("int8_top1").as_double());
  EXPECT_EQ(j.at("top5").as_double(), trained.at("int8_top5").as_double());
  EXPECT_EQ(j.at("images").as_int(), 8);
  EXPECT_GT(j.at("images_per_second").as_double(), 0);
  EXPECT_EQ(j.at("bytes").as_uint(), file_text(file).size());
}

TEST(EvalJob, ScoresFloatWeights) {
  const TemporaryFolder folder;
  nn::ModelOptions options;
  options.num_classes = 10;
  options.seed = 42;
  nn::save_weights(folder / "w.safetensors", *nn::find_model("resnet20").build(options));
  const Ended ended =
      eval(folder / "w.safetensors",
           {{"--model", "resnet20"}, {"--logits", folder / "l.safetensors"}, {"--json", ""}});
  ASSERT_EQ(ended.code, 0) << ended.err;
  EXPECT_EQ(parse_json(ended.out).at("form").as_string(), "float");
  EXPECT_EQ(read_safetensors(folder / "l.safetensors").at("logits").shape(), Shape({8, 10}));
  // A run that starts from the same weights finds the same score.
  const Ended start = train(folder / "run", {{"--epochs", "0"},
                                             {"--float-epochs", "0"},
                                             {"--json", ""},
                                             {"--weights", folder / "w.safetensors"},
                                             {"--train-crop-size", "32"},
                                             {"--val-crop-size", "32"}});
  ASSERT_EQ(start.code, 0) << start.err;
  EXPECT_EQ(parse_json(start.out).at("float_top5").as_double(),
            parse_json(ended.out).at("top5").as_double());
  // Weights alone do not say what they are of.
  const Ended unnamed = eval(folder / "w.safetensors");
  EXPECT_EQ(unnamed.code, 2);
  EXPECT_NE(unnamed.err.find("weights need --model"), std::string::npos) << unnamed.err;
}

TEST(EvalJob, AMissedGateIsExitNine) {
  const TemporaryFolder folder;
  ASSERT_EQ(train(folder / "run").code, 0);
  const Ended missed = eval(folder / "run/last.int8", {{"--min-top1", "100"}});
  EXPECT_EQ(missed.code, 9) << missed.out;
  EXPECT_NE(missed.err.find("is below --min-top1 100.00"), std::string::npos) << missed.err;
  EXPECT_EQ(eval(folder / "run/last.int8", {{"--min-top1", "0"}}).code, 0);
}

}  // namespace
}  // namespace stair::apps
