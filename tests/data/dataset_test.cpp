#include "data/dataset.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/data/golden_file.h"
#include "tests/data/picture_folder.h"
#include "tests/support/real_files.h"

namespace stair::data {

TEST(FolderDataset, LabelsFollowTheSortedFolders) {
  const PictureFolder folder;
  folder.add_pictures("zebra", 2);
  folder.add_pictures("ant", 3);
  folder.add_pictures("Bee", 1);
  const FolderDataset dataset(folder.path());
  EXPECT_EQ(dataset.class_names(), (std::vector<std::string>{"Bee", "ant", "zebra"}));
  EXPECT_EQ(dataset.size(), 6);
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < dataset.size(); ++i) labels.push_back(dataset.label(i));
  EXPECT_EQ(labels, (std::vector<int64_t>{0, 1, 1, 1, 2, 2}));
  EXPECT_EQ(dataset.name(1), folder.path("ant/000.jpg"));
  EXPECT_EQ(dataset.load(5).width(), 24);
}

TEST(FolderDataset, FoldersInsideAClassBelongToIt) {
  const PictureFolder folder;
  folder.add_pictures("a", 1);
  folder.add_pictures("a/x", 1);
  folder.add_pictures("a-b", 1);
  folder.add_pictures("a/x/y", 1);
  const FolderDataset dataset(folder.path());
  std::vector<std::string> names;
  for (int64_t i = 0; i < dataset.size(); ++i) names.push_back(dataset.name(i));
  EXPECT_EQ(names,
            (std::vector<std::string>{folder.path("a/000.jpg"), folder.path("a/x/000.jpg"),
                                      folder.path("a/x/y/000.jpg"), folder.path("a-b/000.jpg")}));
}

TEST(FolderDataset, ClassListKeepsItsLabelsWhenFoldersAreMissing) {
  const PictureFolder folder;
  folder.add_pictures("val/n00000002", 1);
  folder.add_pictures("val/n00000004", 1);
  folder.write(
      "classes.tsv",
      "0\tn00000001\tcrane\n1\tn00000002\tcrane\n2\tn00000003\tmaillot\n3\tn00000004\tmaillot\n");
  const FolderDataset dataset(folder.path("val"), {.class_list = folder.path("classes.tsv")});
  EXPECT_EQ(dataset.label(0), 1);
  EXPECT_EQ(dataset.label(1), 3);
  EXPECT_EQ(dataset.class_names(),
            (std::vector<std::string>{"crane", "crane", "maillot", "maillot"}));
  EXPECT_EQ(dataset.class_ids()[3], "n00000004");
}

TEST(FolderDataset, ImageNetSampleTakesTheLabelsOfAllThousandClasses) {
  const std::string folder = support::real_pictures("imagenet-500");
  if (folder.empty()) GTEST_SKIP() << "needs imagenet-500 in STAIR_IMAGES";
  const FolderDataset dataset(folder + "/val", {.class_list = folder + "/classes.tsv"});
  ASSERT_EQ(dataset.size(), 500);
  EXPECT_EQ(dataset.class_names().size(), 1000U);
  for (int64_t i = 0; i < dataset.size(); ++i) EXPECT_EQ(dataset.label(i), 2 * i);
}

TEST(ClassList, EveryFormGivesTheSameIdentifiers) {
  const PictureFolder folder;
  const std::vector<std::string> ids = {"n00000001", "n00000002"};
  folder.write("a", "n00000001\n\n# comment\nn00000002");
  folder.write("b", "n00000001\ta tench\r\nn00000002\tgoldfish, Carassius\r\n");
  folder.write("c", "n00000001 a tench\nn00000002 goldfish\n");
  folder.write("d", "0\tn00000001\ta tench\n1\tn00000002\tgoldfish\n");
  for (const char* file : {"a", "b", "c", "d"})
    EXPECT_EQ(read_class_list(folder.path(file)).ids, ids) << file;
  EXPECT_EQ(read_class_list(folder.path("a")).names, ids);
  for (const char* file : {"b", "c", "d"})
    EXPECT_EQ(read_class_list(folder.path(file)).names[0], "a tench") << file;
}

TEST(ClassList, NamesOfFoldersMayHoldSpaces) {
  const PictureFolder folder;
  folder.write("list", "polar bear\nbrown bear\n");
  EXPECT_EQ(read_class_list(folder.path("list")).ids[0], "polar bear");
}

TEST(SplitFolder, NamesTheFolderOfASplit) {
  const PictureFolder folder;
  folder.add_pictures("train/a", 1);
  EXPECT_EQ(split_folder(folder.path(), "train", "--train-dir"), folder.path("train"));
  EXPECT_EQ(split_folder(folder.path("train"), ".", "--train-dir"), folder.path("train"));
  EXPECT_EQ(split_folder("/nowhere", folder.path("train"), "--train-dir"), folder.path("train"));
}

}  // namespace stair::data
