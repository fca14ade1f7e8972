#pragma once
// Table: rows of text in aligned columns, for people. Numbers stand right, words left; no trailing blanks.

#include <string>
#include <vector>

namespace ringway::ctl {

class Table {
 public:
  explicit Table(std::vector<std::string> heads) : heads_(std::move(heads)) {}
  // As many cells as there are heads.
  void add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  std::string text() const;

 private:
  std::vector<std::string> heads_;
  std::vector<std::vector<std::string>> rows_;
};

// 12345678 -> "12,345,678"
std::string grouped(unsigned long long n);
// Microseconds: "812 us", "3.4 ms", "12.0 s", "10.0 min", "2.5 h"
std::string duration(double us);
// "512 B", "1.4 KiB", "3.0 GiB"
std::string bytes(double n);

}  // namespace ringway::ctl
