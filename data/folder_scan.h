// Finding the pictures below a folder.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace stair::data {

// What one folder holds, each sorted as bytes compare. A link counts as what it leads to, a
// dangling one as a file.
struct FolderListing {
  std::vector<std::string> folders;
  std::vector<std::string> files;
};

// Throws DataError when the folder cannot be read. Entries that start with a dot are left out, but
// for files, which are listed.
FolderListing list_folder(const std::string& path);

// Whether the name ends as a picture's does (.jpg, .jpeg, .png, ..., in any case).
bool has_image_suffix(std::string_view name);

// All pictures below the class folders of a root. Compact, since ImageNet has 1.3 million.
struct FolderScan {
  struct File {
    uint32_t folder;  // index into `folders`
    uint32_t length;  // of the name
    uint64_t name;    // offset into `names`
  };
  struct Folder {
    std::string path;  // below the root, with the class
    uint32_t class_index;
  };

  std::string path(size_t file) const;

  std::string root;
  std::vector<std::string> classes;  // folders directly below the root
  std::vector<int64_t> counts;       // pictures, one a class
  std::vector<Folder> folders;
  std::vector<File> files;
  std::string names;
  int64_t loose_images = 0;  // pictures directly below the root, which belong to no class
  int64_t skipped = 0;       // files of other suffixes, and folders named like pictures
  std::vector<std::string> warnings;
};

// Visits each folder once, so that links in a circle end. Throws DataError when a folder cannot be
// read.
FolderScan scan_folder(const std::string& root);

}  // namespace stair::data
