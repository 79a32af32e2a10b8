#include "tools/serve/routed_sink.h"

#include <map>
#include <optional>
#include <vector>

#include "tools/serve/field_mapper.h"

namespace penstock::serve {

namespace {

/// What a name has come to.
struct Destination {
    std::string index;
    std::optional<ApiError> refusal;
};

io::ItemResult refused(const io::WriteItem& item, const ApiError& error) {
    io::ItemResult result;
    result.status = error.status();
    result.id = item.id;
    result.error_type = error.type();
    result.error_reason = error.reason();
    return result;
}

class RefusingSink final : public io::Sink {
  public:
    explicit RefusingSink(ApiError refusal) : refusal_(std::move(refusal)) {}

    void write(std::span<const io::WriteItem> items,
               std::vector<io::ItemResult>& results) override {
        results.clear();
        for (const io::WriteItem& item : items)
            results.push_back(refused(item, refusal_));
    }
    void flush() override {}
    std::string checkpoint() override { return "{}"; }
    void restore(std::string_view) override {}

  private:
    ApiError refusal_;
};

class RoutedSink final : public io::Sink {
  public:
    RoutedSink(std::unique_ptr<io::Sink> inner, IndexRegistry& indices, std::string dest,
               std::string final_pipeline, bool confined)
        : inner_(std::move(inner)),
          indices_(indices),
          mapper_(indices),
          final_pipeline_(std::move(final_pipeline)),
          confined_(confined) {
        known_.emplace(dest, Destination{dest, {}});
    }

    void write(std::span<const io::WriteItem> items,
               std::vector<io::ItemResult>& results) override {
        std::vector<io::WriteItem> accepted;
        std::vector<std::size_t> places;
        std::vector<io::ItemResult> all(items.size());
        for (std::size_t i = 0; i < items.size(); ++i) {
            const Destination& destination = find(items[i].index);
            std::optional<ApiError> refusal = destination.refusal;
            if (!refusal) refusal = map(items[i], destination.index);
            if (refusal) {
                all[i] = refused(items[i], *refusal);
                continue;
            }
            accepted.push_back(items[i]);
            accepted.back().index = destination.index;
            places.push_back(i);
        }
        if (!accepted.empty()) inner_->write(accepted, results);
        for (std::size_t i = 0; i < places.size(); ++i)
            all[places[i]] = std::move(results[i]);
        results = std::move(all);
    }
    void flush() override { inner_->flush(); }
    std::string checkpoint() override { return inner_->checkpoint(); }
    void restore(std::string_view checkpoint) override { inner_->restore(checkpoint); }

  private:
    const Destination& find(std::string_view name) {
        const auto found = known_.find(name);
        if (found != known_.end()) return found->second;
        Destination made;
        try {
            made.index = resolve(std::string(name));
        } catch (const ApiError& error) {
            made.refusal = error;
        }
        return known_.emplace(name, std::move(made)).first->second;
    }

    /// Its new fields; says why it cannot be written because of them.
    std::optional<ApiError> map(const io::WriteItem& item, const std::string& index) {
        if (item.op == io::WriteOp::remove) return std::nullopt;
        try {
            mapper_.map(index, item.id, item.source);
        } catch (const ApiError& error) {
            return error;
        }
        return std::nullopt;
    }

    std::string resolve(const std::string& name) {
        if (confined_) {
            throw ApiError(403, "security_exception",
                           "a pipeline sends the document to [" + name +
                               "], but whoever began this task may use some indices only: name it "
                               "as the destination");
        }
        const WriteTarget target = indices_.write_target(name);
        if (target.final_pipeline != final_pipeline_) {
            throw illegal_argument("index [" + target.index + "] has the final pipeline [" +
                                   target.final_pipeline +
                                   "], which a document that comes to it on its way to another "
                                   "index does not go through: name it as the destination");
        }
        if (!target.exists) indices_.create_for_write(target.index);
        return target.index;
    }

    std::unique_ptr<io::Sink> inner_;
    IndexRegistry& indices_;
    FieldMapper mapper_;
    std::string final_pipeline_;
    bool confined_;
    std::map<std::string, Destination, std::less<>> known_;
};

}  // namespace

std::unique_ptr<io::Sink> make_routed_sink(std::unique_ptr<io::Sink> inner, IndexRegistry& indices,
                                           std::string dest, std::string final_pipeline,
                                           bool confined) {
    return std::make_unique<RoutedSink>(std::move(inner), indices, std::move(dest),
                                        std::move(final_pipeline), confined);
}

std::unique_ptr<io::Sink> make_refusing_sink(const ApiError& refusal) {
    return std::make_unique<RefusingSink>(refusal);
}

}  // namespace penstock::serve
