#include "apps/train/frozen.h"

#include "apps/onnx/export.h"
#include "apps/program/report.h"
#include "core/file.h"
#include "core/text.h"
#include "qat/int8/encodings.h"

namespace stair::apps {
namespace {

std::vector<std::string> paths_of(const ExportConfig& c, const std::string& model) {
  return {path_in(c.folder, model + ".onnx"), path_in(c.folder, model + ".json")};
}

}  // namespace

void require_equal_scores(const Score& quantized, const Score& frozen) {
  if (quantized.predictions == frozen.predictions && quantized.top1_hits == frozen.top1_hits &&
      quantized.top5_hits == frozen.top5_hits && quantized.loss == frozen.loss)
    return;
  throw Error(
      str("the network scores ", fixed(frozen.top1(), 4), " top-1 and a loss of ", frozen.loss,
          " when it is frozen, ", fixed(quantized.top1(), 4), " and ", quantized.loss, " before"),
      "this is a defect of Stair: please report it with the output of qat_env", 9);
}

void check_export(const ExportConfig& c, const std::string& model, bool overwrite) {
  if (c.folder.empty()) return;
  for (const std::string& path : paths_of(c, model))
    if (!overwrite && file_exists(path))
      throw IoError(str(path_in_quotes(path), " exists"), "--overwrite replaces it");
  make_folders(c.folder);
  probe_writable(c.folder);
}

std::vector<std::string> export_frozen(const ExportConfig& c, const std::string& model,
                                       const qat::Int8Graph& graph) {
  if (c.folder.empty()) return {};
  std::vector<std::string> paths = paths_of(c, model);
  const std::string onnx = to_onnx(graph), json = qat::encodings(graph).dump(1) + "\n";
  make_folders(c.folder);
  write_file(paths[0], onnx);
  write_file(paths[1], json);
  return paths;
}

}  // namespace stair::apps
