// Writes a network as an ONNX file.
#include <iostream>

#include "apps/onnx/export.h"
#include "apps/program/options.h"
#include "apps/program/report.h"
#include "apps/program/run_main.h"
#include "apps/train/checkpoint.h"
#include "apps/train/network.h"
#include "core/file.h"
#include "core/text.h"

namespace stair::apps {
namespace {

struct Settings {
  std::string input, output, form = "qdq", bias = "int32";
  int64_t opset = 13;
  bool overwrite = false;
};

void add_flags(Options& options, Settings& s) {
  options.positional("FILE", s.input,
                     {.help = "int8 graph, or checkpoint of QAT", .required = true, .usual = true});
  options.positional("OUT.onnx", s.output,
                     {.help = "the file to write", .required = true, .usual = true});
  options.group("ONNX");
  options.choice("--form", s.form, {"qdq", "qoperator", "exact"},
                 {.help = "how integers are expressed", .usual = true});
  options.choice("--bias", s.bias, {"int32", "float"},
                 {.help = "of convolutions and linear layers", .usual = true});
  options.integer("--opset", s.opset, {.min = 13, .max = 21},
                  {.help = "operator set; scales per channel need 13"});
  options.flag("--overwrite", s.overwrite, {.help = "replace OUT.onnx when it exists"});
  options.example("qat_export runs/resnet18/best.int8 resnet18.onnx",
                  "writes QDQ form for ONNX Runtime, OpenVINO or TensorRT");
  options.example("qat_export runs/resnet18/best.int8 resnet18.onnx --form qoperator",
                  "writes integer operations (QLinearConv)");
  options.example("qat_export runs/resnet18/best.int8 resnet18.onnx --form exact",
                  "writes single operations that give the codes of the int8 engine in any runtime");
}

std::string magic_of(const std::string& path) {
  const InputFile file(path, FileUse::model);
  std::string magic(8, '\0');
  if (file.size() >= magic.size()) file.read_at(0, std::as_writable_bytes(std::span(magic)));
  return magic;
}

qat::Int8Graph graph_of_checkpoint(const std::string& path) {
  const Checkpoint checkpoint = load_checkpoint(path);
  if (!checkpoint.progress.qat)
    throw FormatError(str(path_in_quotes(path), " is a checkpoint of float training: no scales"),
                      "export an int8 file or a checkpoint of the epochs after --float-epochs");
  const NetworkDescription d = network_from(checkpoint.network);
  const auto float_graph = build_float(d.config.model, d.classes, d.config.data.val_crop_size, 0);
  const auto graph = build_qat(*float_graph, d.config).graph;
  restore(checkpoint, *graph, false);
  return deploy(*graph, d.config.model, d.config.data, d.class_names);
}

qat::Int8Graph open_graph(const std::string& path) {
  const std::string magic = magic_of(path);
  if (magic == qat::kInt8GraphMagic) return qat::load_int8_graph(path);
  if (magic == kCheckpointMagic) return graph_of_checkpoint(path);
  throw FormatError(str(path_in_quotes(path), " is neither an int8 file nor a checkpoint"),
                    "qat_train writes both: best.int8, checkpoint-*.stair");
}

int run(const std::vector<std::string>& arguments) {
  Settings s;
  Options options("qat_export", "Writes a network as an ONNX file.");
  add_flags(options, s);
  if (!options.parse(arguments)) return 0;
  if (!s.overwrite && file_exists(s.output))
    throw IoError(str(path_in_quotes(s.output), " exists"), "--overwrite replaces it");
  const qat::Int8Graph graph = open_graph(s.input);
  std::vector<std::string> notes;
  OnnxOptions how;
  how.form = s.form == "qdq"         ? OnnxForm::qdq
             : s.form == "qoperator" ? OnnxForm::qoperator
                                     : OnnxForm::exact;
  how.bias = s.bias == "int32" ? OnnxBias::int32 : OnnxBias::real;
  how.opset = s.opset;
  how.notes = &notes;
  const std::string bytes = to_onnx(graph, how);
  write_file(s.output, bytes);
  if (!options.quiet())
    for (const std::string& note : notes) std::cerr << note << '\n';
  if (options.json()) {
    Json j = Json::object(), json_notes = Json::array();
    for (const std::string& note : notes) json_notes.push_back(note);
    j.set("file", printable(s.output, SIZE_MAX));
    j.set("form", s.form);
    j.set("opset", s.opset);
    j.set("bytes", bytes.size());
    j.set("notes", std::move(json_notes));
    std::cout << j.dump() << std::endl;
  } else if (!options.quiet()) {
    std::cout << printable(s.output) << ": " << s.form << ", operator set " << s.opset << ", "
              << human_bytes(bytes.size()) << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace stair::apps

int main(int argc, char** argv) {
  return stair::apps::run_main(argc, argv, stair::apps::run);
}
