#include "tools/ringwayctl/table.h"

#include <algorithm>
#include <cstdio>

namespace ringway::ctl {

namespace {

bool is_number(const std::string& text) {
  return !text.empty() && text.find_first_not_of("0123456789,.") == std::string::npos &&
         std::count(text.begin(), text.end(), '.') <= 1;
}

std::string with_unit(double value, const char* unit) {
  char out[48];
  std::snprintf(out, sizeof(out), "%.1f %s", value, unit);
  return out;
}

}  // namespace

std::string Table::text() const {
  std::vector<std::size_t> widths;
  std::vector<bool> right;
  for (std::size_t c = 0; c < heads_.size(); c++) {
    std::size_t width = heads_[c].size();
    bool numbers = !rows_.empty();
    for (const auto& row : rows_) {
      width = std::max(width, row[c].size());
      numbers = numbers && (is_number(row[c]) || row[c] == "-");
    }
    widths.push_back(width);
    right.push_back(numbers);
  }
  std::string out;
  const auto line = [&](const std::vector<std::string>& cells) {
    std::string text;
    for (std::size_t c = 0; c < cells.size(); c++) {
      const std::string pad(widths[c] - cells[c].size(), ' ');
      text += (c == 0 ? "" : "  ") + (right[c] ? pad + cells[c] : cells[c] + pad);
    }
    text.erase(text.find_last_not_of(' ') + 1);
    out += text + "\n";
  };
  line(heads_);
  for (const auto& row : rows_) line(row);
  return out;
}

std::string grouped(unsigned long long n) {
  std::string digits = std::to_string(n);
  for (std::size_t at = digits.size(); at > 3;) digits.insert(at -= 3, ",");
  return digits;
}

std::string duration(double us) {
  if (us < 1000) return std::to_string(static_cast<long>(us)) + " us";
  if (us < 1e6) return with_unit(us / 1e3, "ms");
  if (us < 120e6) return with_unit(us / 1e6, "s");
  return us < 7200e6 ? with_unit(us / 60e6, "min") : with_unit(us / 3600e6, "h");
}

std::string bytes(double n) {
  if (n < 1024) return std::to_string(static_cast<long>(n)) + " B";
  constexpr const char* kUnits[] = {"KiB", "MiB", "GiB", "TiB"};
  unsigned unit = 0;
  for (n /= 1024; n >= 1024 && unit < 3; unit++) n /= 1024;
  return with_unit(n, kUnits[unit]);
}

}  // namespace ringway::ctl
