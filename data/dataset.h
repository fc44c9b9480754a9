// Labelled pictures.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/class_list.h"
#include "data/decode.h"
#include "data/folder_scan.h"
#include "data/image.h"

namespace stair::data {

// `size()` pictures, each with a label in [0, class_names().size()). All methods may be called by
// several threads at once.
class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual int64_t size() const = 0;
  virtual int64_t label(int64_t index) const = 0;
  // What messages call the sample: the path of a file, say. Not escaped; see data/printable.h.
  virtual std::string name(int64_t index) const = 0;
  // Throws BadSample when this picture cannot be used; the others may be fine.
  virtual Image load(int64_t index) const = 0;
  // load(), but only as much as the chosen part needs where that saves time. `choose` is called
  // once; a BadSample that it throws gets the sample's name.
  virtual Part load_part(int64_t index, const ChooseCrop& choose) const;
  // One a class. Names may repeat (ImageNet has two cranes).
  virtual const std::vector<std::string>& class_names() const = 0;
  // Files that were found and passed over.
  virtual int64_t skipped_files() const { return 0; }
};

struct FolderOptions {
  // File with the identifiers of all classes (see read_class_list). A label is then the place in
  // this list, also where only some of the folders exist. Empty: the sorted names of the folders
  // that exist.
  std::string class_list = {};
  bool allow_empty_classes =
      false;  // a folder without pictures keeps its label instead of being an error
  DecodeOptions decode = {};
};

// Pictures in one folder a class, ImageNet's layout: ROOT/CLASS/NAME.jpg. Samples are ordered as
// torchvision's ImageFolder orders them: by class, folder and name, as bytes compare.
class FolderDataset : public Dataset {
 public:
  // Reads the folders, not the pictures. Throws DataError when there is no such folder, no class
  // folder, an empty class folder, or a folder that the class list lacks.
  explicit FolderDataset(const std::string& root, FolderOptions options = {});

  int64_t size() const override { return static_cast<int64_t>(scan_.files.size()); }
  int64_t label(int64_t index) const override;
  std::string name(int64_t index) const override { return scan_.path(static_cast<size_t>(index)); }
  Image load(int64_t index) const override { return decode_file(name(index), options_.decode); }
  Part load_part(int64_t index, const ChooseCrop& choose) const override {
    return decode_file_part(name(index), choose, options_.decode);
  }
  const std::vector<std::string>& class_names() const override { return classes_.names; }
  int64_t skipped_files() const override { return scan_.skipped; }

  // Names of the class folders, one a label: what makes two data sets the same classes.
  const std::vector<std::string>& class_ids() const { return classes_.ids; }
  const std::string& root() const { return scan_.root; }
  // Lines that a program should show: folders that were reached twice, say.
  const std::vector<std::string>& warnings() const { return scan_.warnings; }

 private:
  void check_empty_classes() const;

  FolderOptions options_;
  FolderScan scan_;
  ClassList classes_;
  std::vector<int64_t> labels_;  // of the scan's class folders
};

// The folder of a split: `data_path`/`split`, where `split` may also be "." or an absolute path.
// `flag` is the option that sets `split`, for hints ("--train-dir"). Throws DataError when it does
// not exist, naming the longest part of the path that does, an archive or HDF5 file in the place of
// a folder, or class folders that lie one level too high.
std::string split_folder(const std::string& data_path, const std::string& split,
                         const std::string& flag);

// Throws DataError, listing the difference both ways, when the classes of the two are not the same.
void check_same_classes(const FolderDataset& train, const FolderDataset& val);

}  // namespace stair::data
