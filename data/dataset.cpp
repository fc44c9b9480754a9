#include "data/dataset.h"

#include <sys/stat.h>

#include <algorithm>
#include <iterator>
#include <map>

#include "core/text.h"

namespace stair::data {
namespace {

constexpr size_t kMostNamed = 10;
constexpr size_t kLongestPath = 4096;

std::string quoted(std::string_view name) {
  return str("'", printable(name, kLongestPath), "'");
}

std::string listed(const std::vector<std::string>& names) {
  return join(names, ", ", kMostNamed);
}

bool exists(const std::string& path) {
  struct stat status;
  return stat(path.c_str(), &status) == 0;
}

bool is_folder(const std::string& path) {
  struct stat status;
  return stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

bool ends_in(const std::string& path, std::initializer_list<std::string_view> suffixes) {
  return std::any_of(suffixes.begin(), suffixes.end(), [&](std::string_view suffix) {
    return path.size() > suffix.size() &&
           path.compare(path.size() - suffix.size(), suffix.size(), suffix) == 0;
  });
}

// The longest leading part of the path that exists; empty when none does.
std::string existing_part(std::string path) {
  while (!path.empty() && !exists(path)) {
    const size_t slash = path.find_last_of('/');
    if (slash == std::string::npos) return "";
    path.resize(slash == 0 && path.size() > 1 ? 1 : slash);
  }
  return path;
}

void check_folder(const std::string& path) {
  if (path.empty())
    throw DataError("data folder: the path is empty", "--data-path names the folder");
  if (!exists(path)) {
    const std::string part = existing_part(path);
    throw DataError(str("data folder ", quoted(path), " does not exist"),
                    part.empty() ? "no part of the path exists"
                                 : str(quoted(part), " exists, the rest does not"));
  }
  if (is_folder(path)) return;
  const char* hint = "";
  if (ends_in(path, {".h5", ".hdf5"})) {
    hint = "HDF5 files are not read: write the pictures to one folder a class";
  }
  if (ends_in(path, {".tar", ".tgz", ".gz", ".zip", ".xz", ".bz2", ".zst", ".7z"}))
    hint = "unpack the archive and name the folder that it unpacks to";
  throw DataError(str("data folder ", quoted(path), " is a file; a folder is needed"), hint);
}

// Whether some folder directly below holds a picture directly.
bool has_class_folders(const std::string& path, const FolderListing& listing) {
  return std::any_of(listing.folders.begin(), listing.folders.end(),
                     [&](const std::string& folder) {
                       const FolderListing inner = list_folder(path + "/" + folder);
                       return std::any_of(inner.files.begin(), inner.files.end(), has_image_suffix);
                     });
}

std::string layout(const std::string& path) {
  return str("expected one folder a class: ", printable(path, kLongestPath), "/CLASS/NAME.jpg");
}

void check_classes_found(const FolderScan& scan) {
  if (!scan.classes.empty()) return;
  if (scan.loose_images > 0)
    throw DataError(
        str("data folder ", quoted(scan.root), " holds ", scan.loose_images,
            " pictures but no class folders"),
        layout(scan.root) +
            "; ImageNet's flat validation archive must be sorted into class folders first");
  throw DataError(str("data folder ", quoted(scan.root), " holds no class folder"),
                  layout(scan.root));
}

// Labels of the folders found, and the list itself when there is none yet.
std::vector<int64_t> labels_of(const FolderScan& scan, const std::string& list_path,
                               ClassList& classes) {
  if (list_path.empty()) classes = {scan.classes, scan.classes};
  std::map<std::string, int64_t> places;
  for (const std::string& id : classes.ids) places.emplace(id, static_cast<int64_t>(places.size()));
  std::vector<int64_t> labels;
  std::vector<std::string> unknown;
  for (const std::string& name : scan.classes) {
    const auto place = places.find(name);
    if (place == places.end())
      unknown.push_back(name);
    else
      labels.push_back(place->second);
  }
  if (!unknown.empty())
    throw DataError(
        str("data folder ", quoted(scan.root), ": ", unknown.size(),
            " folders are not in class list ", quoted(list_path), ": ", listed(unknown)),
        "use the list that belongs to this data set, or none");
  return labels;
}

}  // namespace

Part Dataset::load_part(int64_t index, const ChooseCrop& choose) const {
  Image image = load(index);
  try {
    const Crop crop = choose(image.width(), image.height());
    return {std::move(image), crop};
  } catch (const BadSample& error) {
    throw BadSample(str(quoted(name(index)), ": ", error.what()), error.hint());
  }
}

FolderDataset::FolderDataset(const std::string& root, FolderOptions options)
    : options_(std::move(options)) {
  check_folder(root);
  if (!options_.class_list.empty()) classes_ = read_class_list(options_.class_list);
  scan_ = scan_folder(root);
  check_classes_found(scan_);
  labels_ = labels_of(scan_, options_.class_list, classes_);
  check_empty_classes();
}

int64_t FolderDataset::label(int64_t index) const {
  return labels_[scan_.folders[scan_.files[static_cast<size_t>(index)].folder].class_index];
}

void FolderDataset::check_empty_classes() const {
  std::vector<std::string> empty;
  for (size_t i = 0; i < scan_.classes.size(); ++i)
    if (scan_.counts[i] == 0) empty.push_back(scan_.classes[i]);
  if (empty.size() == scan_.classes.size())
    throw DataError(str("data folder ", quoted(scan_.root),
                        ": no pictures in any class folder: ", listed(empty)),
                    layout(scan_.root));
  if (!empty.empty() && !options_.allow_empty_classes)
    throw DataError(str("data folder ", quoted(scan_.root), ": no pictures in ", empty.size(),
                        " class folders: ", listed(empty)),
                    "--allow-empty-classes keeps such classes without samples");
}

std::string split_folder(const std::string& data_path, const std::string& split,
                         const std::string& flag) {
  if (!split.empty() && split[0] == '/') {
    check_folder(split);
    return split;
  }
  check_folder(data_path);
  if (split.empty() || split == ".") return data_path;
  const std::string path = data_path + "/" + split;
  if (exists(path)) {
    check_folder(path);
    return path;
  }
  const FolderListing listing = list_folder(data_path);
  const std::string what = str("data folder ", quoted(data_path), " has no folder ", quoted(split));
  if (has_class_folders(data_path, listing))
    throw DataError(what + ", but class folders directly inside",
                    flag + " . takes the class folders of --data-path itself; " + flag +
                        " NAME takes another folder");
  std::string found = listing.folders.empty() ? "" : "; it has " + listed(listing.folders);
  throw DataError(what + found,
                  layout(path) + "; " + flag + " names another folder than " + quoted(split));
}

void check_same_classes(const FolderDataset& train, const FolderDataset& val) {
  const auto sorted = [](std::vector<std::string> ids) {
    std::sort(ids.begin(), ids.end());
    return ids;
  };
  const std::vector<std::string> a = sorted(train.class_ids()), b = sorted(val.class_ids());
  std::vector<std::string> only_a, only_b;
  std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(only_a));
  std::set_difference(b.begin(), b.end(), a.begin(), a.end(), std::back_inserter(only_b));
  if (only_a.empty() && only_b.empty()) return;
  std::string what = str("data folders ", quoted(train.root()), " and ", quoted(val.root()),
                         " have different classes");
  if (!only_a.empty()) what += "; only for training: " + listed(only_a);
  if (!only_b.empty()) what += "; only for validation: " + listed(only_b);
  throw DataError(what, "--class-list keeps the labels of a list when folders are missing");
}

}  // namespace stair::data
