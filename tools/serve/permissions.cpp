#include "tools/serve/permissions.h"

#include <algorithm>
#include <array>

#include "engine/document/json_writer.h"
#include "tools/serve/api_error.h"
#include "tools/serve/index_names.h"
#include "tools/serve/json_body.h"
#include "tools/serve/wildcard.h"

namespace penstock::serve {

using document::Value;

namespace {

struct NamedPrivilege {
    std::string_view name;
    unsigned bits;
};

/// Elasticsearch's names, those that include others first. What it divides further than this server
/// can is refused and not rounded.
constexpr std::array<NamedPrivilege, 15> kIndexPrivileges{
    {{"all", IndexPrivilege::all},
     {"manage", IndexPrivilege::manage},
     {"read", IndexPrivilege::read},
     {"write", IndexPrivilege::write},
     {"index", IndexPrivilege::add_doc | IndexPrivilege::put_doc | IndexPrivilege::update_doc},
     {"create", IndexPrivilege::add_doc | IndexPrivilege::put_doc},
     {"create_doc", IndexPrivilege::add_doc},
     {"delete", IndexPrivilege::delete_doc},
     {"monitor", IndexPrivilege::monitor},
     {"view_index_metadata", IndexPrivilege::metadata},
     {"maintenance", IndexPrivilege::maintenance},
     {"create_index", IndexPrivilege::create_index | IndexPrivilege::auto_create},
     {"auto_configure", IndexPrivilege::auto_create},
     {"delete_index", IndexPrivilege::delete_index},
     {"none", 0}}};
constexpr std::array<std::string_view, 4> kClusterPrivileges{"none", "monitor", "manage", "all"};

std::string at(const std::string& where, std::string_view name) {
    return "[" + where + "] with [" + std::string(name) + "]";
}

std::vector<std::string> texts(const Value& value, const std::string& where) {
    if (!value.is_array()) throw parsing_error("[" + where + "] must be a list of strings");
    std::vector<std::string> all;
    for (const Value& one : value.as_array()) {
        if (!one.is_string()) throw parsing_error("[" + where + "] must be a list of strings");
        all.emplace_back(one.as_string());
    }
    return all;
}

bool is_empty(const Value& value) {
    return value.is_null() || (value.is_array() && value.as_array().size() == 0) ||
           (value.is_object() && value.as_object().size() == 0);
}

ClusterPrivilege cluster_privilege(const std::string& name) {
    const auto found = std::find(kClusterPrivileges.begin(), kClusterPrivileges.end(), name);
    if (found == kClusterPrivileges.end())
        throw illegal_argument("the cluster privilege [" + name +
                               "] is not supported: [none], [monitor], [manage] and [all] are");
    return static_cast<ClusterPrivilege>(found - kClusterPrivileges.begin());
}

unsigned index_privilege(const std::string& name) {
    std::string known;
    for (const NamedPrivilege& privilege : kIndexPrivileges) {
        if (privilege.name == name) return privilege.bits;
        known += (known.empty() ? "[" : ", [") + std::string(privilege.name) + "]";
    }
    throw illegal_argument("the index privilege [" + name + "] is not supported, but " + known);
}

/// Only `*` is a pattern here.
void check_name(const std::string& name) {
    if (name.empty() || name.front() == '/' || name.find_first_of("?,") != std::string::npos)
        throw illegal_argument("[names] with [" + name +
                               "] are not supported: the name of an index or alias, with [*] for "
                               "any characters");
}

std::vector<std::string> index_names(const Value& value) {
    std::vector<std::string> names;
    if (value.is_string()) {
        names.emplace_back(value.as_string());
    } else {
        names = texts(value, "names");
    }
    for (const std::string& name : names)
        check_name(name);
    return names;
}

std::string joined(const std::vector<std::string>& parts) {
    std::string text;
    for (const std::string& part : parts)
        text += (text.empty() ? "" : ",") + part;
    return text;
}

/// As few names as there are.
std::string privilege_names(unsigned bits) {
    std::vector<std::string> names;
    for (const NamedPrivilege& privilege : kIndexPrivileges) {
        if (privilege.bits == 0 || (bits & privilege.bits) != privilege.bits) continue;
        names.emplace_back(privilege.name);
        bits &= ~privilege.bits;
    }
    return names.empty() ? "none" : joined(names);
}

}  // namespace

Permissions Permissions::everything() {
    Permissions all;
    all.cluster_ = ClusterPrivilege::all;
    all.grants_ = {{{"*"}, IndexPrivilege::all, true}};
    all.json_ = "{}";
    return all;
}

Permissions Permissions::of_roles(const Value& descriptors) {
    if (!descriptors.is_object()) throw parsing_error("[role_descriptors] must be an object");
    if (descriptors.as_object().size() == 0) return everything();
    Permissions permissions;
    for (const document::Member& role : descriptors.as_object())
        permissions.add_role(role.value);
    permissions.json_ = json_text(descriptors);
    return permissions;
}

Permissions Permissions::of(bool read_only, const std::vector<std::string>& indices) {
    if (!read_only && indices.empty()) return everything();
    std::string text;
    document::JsonWriter json(text);
    const auto list = [&](std::string_view name, const std::vector<std::string>& values) {
        json.member_array(name, [&] {
            for (const std::string& value : values)
                json.value(value);
        });
    };
    json.object([&] {
        json.member_object("limited", [&] {
            list("cluster", indices.empty() ? std::vector<std::string>{"monitor"}
                                            : std::vector<std::string>{});
            json.member_array("indices", [&] {
                json.object([&] {
                    list("names", indices.empty() ? std::vector<std::string>{"*"} : indices);
                    list("privileges", read_only ? std::vector<std::string>{"read", "monitor",
                                                                            "view_index_metadata"}
                                                 : std::vector<std::string>{"all"});
                });
            });
        });
    });
    JsonBody body;
    body.parse(std::move(text));
    return of_roles(Value::object(&body.root()));
}

void Permissions::add_role(const Value& role) {
    if (!role.is_object()) throw parsing_error("[role_descriptors] must hold objects");
    for (const document::Member& part : role.as_object()) {
        const std::string_view name = part.key();
        if (name == "cluster") {
            for (const std::string& privilege : texts(part.value, "cluster"))
                cluster_ = std::max(cluster_, cluster_privilege(privilege));
        } else if (name == "indices" || name == "index") {
            if (!part.value.is_array()) throw parsing_error("[indices] must be a list of objects");
            for (const Value& entry : part.value.as_array())
                add_indices(entry);
        } else if (name != "metadata" && name != "transient_metadata" && name != "description" &&
                   (name == "restriction" || !is_empty(part.value))) {
            throw illegal_argument(at("role_descriptors", name) + " are not supported");
        }
    }
}

void Permissions::add_indices(const Value& entry) {
    if (!entry.is_object()) throw parsing_error("[indices] must be a list of objects");
    Grant grant;
    bool has_privileges = false;
    for (const document::Member& part : entry.as_object()) {
        const std::string_view name = part.key();
        if (name == "names") {
            grant.names = index_names(part.value);
        } else if (name == "privileges") {
            has_privileges = true;
            for (const std::string& privilege : texts(part.value, "privileges"))
                grant.privileges |= index_privilege(privilege);
        } else if (name == "allow_restricted_indices" && part.value.is_boolean()) {
            grant.restricted = part.value.as_boolean();
        } else if (!part.value.is_null()) {
            throw illegal_argument(at("indices", name) + " are not supported");
        }
    }
    if (grant.names.empty() || !has_privileges)
        throw parsing_error("[indices] needs [names] and [privileges]");
    grants_.push_back(std::move(grant));
}

bool Permissions::allows(unsigned privileges, std::string_view name) const {
    const bool restricted = names_system_index(name);
    // A pattern that matches the text of another one matches all that the other one stands for.
    for (const Grant& grant : grants_) {
        if (restricted && !grant.restricted) continue;
        const auto fits = [&](const std::string& pattern) {
            return matches_wildcard(pattern, name);
        };
        if (std::any_of(grant.names.begin(), grant.names.end(), fits))
            privileges &= ~grant.privileges;
    }
    return privileges == 0;
}

bool Permissions::allows_somewhere(unsigned privileges) const {
    for (const Grant& grant : grants_) {
        for (const std::string& name : grant.names) {
            if (allows(privileges, name)) return true;
        }
    }
    return false;
}

bool Permissions::allows_any_somewhere(unsigned privileges) const {
    return std::any_of(grants_.begin(), grants_.end(), [&](const Grant& grant) {
        return (grant.privileges & privileges) != 0 && !grant.names.empty();
    });
}

bool Permissions::allows_everything() const {
    return allows(ClusterPrivilege::all) && allows(IndexPrivilege::all, "*");
}

std::string Permissions::summary() const {
    if (allows_everything()) return "all";
    std::string text;
    if (cluster_ != ClusterPrivilege::none)
        text = "cluster:" + std::string(kClusterPrivileges[static_cast<std::size_t>(cluster_)]);
    for (const Grant& grant : grants_)
        text += (text.empty() ? "" : ";") + privilege_names(grant.privileges) + ":" +
                joined(grant.names);
    return text.empty() ? "none" : text;
}

}  // namespace penstock::serve
