// Rows D01 to D22 of the fault table: folders that are not what a data set should be.
#include <gtest/gtest.h>

#include <filesystem>

#include "data/dataset.h"
#include "tests/data/picture_folder.h"

namespace stair::data {
namespace {

std::string refusal(const std::string& root, const FolderOptions& options = {}) {
  return error_of<DataError>([&] { FolderDataset(root, options); });
}

std::string split_refusal(const std::string& path, const std::string& split = "train") {
  return error_of<DataError>([&] { split_folder(path, split, "--train-dir"); });
}

bool holds(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST(DatasetFault, D01MissingFolderNamesThePartThatExists) {
  const PictureFolder folder;
  folder.make_folder("images");
  const std::string path = folder.path("images/2012/train");
  const std::string expected = str("data folder '", path, "' does not exist | '",
                                   folder.path("images"), "' exists, the rest does not");
  EXPECT_EQ(refusal(path), expected);
  EXPECT_EQ(split_refusal(path), expected);
  EXPECT_TRUE(holds(refusal("/no-such-folder/x"), "'/' exists"));
  EXPECT_TRUE(holds(refusal("no-such-folder"), "no part of the path exists"));
  EXPECT_TRUE(holds(refusal(""), "the path is empty"));
}

TEST(DatasetFault, D02FileInThePlaceOfAFolderHintsByItsKind) {
  const PictureFolder folder;
  for (const char* name : {"a.tar", "b.h5", "c.txt"}) folder.write(name, "x");
  EXPECT_EQ(split_refusal(folder.path("a.tar")),
            str("data folder '", folder.path("a.tar"),
                "' is a file; a folder is needed | unpack the archive and name the folder that it "
                "unpacks to"));
  EXPECT_TRUE(holds(refusal(folder.path("b.h5")), "HDF5"));
  EXPECT_TRUE(holds(refusal(folder.path("c.txt")), "a folder is needed"));
}

TEST(DatasetFault, D03ClassFoldersOneLevelTooHighHintAtTheFlag) {
  const PictureFolder folder;
  folder.add_pictures("cat", 1);
  folder.add_pictures("dog", 1);
  const std::string refused = split_refusal(folder.path());
  EXPECT_TRUE(holds(
      refused, "has no folder 'train', but class folders directly inside | --train-dir . takes"))
      << refused;
}

TEST(DatasetFault, D04RootWithoutClassFoldersPrintsTheLayout) {
  const PictureFolder folder;
  EXPECT_EQ(refusal(folder.path()), str("data folder '", folder.path(),
                                        "' holds no class folder | expected one folder a class: ",
                                        folder.path(), "/CLASS/NAME.jpg"));
  EXPECT_TRUE(holds(split_refusal(folder.path()), "/train/CLASS/NAME.jpg"));
  folder.make_folder("images");
  EXPECT_TRUE(holds(split_refusal(folder.path()), "it has images"));
}

TEST(DatasetFault, D05EmptyClassesAreNamedUpToTen) {
  const PictureFolder folder;
  folder.add_pictures("m", 1);
  for (int i = 10; i < 22; ++i) folder.make_folder(str("c", i));
  const std::string refused = refusal(folder.path());
  EXPECT_TRUE(holds(
      refused, "no pictures in 12 class folders: c10, c11, c12, c13, c14, c15, c16, c17, c18, c19"))
      << refused;
  EXPECT_TRUE(holds(refused, "2 more | --allow-empty-classes")) << refused;
  const FolderDataset dataset(folder.path(), {.allow_empty_classes = true});
  EXPECT_EQ(dataset.class_names().size(), 13U);
  EXPECT_EQ(dataset.label(0), 12);
}

TEST(DatasetFault, D06OtherFilesAreCountedNotUsed) {
  const PictureFolder folder;
  folder.add_pictures("a", 2);
  for (const char* name : {"a/Thumbs.db", "a/.DS_Store", "a/MD5SUMS", "README.md", "a/x.txt"})
    folder.write(name, "x");
  const FolderDataset dataset(folder.path());
  EXPECT_EQ(dataset.size(), 2);
  EXPECT_EQ(dataset.skipped_files(), 5);
}

TEST(DatasetFault, D07ClassWithOtherFilesOnlyIsEmpty) {
  const PictureFolder folder;
  folder.add_pictures("a", 1);
  folder.write("b/Thumbs.db", "x");
  EXPECT_TRUE(holds(refusal(folder.path()), "no pictures in 1 class folders: b"));
  EXPECT_TRUE(holds(refusal(folder.path("b")), "holds no class folder"));
}

TEST(DatasetFault, D08DifferentClassesAreListedBothWays) {
  const PictureFolder folder;
  for (const char* name : {"train/a", "train/b", "val/b", "val/c", "val/d"})
    folder.add_pictures(name, 1);
  const FolderDataset train(folder.path("train")), val(folder.path("val"));
  const std::string refused = error_of<DataError>([&] { check_same_classes(train, val); });
  EXPECT_TRUE(holds(refused, "only for training: a; only for validation: c, d")) << refused;
  folder.write("list", "a\nb\nc\nd\n");
  const FolderOptions listed{.class_list = folder.path("list")};
  check_same_classes(FolderDataset(folder.path("train"), listed),
                     FolderDataset(folder.path("val"), listed));
}

TEST(DatasetFault, D09LinksInACircleEnd) {
  const PictureFolder folder;
  folder.add_pictures("a/x", 2);
  std::filesystem::create_directory_symlink(folder.path("a"), folder.path("a/x/again"));
  std::filesystem::create_directory_symlink(folder.path(), folder.path("a/root"));
  const FolderDataset dataset(folder.path());
  EXPECT_EQ(dataset.size(), 2);
  EXPECT_EQ(dataset.warnings().size(), 2U);
}

TEST(DatasetFault, D10AndD18AMissingFileIsABadSampleWhenItIsRead) {
  const PictureFolder folder;
  folder.add_pictures("a", 1);
  std::filesystem::create_symlink(folder.path("nowhere"), folder.path("a/zz.jpg"));
  const FolderDataset dataset(folder.path());
  ASSERT_EQ(dataset.size(), 2);
  EXPECT_TRUE(
      holds(error_of<BadSample>([&] { dataset.load(1); }), "zz.jpg': No such file or directory"));
  std::filesystem::remove(folder.path("a/000.jpg"));
  EXPECT_TRUE(holds(error_of<BadSample>([&] { dataset.load(0); }), "No such file or directory"));
}

TEST(DatasetFault, D12FolderNamedLikeAPictureIsSkipped) {
  const PictureFolder folder;
  folder.add_pictures("a", 1);
  folder.add_pictures("a/cat.jpg", 3);
  const FolderDataset dataset(folder.path());
  EXPECT_EQ(dataset.size(), 1);
  EXPECT_EQ(dataset.skipped_files(), 1);
}

TEST(DatasetFault, D13LongNamesWorkAndTooLongPathsAreNamed) {
  const PictureFolder folder;
  const std::string name = "a/" + std::string(251, 'n') + ".jpg";
  folder.write(name, jpeg_of(wave_image(8, 8, 0)));
  std::string deep = "a";
  for (int i = 0; i < 100; ++i) deep += "/f";
  folder.add_pictures(deep, 1);
  const FolderDataset dataset(folder.path());
  ASSERT_EQ(dataset.size(), 2);
  EXPECT_EQ(dataset.name(0), folder.path(name));
  EXPECT_EQ(dataset.load(0).width(), 8);
  EXPECT_EQ(dataset.load(1).width(), 24);
  EXPECT_TRUE(holds(refusal("/" + std::string(5000, 'x')), "does not exist"));
}

TEST(DatasetFault, D14OddNamesLoadAndAreEscapedInMessages) {
  const PictureFolder folder;
  const std::string name = "a/b\n\t\"\xFF\x1B[0m.jpg";
  folder.write(name, jpeg_of(wave_image(8, 8, 0)));
  const FolderDataset dataset(folder.path());
  EXPECT_EQ(dataset.load(0).width(), 8);
  folder.write(name, "");
  const std::string refused = error_of<BadSample>([&] { dataset.load(0); });
  EXPECT_TRUE(holds(refused, "\\n\\t")) << refused;
  for (const char c : refused) EXPECT_TRUE(c >= ' ' && c < 127) << refused;
}

TEST(DatasetFault, D15ListKeyedByNamesIsRefusedWithTheRepeats) {
  const PictureFolder folder;
  folder.write("names", "crane\ntench\ncrane\nmaillot\nmaillot\n");
  const std::string refused = error_of<DataError>([&] { read_class_list(folder.path("names")); });
  EXPECT_TRUE(holds(refused, "crane, maillot | key the list by folder names")) << refused;
}

TEST(DatasetFault, ClassListErrorsNameTheLine) {
  const PictureFolder folder;
  folder.write("gap", "0\ta\tx\n2\tb\ty\n");
  folder.write("empty", "\n#\n");
  EXPECT_TRUE(holds(error_of<DataError>([&] { read_class_list(folder.path("gap")); }),
                    "line 2: label 2, expected 1"));
  EXPECT_TRUE(
      holds(error_of<DataError>([&] { read_class_list(folder.path("empty")); }), "no classes"));
  EXPECT_TRUE(
      holds(error_of<DataError>([&] { read_class_list(folder.path("none")); }), "No such file"));
  folder.add_pictures("data/a", 1);
  folder.add_pictures("data/other", 1);
  folder.write("list", "a\nb\n");
  EXPECT_TRUE(holds(refusal(folder.path("data"), {.class_list = folder.path("list")}),
                    "1 folders are not in class list"));
}

TEST(DatasetFault, D17FlatFolderOfPicturesIsRecognised) {
  const PictureFolder folder;
  folder.add_pictures("val", 3);
  EXPECT_TRUE(holds(refusal(folder.path("val")), "holds 3 pictures but no class folders"));
}

TEST(DatasetFault, D22SuffixesAreCaseBlind) {
  const PictureFolder folder;
  for (const char* name : {"a/1.JPEG", "a/2.JpG", "a/3.jpeg", "a/4.PNG", "a/jpg", "a/5.jpg.txt"})
    folder.write(name, jpeg_of(wave_image(8, 8, 0)));
  const FolderDataset dataset(folder.path());
  EXPECT_EQ(dataset.size(), 4);
  EXPECT_EQ(dataset.skipped_files(), 2);
}

}  // namespace stair::data
