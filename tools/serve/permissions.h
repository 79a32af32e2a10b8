// What somebody may do, as Elasticsearch's role descriptors say it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/document/value.h"

namespace penstock::serve {

/// With what is of no index; each includes those before it.
enum class ClusterPrivilege {
    none,
    monitor,  ///< see all of it but users and keys; simulate and infer
    manage,   ///< change it
    all,      ///< users and keys too
};

/// With indices, as bits that add up.
struct IndexPrivilege {
    static constexpr unsigned read = 1U;  ///< documents
    static constexpr unsigned monitor = 4U;
    static constexpr unsigned metadata = 8U;  ///< see settings, mappings and aliases
    static constexpr unsigned maintenance = 16U;
    static constexpr unsigned create_index = 32U;
    static constexpr unsigned delete_index = 64U;
    static constexpr unsigned configure = 128U;  ///< change settings, mappings and aliases
    static constexpr unsigned add_doc = 256U;    ///< of a new id, or without one
    static constexpr unsigned put_doc = 512U;    ///< also over another one
    static constexpr unsigned update_doc = 1024U;
    static constexpr unsigned delete_doc = 2048U;
    static constexpr unsigned auto_create = 4096U;  ///< make a missing index by a write
    /// As Elasticsearch's `write`: documents, and no index for them.
    static constexpr unsigned write = add_doc | put_doc | update_doc | delete_doc;
    static constexpr unsigned manage =
        monitor | metadata | maintenance | create_index | auto_create | delete_index | configure;
    static constexpr unsigned all = read | write | manage;
};

/// The privileges of one user or key: nothing, until it is said. Roles add up.
class Permissions {
  public:
    Permissions() = default;
    static Permissions everything();
    /// Role descriptors as POST /_security/api_key has them; without roles: everything. Throws
    /// ApiError 400, which names what cannot be granted or kept to exactly as it stands.
    static Permissions of_roles(const document::Value& descriptors);
    /// Of the command line. Without `indices` all indices, and what is of no index.
    static Permissions of(bool read_only, const std::vector<std::string>& indices);

    bool allows(ClusterPrivilege privilege) const { return cluster_ >= privilege; }
    /// All of `privileges` with whatever has this name: an index or alias, or with `*` all that it
    /// stands for. The server's own indices take a grant that says `allow_restricted_indices`.
    bool allows(unsigned privileges, std::string_view name) const;
    /// All of `privileges` with some name.
    bool allows_somewhere(unsigned privileges) const;
    /// One of `privileges` with some name.
    bool allows_any_somewhere(unsigned privileges) const;
    bool allows_everything() const;

    /// JSON; an object without members for everything.
    const std::string& role_descriptors() const { return json_; }
    /// In one word, for tables: "cluster:monitor;read:books*,papers".
    std::string summary() const;

  private:
    struct Grant {
        std::vector<std::string> names;
        unsigned privileges = 0;
        bool restricted = false;  ///< also of the server's own indices
    };

    void add_role(const document::Value& role);
    void add_indices(const document::Value& entry);

    ClusterPrivilege cluster_ = ClusterPrivilege::none;
    std::vector<Grant> grants_;
    std::string json_;
};

}  // namespace penstock::serve
