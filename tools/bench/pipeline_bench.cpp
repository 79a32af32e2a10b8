// Documents a second on one core, without a model: pipelines/web_requests.yml (ten steps) against
// the same edits written by hand over Boost.JSON, parsing and writing included in both. Interleaved
// rounds in one process; the ratio counts.
//
//   pipeline_bench [--rounds N] [--documents N] [--pipeline FILE]
#include <algorithm>
#include <boost/json/monotonic_resource.hpp>
#include <boost/json/parser.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/serializer.hpp>
#include <boost/json/value.hpp>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <deque>
#include <random>
#include <string>
#include <vector>

#include "engine/document/document.h"
#include "engine/document/json.h"
#include "engine/job/batch.h"
#include "engine/pipeline/executor.h"
#include "processors/builtin.h"

namespace json = boost::json;
using namespace penstock;

namespace {

double cpu_seconds() {
    timespec now{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

/// Web requests of some 440 bytes, the same for the same count.
std::vector<std::string> make_documents(std::size_t count) {
    std::mt19937 random(42);
    auto pick = [&](std::initializer_list<const char*> words) {
        return *(words.begin() + random() % words.size());
    };
    std::vector<std::string> documents;
    for (std::size_t i = 0; i < count; ++i) {
        documents.push_back(
            R"({"@timestamp":"2026-03-01T12:)" + std::to_string(10 + random() % 50) +
            R"(:07.123Z","host":"  WEB-)" + std::to_string(random() % 40) +
            R"(.Example.ORG ","ua":"Mozilla/5.0 (X11; Linux x86_64; rv:)" +
            std::to_string(90 + random() % 40) + R"(.0) Gecko/20100101","http":{"method":")" +
            pick({"GET", "POST", "PUT"}) + R"(","path":"/shop/item/)" +
            std::to_string(random() % 100000) + R"(","status":")" +
            pick({"200", "204", "301", "404", "500"}) + R"(","bytes":)" +
            std::to_string(random() % 100000) + R"(,"seconds":)" + std::to_string(random() % 1000) +
            R"(.25},"client":{"ip":"10.1.)" + std::to_string(random() % 256) + "." +
            std::to_string(random() % 256) + R"(","port":)" +
            std::to_string(1024 + random() % 60000) +
            R"(},"tags":"edge,eu,cached","debug":{"trace":"abcdef0123456789","hops":[1,2,3]},"ok":true})");
    }
    return documents;
}

/// As the reindex job runs them: batches of documents in one arena, parsed, run, written.
class Penstock {
  public:
    Penstock(std::shared_ptr<const pipeline::PipelineSet> set, const pipeline::Pipeline& pipeline)
        : executor_(std::move(set), pipeline) {}

    std::size_t run(const std::vector<std::string>& texts) {
        std::size_t bytes = 0;
        for (std::size_t begin = 0; begin < texts.size(); begin += batch_size) {
            std::size_t end = std::min(texts.size(), begin + batch_size);
            batch_.records.clear();
            batch_.records.origins = {"bench"};
            for (std::size_t i = begin; i < end; ++i) {
                io::Record record;
                record.begin = batch_.records.buffer.size();
                record.size = texts[i].size();
                batch_.records.buffer += texts[i];
                batch_.records.records.push_back(std::move(record));
            }
            batch_.parse(settings_);
            executor_.run_sync(batch_.documents(), batch_.results());
            batch_.render(settings_);
            for (const io::WriteItem& item : batch_.items())
                bytes += item.source.size();
        }
        return bytes;
    }
    const job::Batch& last() const { return batch_; }

  private:
    static constexpr std::size_t batch_size = 1000;
    static job::BatchSettings make_settings() {
        job::BatchSettings settings;
        settings.make_ids = false;
        return settings;
    }
    pipeline::Executor executor_;
    job::BatchSettings settings_ = make_settings();
    job::Batch batch_;
};

/// The same edits by hand: what a C++ programmer would write for just this pipeline.
class Bare {
  public:
    std::size_t run(const std::vector<std::string>& texts) {
        std::size_t bytes = 0;
        for (const std::string& text : texts)
            bytes += one(text);
        return bytes;
    }
    const std::string& last() const { return out_; }

  private:
    std::size_t one(const std::string& text) {
        resource_.release();
        parser_.reset(&resource_);
        parser_.write(text.data(), text.size());
        json::value document = parser_.release();
        edit(document.as_object());
        serializer_.reset(&document);
        out_.clear();
        char buffer[4096];
        while (!serializer_.done()) {
            json::string_view piece = serializer_.read(buffer);
            out_.append(piece.data(), piece.size());
        }
        return out_.size();
    }

    void edit(json::object& document) {
        json::storage_ptr memory = document.storage();
        json::object& server = document["server"].emplace_object();
        if (json::value* host = document.if_contains("host")) {
            server["name"] = std::move(*host);
            document.stable_erase("host");
        }
        json::string& name = server["name"].as_string();
        trim(name);
        if (json::value* ua = document.if_contains("ua")) {
            json::value agent = std::move(*ua);
            document.stable_erase("ua");
            document["user_agent"].emplace_object()["original"] = std::move(agent);
        }
        json::object& http = document["http"].as_object();
        json::object& event = document["event"].emplace_object();
        event["kind"] = "event";
        json::string& summary = event["summary"].emplace_string();
        summary.append(http["method"].as_string());
        summary.push_back(' ');
        summary.append(http["path"].as_string());
        document.stable_erase("debug");
        std::transform(name.begin(), name.end(), name.begin(),
                       [](char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
        json::value& status = http["status"];
        status = std::strtol(status.as_string().c_str(), nullptr, 10);
        json::value& tags = document["tags"];
        json::array list(memory);
        json::string_view rest = tags.as_string();
        while (true) {
            std::size_t comma = rest.find(',');
            list.emplace_back(rest.substr(0, comma));
            if (comma == json::string_view::npos) break;
            rest = rest.substr(comma + 1);
        }
        if (std::find(list.begin(), list.end(), "web") == list.end()) list.emplace_back("web");
        tags = std::move(list);
    }

    static void trim(json::string& text) {
        std::size_t begin = 0;
        while (begin < text.size() && text[begin] <= ' ')
            ++begin;
        std::size_t end = text.size();
        while (end > begin && text[end - 1] <= ' ')
            --end;
        text.erase(end);
        text.erase(0, begin);
    }

    unsigned char memory_[64 * 1024];
    json::monotonic_resource resource_{memory_, sizeof memory_};
    json::parser parser_;
    json::serializer serializer_;
    std::string out_;
};

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

struct Measured {
    std::vector<double> rates;
    template <class F>
    void round(std::size_t documents, F&& work) {
        double start = cpu_seconds();
        work();
        rates.push_back(static_cast<double>(documents) / (cpu_seconds() - start));
    }
};

}  // namespace

int main(int argc, char** argv) {
    std::size_t rounds = 9;
    std::size_t count = 50000;
    std::string file = "pipelines/web_requests.yml";
    for (int i = 1; i + 1 < argc; i += 2) {
        if (std::strcmp(argv[i], "--rounds") == 0) rounds = std::stoul(argv[i + 1]);
        if (std::strcmp(argv[i], "--documents") == 0) count = std::stoul(argv[i + 1]);
        if (std::strcmp(argv[i], "--pipeline") == 0) file = argv[i + 1];
    }
    pipeline::Catalog catalog;
    processors::add_builtin(catalog);
    pipeline::Diagnostics diagnostics;
    auto definition = pipeline::load_definition(file, diagnostics);
    if (!definition) {
        std::fprintf(stderr, "%s\n", diagnostics.text().c_str());
        return 1;
    }
    std::string id = definition->id;
    std::vector<pipeline::PipelineDefinition> definitions;
    definitions.push_back(std::move(*definition));
    auto set = pipeline::PipelineSet::compile(std::move(definitions), catalog);

    std::vector<std::string> documents = make_documents(count);
    Penstock penstock(set, *set->find(id));
    Bare bare;
    Measured ours;
    Measured theirs;
    std::size_t bytes[2] = {};
    for (std::size_t round = 0; round < rounds; ++round) {
        ours.round(count, [&] { bytes[0] = penstock.run(documents); });
        theirs.round(count, [&] { bytes[1] = bare.run(documents); });
    }
    if (penstock.last().items().empty()) {
        std::fprintf(stderr, "every document failed\n");
        return 1;
    }
    std::vector<double> ratios;
    for (std::size_t i = 0; i < rounds; ++i)
        ratios.push_back(ours.rates[i] / theirs.rates[i]);
    std::printf("%s, %zu documents of %zu bytes, %zu rounds, documents per CPU second (median)\n",
                file.c_str(), count, documents[0].size(), rounds);
    std::printf("  penstock           %10.0f\n  by hand, Boost.JSON %9.0f\n", median(ours.rates),
                median(theirs.rates));
    std::printf("  penstock / by hand %10.2f  (%.2f to %.2f)\n", median(ratios),
                *std::min_element(ratios.begin(), ratios.end()),
                *std::max_element(ratios.begin(), ratios.end()));
    std::printf("  last document, penstock: %s\n  last document, by hand:  %s\n",
                std::string(penstock.last().items().back().source).c_str(), bare.last().c_str());
    return bytes[0] > 0 && bytes[1] > 0 ? 0 : 1;
}
