// Writes a network as an ONNX or int8 file, or its scales as JSON.
#include <iostream>
#include <variant>

#include "apps/onnx/export.h"
#include "apps/program/options.h"
#include "apps/program/report.h"
#include "apps/program/run_main.h"
#include "apps/train/scored_file.h"
#include "core/file.h"
#include "core/text.h"
#include "nn/model.h"
#include "qat/int8/encodings.h"

namespace stair::apps {
namespace {

struct Settings {
  std::string input, output, form = "qdq", bias = "int32";
  ModelConfig model;
  int64_t opset = 13;
  bool overwrite = false, int4 = false;
};

void add_flags(Options& options, Settings& s) {
  options.positional("FILE", s.input,
                     {.help = "int8 graph, checkpoint or run folder, or weights (with --model)",
                      .required = true,
                      .usual = true});
  options.positional("OUT", s.output,
                     {.help = "the file to write: *.json gets the encodings, *.int8 the int8 "
                              "form, others ONNX",
                      .required = true,
                      .usual = true});
  add_model_flags(options, s.model);
  options.group("ONNX");
  options.choice("--form", s.form, {"qdq", "qoperator", "exact"},
                 {.help = "how integers are expressed", .usual = true});
  options.choice("--bias", s.bias, {"int32", "float"},
                 {.help = "of convolutions and linear layers", .usual = true});
  options.integer("--opset", s.opset, {.min = 13, .max = 21},
                  {.help = "operator set; scales per channel need 13"});
  options.flag("--int4", s.int4, {.help = "weights of 4 bits as INT4 (operator set 21)"});
  options.flag("--overwrite", s.overwrite, {.help = "replace OUT when it exists"});
  options.example("qat_export runs/resnet18/best.int8 resnet18.onnx",
                  "writes QDQ form for ONNX Runtime, OpenVINO or TensorRT");
  options.example("qat_export runs/resnet18/best.int8 resnet18.onnx --form qoperator",
                  "writes integer operations (QLinearConv)");
  options.example("qat_export resnet18.safetensors resnet18.onnx --model resnet18",
                  "writes the float network");
  options.example("qat_export runs/resnet18/best.int8 resnet18.onnx --form exact",
                  "writes single operations that give the codes of the int8 engine in any runtime");
  options.example("qat_export runs/resnet18/best.int8 resnet18.json", "writes all scales");
  options.example("qat_export quantized.pth resnet18.int8 --model resnet18",
                  "turns what torch quantized into an int8 file");
}

struct Exported {
  std::string form;
  std::variant<std::string, qat::Int8Graph> content;  // bytes of a file, or what has its own form
  bool onnx = false;
  std::vector<std::string> notes = {};
};
// What the flags and the content of the input ask for.
Exported export_model(const Settings& s, const Options& options) {
  const nn::ModelDef& definition = nn::find_model(s.model.model);
  DataConfig data;
  data.val_crop_size = static_cast<int>(definition.input_size);
  const ScoredFile file = open_scored_file(s.input, s.model, data, definition.num_classes, options);
  const bool encodings = s.output.ends_with(".json"), int8 = s.output.ends_with(".int8");
  const auto refuse = [&](const std::string& path, const char* what, const char* flag) {
    throw ConfigError(str(path_in_quotes(path), what, flag, " says nothing about"),
                      "export an int8 file or a checkpoint of QAT as ONNX");
  };
  for (const char* flag : {"--form", "--bias", "--int4"}) {
    if (file.form == "float" && options.given(flag))
      refuse(s.input, " is a float network, which ", flag);
    if (encodings && options.given(flag)) refuse(s.output, " holds encodings, which ", flag);
    if (int8 && options.given(flag)) refuse(s.output, " is no ONNX file, of which ", flag);
  }
  if (file.form == "float") {
    if (encodings || int8)
      throw ConfigError(str(path_in_quotes(s.input), " is a float network: no ",
                            encodings ? "encodings" : "integers"),
                        "export an int8 file or a checkpoint of QAT");
    return {"float",
            to_onnx(file.graph->graph(), deployment_facts(file.model, file.data), file.class_names,
                    s.opset),
            true};
  }
  OnnxOptions how;
  how.form = s.form == "qdq"         ? OnnxForm::qdq
             : s.form == "qoperator" ? OnnxForm::qoperator
                                     : OnnxForm::exact;
  how.bias = s.bias == "int32" ? OnnxBias::int32 : OnnxBias::real;
  how.opset = s.opset;
  how.int4 = s.int4;
  Exported exported{s.form, {}, true};
  how.notes = &exported.notes;
  const qat::Int8Graph graph = file.form == "int8"
                                   ? file.session->graph()
                                   : deploy(*file.graph, file.model, file.data, file.class_names);
  if (encodings) return {"encodings", qat::encodings(graph).dump(1) + "\n"};
  if (int8) return {"int8", graph};
  exported.content = to_onnx(graph, how);
  return exported;
}

int run(const std::vector<std::string>& arguments) {
  Settings s;
  Options options("qat_export", "Writes a network as an ONNX or int8 file, or its scales as JSON.");
  add_flags(options, s);
  if (!options.parse(arguments)) return 0;
  complete_model(s.model);
  if (!s.overwrite && file_exists(s.output))
    throw IoError(str(path_in_quotes(s.output), " exists"), "--overwrite replaces it");
  const auto [form, content, onnx, notes] = export_model(s, options);
  if (const auto* graph = std::get_if<qat::Int8Graph>(&content))
    qat::save_int8_graph(*graph, s.output);
  else
    write_file(s.output, std::get<std::string>(content));
  const uint64_t size = InputFile(s.output, FileUse::model).size();
  if (!options.quiet())
    for (const std::string& note : notes) std::cerr << note << '\n';
  if (options.json()) {
    Json j = Json::object(), json_notes = Json::array();
    for (const std::string& note : notes) json_notes.push_back(note);
    j.set("file", printable(s.output, SIZE_MAX));
    j.set("form", form);
    if (onnx) j.set("opset", s.opset);
    j.set("bytes", size);
    j.set("notes", std::move(json_notes));
    std::cout << j.dump() << std::endl;
  } else if (!options.quiet()) {
    std::cout << printable(s.output) << ": " << form
              << (onnx ? str(", operator set ", s.opset) : "") << ", " << human_bytes(size)
              << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace stair::apps

int main(int argc, char** argv) {
  return stair::apps::run_main(argc, argv, stair::apps::run);
}
