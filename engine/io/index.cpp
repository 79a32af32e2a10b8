#include "engine/io/index.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <random>
#include <system_error>
#include <utility>

#include "engine/io/index_impl.h"
#include "engine/io/index_snapshot.h"
#include "engine/io/json_text.h"
#include "engine/runtime/durable_file.h"
#include "engine/runtime/error.h"

namespace penstock::io {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::pair<std::string_view, Similarity>, 4> kSimilarities = {{
    {"cosine", Similarity::cosine},
    {"dot_product", Similarity::dot_product},
    {"l2_norm", Similarity::l2_norm},
    {"max_inner_product", Similarity::max_inner_product},
}};

std::string unique_suffix() {
    std::random_device device;
    return std::to_string(::getpid()) + "." + std::to_string(device());
}

/// Whoever asks for an index while another thread refreshes its vectors may find a document moved
/// on; a few tries suffice, since each begins from the newest state.
constexpr int kSearchTries = 4;

/// See IndexStore::searchable.
constexpr std::size_t kRefreshedSnapshots = 4;

/// Reading connections that wait for the next reader; each holds some megabytes of pages.
constexpr std::size_t kIdleReaders = 4;

}  // namespace

std::optional<Similarity> similarity_from_name(std::string_view name) {
    for (const auto& [known, similarity] : kSimilarities) {
        if (known == name) return similarity;
    }
    return std::nullopt;
}

std::string_view similarity_name(Similarity similarity) {
    return kSimilarities[static_cast<std::size_t>(similarity)].first;
}

void check_index_name(std::string_view name) {
    const auto refuse = [&](const std::string& why) {
        throw Error("Invalid index name [" + std::string(name) + "], " + why);
    };
    if (!is_valid_utf8(name)) {
        std::string shown(name);
        std::replace_if(
            shown.begin(), shown.end(), [](char c) { return (c & 0x80) != 0; }, '?');
        throw Error("Invalid index name [" + shown + "], must be valid UTF-8");
    }
    if (name.empty()) refuse("must not be empty");
    if (name.size() > 255)
        refuse("index name is too long, (" + std::to_string(name.size()) + " > 255)");
    if (name == "." || name == "..") refuse("must not be '.' or '..'");
    if (name.front() == '_' || name.front() == '-' || name.front() == '+') {
        refuse("must not start with '_', '-', or '+'");
    }
    for (const char c : name) {
        if (c >= 'A' && c <= 'Z') refuse("must be lowercase");
        if (static_cast<unsigned char>(c) < 0x20 ||
            std::string_view(" \"*\\<|,>/?#:").find(c) != std::string_view::npos) {
            refuse("must not contain white space or one of \" * \\ < | , > / ? # :");
        }
    }
}

Index::Reader::Reader(Index& index) : index_(index) {
    {
        const std::lock_guard lock(index_.readers_mutex_);
        if (!index_.readers_.empty()) {
            db_ = std::move(index_.readers_.back());
            index_.readers_.pop_back();
        }
    }
    if (!db_) db_ = std::make_unique<Database>(index_.file(), index_.name_, Database::Mode::read);
}

Index::Reader::~Reader() {
    const std::lock_guard lock(index_.readers_mutex_);
    if (index_.readers_.size() < kIdleReaders) index_.readers_.push_back(std::move(db_));
}

Index::Index(std::string directory, std::string name, const IndexStoreOptions& options)
    : directory_(std::move(directory)), name_(std::move(name)), options_(options) {
    struct stat info {};
    if (::stat(file().c_str(), &info) != 0) {
        throw StorageError("cannot open index " + name_ + ": " + file() + ": " +
                           std::strerror(errno));
    }
    device_ = info.st_dev;
    inode_ = info.st_ino;
    writer_ = std::make_unique<IndexWriter>(file(), name_, options_.survive_power_loss);
}

bool Index::still_there() const {
    struct stat info {};
    return ::stat(file().c_str(), &info) == 0 && info.st_dev == device_ && info.st_ino == inode_;
}

void Index::bulk(std::span<const WriteItem* const> items, std::span<ItemResult* const> results) {
    const std::lock_guard lock(writer_mutex_);
    writer_->bulk(items, results);
}

std::vector<std::optional<StoredDocument>> Index::mget(std::span<const std::string_view> ids,
                                                       bool with_vectors) {
    Reader reader(*this);
    const Transaction snapshot(reader.db(), Transaction::Kind::read);
    std::vector<std::optional<StoredDocument>> documents;
    documents.reserve(ids.size());
    for (const std::string_view id : ids)
        documents.push_back(read_document(reader.db(), id, with_vectors));
    return documents;
}

std::uint64_t Index::count() {
    Reader reader(*this);
    return static_cast<std::uint64_t>(read_number(reader.db(), "docs"));
}

std::string Index::graph_path(const Field& field) const {
    return directory_ + "/vectors-" + std::to_string(field.id) + ".hnsw";
}

IndexInfo Index::info() {
    IndexInfo info;
    info.name = name_;
    {
        Reader reader(*this);
        const Transaction snapshot(reader.db(), Transaction::Kind::read);
        info.docs = static_cast<std::uint64_t>(read_number(reader.db(), "docs"));
        info.max_seq_no = read_number(reader.db(), "next_seq_no") - 1;
        info.created = read_text(reader.db(), "created");
        info.analyzer = read_text(reader.db(), "analyzer");
        for (const Field& field : read_fields(reader.db())) {
            info.fields.push_back({field.path, std::string(field.type_name())});
            if (field.type == FieldType::text) {
                info.text_fields.push_back(field.path);
            } else if (field.type == FieldType::vector) {
                info.vector_fields.push_back({field.path, field.dims, field.similarity,
                                              static_cast<std::uint64_t>(field.rows),
                                              VectorSet::saved_graph_size(graph_path(field))});
            }
        }
    }
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(directory_, ignored)) {
        const std::uintmax_t size = entry.file_size(ignored);
        if (!ignored) info.bytes += size;
    }
    return info;
}

VectorCache& Index::cache(const Field& field) {
    const std::lock_guard lock(caches_mutex_);
    std::unique_ptr<VectorCache>& cache = caches_[field.id];
    if (!cache) cache = std::make_unique<VectorCache>(field, graph_path(field));
    return *cache;
}

std::vector<Hit> Index::search(const SearchRequest& request) {
    Reader reader(*this);
    const std::function<VectorCache&(const Field&)> caches =
        [this](const Field& field) -> VectorCache& { return cache(field); };
    SearchAnswer answer;
    for (int i = 0; i < kSearchTries; ++i) {
        answer = run_search(reader.db(), request, caches, name_);
        if (!answer.stale) break;
    }
    return std::move(answer.hits);
}

void Index::optimize() {
    const std::lock_guard one(optimize_mutex_);
    {
        const std::lock_guard lock(writer_mutex_);
        writer_->merge_text();
    }
    Reader reader(*this);
    const Transaction snapshot(reader.db(), Transaction::Kind::read);
    for (const Field& field : read_fields(reader.db())) {
        const bool large =
            field.rows > 0 && static_cast<std::uint64_t>(field.rows) > options_.exact_limit;
        if (field.type == FieldType::vector && large) cache(field).build_graph(reader.db());
    }
}

std::map<std::string, std::string> Index::attributes() {
    Reader reader(*this);
    return read_attributes(reader.db());
}

std::size_t Index::log_bytes() {
    const std::lock_guard lock(writer_mutex_);
    return writer_->log_bytes();
}

std::vector<std::shared_ptr<IndexSnapshot>> Index::snapshots(std::size_t count) {
    log_bytes();  // which empties it, as far as it can be
    const WriteGate gate(*this);
    std::vector<std::shared_ptr<IndexSnapshot>> snapshots;
    for (std::size_t i = 0; i < count; ++i)
        snapshots.push_back(std::make_shared<IndexSnapshot>(shared_from_this()));
    return snapshots;
}

void Index::set_attributes(const std::map<std::string, std::string>& attributes) {
    const std::lock_guard lock(writer_mutex_);
    writer_->set_attributes(attributes);
}

void Index::add_vector_field(const VectorMapping& mapping) {
    const std::lock_guard lock(writer_mutex_);
    writer_->add_vector_field(mapping);
}

std::shared_ptr<IndexStore> IndexStore::open(const std::string& data_dir,
                                             IndexStoreOptions options) {
    const std::string directory = data_dir + "/indices";
    std::error_code error;
    fs::create_directories(directory, error);
    if (error)
        throw StorageError("cannot make the data directory " + directory + ": " + error.message());
    return std::shared_ptr<IndexStore>(new IndexStore(directory, options));
}

IndexStore::IndexStore(std::string directory, IndexStoreOptions options)
    : directory_(std::move(directory)), options_(options) {}

IndexStore::~IndexStore() = default;

std::string IndexStore::path(const std::string& name) const {
    return directory_ + "/" + name;
}

std::shared_ptr<Index> IndexStore::find(const std::string& name) const {
    check_index_name(name);
    const std::lock_guard lock(mutex_);
    const auto found = open_.find(name);
    if (found != open_.end()) {
        if (found->second->still_there()) return found->second;
        open_.erase(found);
    }
    std::error_code ignored;
    if (!fs::exists(path(name) + "/index.db", ignored)) return nullptr;
    return open_[name] = std::make_shared<Index>(path(name), name, options_);
}

std::shared_ptr<Index> IndexStore::need(const std::string& name) const {
    std::shared_ptr<Index> index = find(name);
    if (!index) throw Error("no such index [" + name + "]");
    return index;
}

std::shared_ptr<Index> IndexStore::need_or_create(const std::string& name) {
    if (std::shared_ptr<Index> index = find(name)) return index;
    try {
        create(name);
    } catch (const Error&) {
        if (!exists(name)) throw;  // otherwise another one was quicker
    }
    return need(name);
}

void IndexStore::create(const std::string& name, const IndexSettings& settings) {
    check_index_name(name);
    if (exists(name)) throw Error("index [" + name + "] already exists");
    // Made beside and moved into place, so that a half-made index is never seen; a dot is no index
    // name's beginning that names() would list.
    const std::string beside = directory_ + "/.new." + unique_suffix();
    std::error_code error;
    fs::create_directory(beside, error);
    if (error)
        throw StorageError("cannot make index [" + name + "]: " + beside + ": " + error.message());
    try {
        IndexWriter::create(beside + "/index.db", name, settings);
        sync_directory(beside);
        fs::rename(beside, path(name), error);
        if (error) throw StorageError("cannot make index [" + name + "]: " + error.message());
        sync_directory(directory_);
    } catch (...) {
        std::error_code ignored;
        fs::remove_all(beside, ignored);
        throw;
    }
}

bool IndexStore::exists(const std::string& name) const {
    check_index_name(name);
    std::error_code ignored;
    return fs::exists(path(name) + "/index.db", ignored);
}

bool IndexStore::remove(const std::string& name) {
    if (!exists(name)) return false;
    forget_refreshed(name);
    const std::string beside = directory_ + "/.old." + unique_suffix();
    {
        const std::lock_guard lock(mutex_);
        open_.erase(name);
    }
    std::error_code error;
    fs::rename(path(name), beside, error);
    if (error) throw StorageError("cannot delete index [" + name + "]: " + error.message());
    forget_refreshed(name);  // of whoever has looked at it meanwhile
    fs::remove_all(beside, error);
    if (error)
        throw StorageError("index [" + name + "] is deleted, but files remain in " + beside + ": " +
                           error.message());
    return true;
}

std::string IndexStore::data_directory() const {
    return fs::path(directory_).parent_path().native();
}

std::vector<std::string> IndexStore::names() const {
    std::vector<std::string> names;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(directory_, error)) {
        std::string name = entry.path().filename().native();
        std::error_code ignored;
        if (!name.starts_with('.') && fs::exists(entry.path() / "index.db", ignored))
            names.push_back(std::move(name));
    }
    if (error) throw StorageError("cannot list " + directory_ + ": " + error.message());
    std::sort(names.begin(), names.end());
    return names;
}

IndexInfo IndexStore::info(const std::string& name) {
    return need(name)->info();
}
std::uint64_t IndexStore::count(const std::string& name) {
    return need(name)->count();
}
std::map<std::string, std::string> IndexStore::attributes(const std::string& name) {
    return need(name)->attributes();
}
void IndexStore::set_attributes(const std::string& name,
                                const std::map<std::string, std::string>& attributes) {
    need(name)->set_attributes(attributes);
}
void IndexStore::add_vector_field(const std::string& name, const VectorMapping& mapping) {
    need(name)->add_vector_field(mapping);
}
std::shared_ptr<IndexSnapshot> IndexStore::snapshot(const std::string& name) {
    return std::make_shared<IndexSnapshot>(need(name));
}
void IndexStore::optimize(const std::string& name) {
    need(name)->optimize();
}

std::shared_ptr<IndexSnapshot> IndexStore::searchable(const std::string& name) {
    std::shared_ptr<Index> index = need(name);
    {
        const std::lock_guard lock(refreshed_mutex_);
        const auto found = refreshed_.find(name);
        if (found != refreshed_.end() && found->second.index == index &&
            !found->second.snapshots.empty()) {
            Refreshed& refreshed = found->second;
            refreshed.next = (refreshed.next + 1) % refreshed.snapshots.size();
            return refreshed.snapshots[refreshed.next];
        }
    }
    return std::make_shared<IndexSnapshot>(std::move(index));
}

void IndexStore::set_visibility(const std::string& name, Visibility visibility) {
    if (visibility == Visibility::at_once) return forget_refreshed(name);
    const std::shared_ptr<Index> index = need(name);
    const std::lock_guard one(refreshing_);
    {
        const std::lock_guard lock(refreshed_mutex_);
        const auto found = refreshed_.find(name);
        if (found != refreshed_.end() && found->second.index == index) return;
        refreshed_[name] = {index, {}, 0};
    }
    replace_refreshed(name);
}

void IndexStore::refresh(const std::string& name) {
    const std::lock_guard one(refreshing_);
    replace_refreshed(name);
}

/// The old state is let go before the new one is opened: only in between, when nobody reads an old
/// state, can the log be emptied.
void IndexStore::replace_refreshed(const std::string& name) {
    std::vector<std::shared_ptr<IndexSnapshot>> old;
    {
        const std::lock_guard lock(refreshed_mutex_);
        const auto found = refreshed_.find(name);
        if (found == refreshed_.end()) return;
        old = std::exchange(found->second.snapshots, {});
    }
    old.clear();
    const std::shared_ptr<Index> index = need(name);
    std::vector<std::shared_ptr<IndexSnapshot>> snapshots = index->snapshots(kRefreshedSnapshots);
    const std::lock_guard lock(refreshed_mutex_);
    const auto found = refreshed_.find(name);
    if (found != refreshed_.end()) found->second = {index, std::move(snapshots), 0};
}

void IndexStore::forget_refreshed(const std::string& name) {
    std::map<std::string, Refreshed, std::less<>>::node_type old;  // closed without the lock
    const std::lock_guard lock(refreshed_mutex_);
    old = refreshed_.extract(name);
}

/// Readers of an old state keep the log of the files from being emptied: that has a bound. What is
/// written is written: a refresh that fails is tried again after the next write.
void IndexStore::bound_log(const std::string& name) {
    std::shared_ptr<Index> index;
    {
        const std::lock_guard lock(refreshed_mutex_);
        const auto found = refreshed_.find(name);
        if (found == refreshed_.end()) return;
        index = found->second.index;
    }
    try {
        if (index->log_bytes() >= options_.most_unrefreshed) refresh(name);
    } catch (const Error&) {
        return;
    }
}

void IndexStore::bulk(const std::string& name, std::span<const WriteItem> items,
                      std::vector<ItemResult>& results) {
    results.assign(items.size(), {});
    struct Part {
        std::vector<const WriteItem*> items;
        std::vector<ItemResult*> results;
    };
    std::map<std::string, Part, std::less<>> parts;
    for (std::size_t i = 0; i < items.size(); ++i) {
        const std::string_view target =
            items[i].index.empty() ? std::string_view(name) : items[i].index;
        Part& part = parts[std::string(target)];
        part.items.push_back(&items[i]);
        part.results.push_back(&results[i]);
    }
    for (auto& [target, part] : parts) {
        try {
            check_index_name(target);
        } catch (const Error& error) {
            if (target == name) throw;
            // A document chose this name; that is its own failure.
            for (ItemResult* result : part.results) {
                result->status = 400;
                result->error_type = "invalid_index_name_exception";
                result->error_reason = error.what();
            }
            continue;
        }
        need_or_create(target)->bulk(part.items, part.results);
        bound_log(target);
    }
}

std::optional<StoredDocument> IndexStore::get(const std::string& name, std::string_view id,
                                              bool vectors_in_source) {
    return std::move(need(name)->mget(std::span(&id, 1), vectors_in_source).front());
}

std::vector<std::optional<StoredDocument>> IndexStore::mget(const std::string& name,
                                                            std::span<const std::string> ids,
                                                            bool vectors_in_source) {
    const std::vector<std::string_view> views(ids.begin(), ids.end());
    return need(name)->mget(views, vectors_in_source);
}

std::vector<Hit> IndexStore::search(const std::string& name, const SearchRequest& request) {
    return need(name)->search(request);
}

std::unique_ptr<Source> IndexStore::scan(const std::string& name) {
    return std::move(make_index_sources(need(name), 1).front());
}

std::vector<std::unique_ptr<Source>> IndexStore::scan_slices(const std::string& name,
                                                             std::size_t count) {
    return make_index_sources(need(name), std::max<std::size_t>(count, 1));
}

std::unique_ptr<Source> IndexStore::scan(const std::string& name,
                                         std::shared_ptr<const Query> query) {
    return std::move(make_index_sources(need(name), 1, query).front());
}

std::vector<std::unique_ptr<Source>> IndexStore::scan_slices(const std::string& name,
                                                             std::size_t count,
                                                             std::shared_ptr<const Query> query) {
    return make_index_sources(need(name), std::max<std::size_t>(count, 1), query);
}

}  // namespace penstock::io
