// Lists of the classes of a data set.
#pragma once

#include <string>
#include <vector>

namespace stair::data {

struct ClassList {
  std::vector<std::string> ids;    // unique: names of folders, ImageNet's synsets
  std::vector<std::string> names;  // for people; may repeat
};

// Reads a list with one class a line; a class's label is its line, counted from 0. Columns are
// divided by tabs:
//   n01440764                    id, which is also the name
//   n01440764 <tab> tench        id and name (after a synset, n and eight digits, a space will do
//   too) 0 <tab> n01440764 <tab> tench   label, id and name; labels must count up from 0
// Empty lines and lines that start with # are passed over. Throws DataError naming the line, and
// all identifiers that occur twice: a list keyed by ImageNet's names cannot tell its two cranes
// apart.
ClassList read_class_list(const std::string& path);

}  // namespace stair::data
