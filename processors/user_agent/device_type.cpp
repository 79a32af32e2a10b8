#include "processors/user_agent/device_type.h"

#include <array>
#include <optional>
#include <span>

namespace penstock::processors {

namespace {

/// In the order in which one goes before another.
enum class Type { robot, tablet, phone, desktop };
constexpr std::array<std::string_view, 4> names{"Robot", "Tablet", "Phone", "Desktop"};

/// Where the words of a hint must stand in a name.
enum class Where { anywhere, before_digit, at_begin, whole };

struct Hint {
    Type type;
    Where where;
    std::span<const std::string_view> words;
};

constexpr std::string_view robots[] = {"Bot",     "bot",     "spider",          "Spider",
                                       "Crawler", "crawler", "AppEngine-Google"};
constexpr std::string_view tablets[] = {"Tablet", "iPad", "FireOS", "Crosswalk"};

constexpr std::string_view desktop_systems[] = {"Windows", "Windows NT", "Linux", "Fedora",
                                                "Ubuntu"};
constexpr std::string_view desktop_system_kinds[] = {"Mac OS X", "Chrome OS"};
constexpr std::string_view phone_systems[] = {"Android", "Sailfish"};
constexpr std::string_view phone_system_kinds[] = {"iOS",           "Windows Phone", "Firefox OS",
                                                   "BlackBerry OS", "KaiOS",         "Maemo"};
constexpr std::string_view rarer_desktop_systems[] = {
    "Windows XP", "Windows 7", "Windows 10", "FreeBSD", "OpenBSD",   "Arch Linux",
    "Solaris",    "NetBSD",    "SUSE",       "SunOS",   "BeOS/Haiku"};
constexpr std::array system_hints{
    Hint{Type::robot, Where::anywhere, robots},
    Hint{Type::desktop, Where::whole, desktop_systems},
    Hint{Type::desktop, Where::at_begin, desktop_system_kinds},
    Hint{Type::phone, Where::whole, phone_systems},
    Hint{Type::phone, Where::at_begin, phone_system_kinds},
    Hint{Type::desktop, Where::at_begin, rarer_desktop_systems},
    Hint{Type::tablet, Where::anywhere, tablets},
};

constexpr std::string_view desktop_browsers[] = {
    "Chrome", "Chromium",  "Edge",    "Firefox",       "IE", "Maxthon", "Opera",
    "Safari", "SeaMonkey", "Vivaldi", "Yandex Browser"};
constexpr std::string_view phone_browsers[] = {"Chrome Mobile"};
constexpr std::string_view phone_browser_kinds[] = {
    "Chrome Mobile iOS", "Firefox Mobile", "Firefox iOS", "Edge Mobile",       "Android",
    "Facebook",          "Instagram",      "IE Mobile",   "BlackBerry WebKit", "OktaMobile",
    "Sailfish Browser",  "Amazon Silk",    "Pinterest",   "Flipboard"};
constexpr std::array browser_hints{
    Hint{Type::robot, Where::anywhere, robots},
    Hint{Type::desktop, Where::whole, desktop_browsers},
    Hint{Type::phone, Where::whole, phone_browsers},
    Hint{Type::phone, Where::at_begin, phone_browser_kinds},
    Hint{Type::tablet, Where::anywhere, tablets},
};

constexpr std::string_view tablet_devices[] = {"Tablet",    "iPad",   "FireOS",
                                               "Crosswalk", "Kindle", "Lenovo TB"};
constexpr std::string_view tablet_series[] = {"SM-T", "SM-P", "GT-P", "Asus Nexus "};
constexpr std::array device_hints{
    Hint{Type::tablet, Where::anywhere, tablet_devices},
    Hint{Type::tablet, Where::before_digit, tablet_series},
};

constexpr std::string_view robot_texts[] = {"Synthetic",          "Scanner",     "Crawler",
                                            "Site24x7",           "PagePeeker",  "SpeedCurve",
                                            "Google Web Preview", "SiteChecker", "Parser"};
constexpr std::string_view tablet_texts[] = {"Tablet"};
constexpr std::array text_hints{
    Hint{Type::robot, Where::anywhere, robot_texts},
    Hint{Type::tablet, Where::anywhere, tablet_texts},
};

bool is_before_digit(std::string_view text, std::string_view word) {
    for (auto at = text.find(word); at != text.npos; at = text.find(word, at + 1)) {
        const std::size_t behind = at + word.size();
        if (behind < text.size() && text[behind] >= '0' && text[behind] <= '9') return true;
    }
    return false;
}

bool holds(const Hint& hint, std::string_view text) {
    for (const std::string_view word : hint.words) {
        switch (hint.where) {
            case Where::anywhere:
                if (text.find(word) != text.npos) return true;
                break;
            case Where::before_digit:
                if (is_before_digit(text, word)) return true;
                break;
            case Where::at_begin:
                if (text.starts_with(word)) return true;
                break;
            case Where::whole:
                if (text == word) return true;
                break;
        }
    }
    return false;
}

/// The first hint that holds.
std::optional<Type> first_of(std::span<const Hint> hints, std::string_view text) {
    for (const Hint& hint : hints) {
        if (holds(hint, text)) return hint.type;
    }
    return std::nullopt;
}

}  // namespace

std::string_view device_type(std::string_view text, const UserAgent& agent) {
    std::optional<Type> type = first_of(text_hints, text);
    if (type) return names[static_cast<std::size_t>(*type)];
    const auto consider = [&](std::span<const Hint> hints,
                              const std::optional<NamedVersion>& part) {
        const std::optional<Type> hinted = part ? first_of(hints, part->name) : std::nullopt;
        if (hinted && (!type || *hinted < *type)) type = hinted;
    };
    consider(system_hints, agent.system);
    consider(browser_hints, agent.browser);
    consider(device_hints, agent.device);
    return type ? names[static_cast<std::size_t>(*type)] : "Other";
}

}  // namespace penstock::processors
