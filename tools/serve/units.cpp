#include "tools/serve/units.h"

#include <array>
#include <cstdint>

#include "tools/serve/api_error.h"

namespace penstock::serve {

namespace {

struct Unit {
    std::string_view name;
    double size;
};

constexpr double kKilo = 1024;
constexpr std::array<Unit, 6> kByteUnits{{{"pb", kKilo* kKilo* kKilo* kKilo* kKilo},
                                          {"tb", kKilo* kKilo* kKilo* kKilo},
                                          {"gb", kKilo* kKilo* kKilo},
                                          {"mb", kKilo* kKilo},
                                          {"kb", kKilo},
                                          {"b", 1}}};
constexpr std::array<Unit, 7> kTimeUnits{{{"d", 86'400'000},
                                          {"h", 3'600'000},
                                          {"m", 60'000},
                                          {"s", 1000},
                                          {"ms", 1},
                                          {"micros", 1e-3},
                                          {"nanos", 1e-6}}};

std::string one_decimal(double value) {
    const auto tenths = static_cast<std::int64_t>(value * 10);
    std::string text = std::to_string(tenths / 10);
    if (tenths % 10 != 0) text += "." + std::to_string(tenths % 10);
    return text;
}

template <std::size_t Count>
std::string in_unit(double value, const std::array<Unit, Count>& units, std::string_view wanted,
                    std::string_view smallest) {
    for (const Unit& unit : units) {
        if (wanted == unit.name || (wanted.size() == 1 && unit.name.size() == 2 &&
                                    wanted[0] == unit.name[0] && unit.name[1] == 'b'))
            return std::to_string(static_cast<std::int64_t>(value / unit.size));
        const bool last = unit.name == smallest;
        if (wanted.empty() && (value >= unit.size || last))
            return one_decimal(value / unit.size) + std::string(unit.name);
    }
    throw illegal_argument("unknown unit [" + std::string(wanted) + "]");
}

}  // namespace

std::string bytes_text(double bytes, std::string_view unit) {
    return in_unit(bytes, kByteUnits, unit, "b");
}

std::string time_text(double milliseconds, std::string_view unit, std::string_view smallest) {
    return in_unit(milliseconds, kTimeUnits, unit, smallest);
}

}  // namespace penstock::serve
