#include "data/folder_scan.h"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <set>
#include <utility>

#include "core/error.h"
#include "core/text.h"

namespace stair::data {
namespace {

constexpr size_t kLongestPath = 4096;

[[noreturn]] void cannot_read(const std::string& path, int error) {
  throw DataError(
      str("folder '", printable(path, kLongestPath), "' cannot be read: ", std::strerror(error)));
}

// Identity of a folder, whatever the path that leads to it.
std::pair<dev_t, ino_t> identity(const std::string& path) {
  struct stat status;
  if (stat(path.c_str(), &status) != 0) cannot_read(path, errno);
  return {status.st_dev, status.st_ino};
}

bool is_folder(const std::string& parent, const dirent& entry) {
  if (entry.d_type == DT_DIR) return true;
  if (entry.d_type != DT_LNK && entry.d_type != DT_UNKNOWN) return false;
  struct stat status;
  return stat((parent + "/" + entry.d_name).c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

class Scanner {
 public:
  explicit Scanner(const std::string& root) {
    scan_.root = root;
    visited_.insert(identity(root));
  }

  FolderScan run() && {
    const FolderListing top = list_folder(scan_.root);
    for (const std::string& file : top.files)
      ++(has_image_suffix(file) ? scan_.loose_images : scan_.skipped);
    for (const std::string& folder : top.folders) {
      scan_.classes.push_back(folder);
      const size_t before = scan_.files.size();
      add_class(folder);
      scan_.counts.push_back(static_cast<int64_t>(scan_.files.size() - before));
    }
    return std::move(scan_);
  }

 private:
  // The folders below a class and their files, in the order of the folders' whole paths.
  void add_class(const std::string& name) {
    std::vector<std::pair<std::string, std::vector<std::string>>> found;
    std::vector<std::string> pending = {name};
    while (!pending.empty()) {
      const std::string folder = std::move(pending.back());
      pending.pop_back();
      const std::string path = scan_.root + "/" + folder;
      if (!visited_.insert(identity(path)).second) {
        scan_.warnings.push_back(
            str("folder '", printable(path, kLongestPath),
                "' was reached twice through links; its second visit is left out"));
        continue;
      }
      FolderListing listing = list_folder(path);
      for (const std::string& inner : listing.folders) {
        if (has_image_suffix(inner))
          ++scan_.skipped;
        else
          pending.push_back(folder + "/" + inner);
      }
      found.emplace_back(folder, std::move(listing.files));
    }
    std::sort(found.begin(), found.end());
    for (const auto& [folder, files] : found) add_files(folder, files);
  }

  void add_files(const std::string& folder, const std::vector<std::string>& files) {
    const auto index = static_cast<uint32_t>(scan_.folders.size());
    scan_.folders.push_back({folder, static_cast<uint32_t>(scan_.classes.size() - 1)});
    for (const std::string& file : files) {
      if (!has_image_suffix(file)) {
        ++scan_.skipped;
        continue;
      }
      scan_.files.push_back({index, static_cast<uint32_t>(file.size()), scan_.names.size()});
      scan_.names += file;
    }
  }

  FolderScan scan_;
  std::set<std::pair<dev_t, ino_t>> visited_;
};

}  // namespace

FolderListing list_folder(const std::string& path) {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir(path.c_str()), closedir);
  if (!folder) cannot_read(path, errno);
  FolderListing listing;
  for (errno = 0; const dirent* entry = readdir(folder.get()); errno = 0) {
    const std::string name = entry->d_name;
    if (!is_folder(path, *entry))
      listing.files.push_back(name);
    else if (name[0] != '.')
      listing.folders.push_back(name);
  }
  if (errno != 0) cannot_read(path, errno);
  std::sort(listing.folders.begin(), listing.folders.end());
  std::sort(listing.files.begin(), listing.files.end());
  return listing;
}

bool has_image_suffix(std::string_view name) {
  constexpr std::array<std::string_view, 10> kSuffixes = {"jpg", "jpeg", "png", "bmp",  "webp",
                                                          "ppm", "pgm",  "tif", "tiff", "gif"};
  const size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return false;
  std::string suffix(name.substr(dot + 1));
  for (char& c : suffix)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return std::find(kSuffixes.begin(), kSuffixes.end(), suffix) != kSuffixes.end();
}

std::string FolderScan::path(size_t file) const {
  const File& entry = files[file];
  return root + "/" + folders[entry.folder].path + "/" + names.substr(entry.name, entry.length);
}

FolderScan scan_folder(const std::string& root) {
  return Scanner(root).run();
}

}  // namespace stair::data
