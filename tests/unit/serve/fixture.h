// A server without HTTP: the state of a node in a directory of its own, and calls of its handlers.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>

#include "tools/serve/api_error.h"
#include "tools/serve/node.h"

namespace penstock::serve {

/// A body that is there at once.
class TextBody final : public RequestBody {
  public:
    explicit TextBody(std::string text) : text_(std::move(text)), present_(!text_.empty()) {}
    boost::asio::awaitable<bool> read(std::string& out) override {
        const bool more = !text_.empty();
        out += std::exchange(text_, {});
        co_return more;
    }
    boost::asio::awaitable<std::string> read_all() override { co_return std::exchange(text_, {}); }
    bool present() const override { return present_; }

  private:
    std::string text_;
    bool present_;
};

/// What all tests of the API's families begin with. They add the routes they need to `router`.
class ServeFixture : public testing::Test {
  protected:
    ServeFixture() {
        std::string pattern =
            (std::filesystem::temp_directory_path() / "penstock-serve-XXXXXX").native();
        directory = files.path = ::mkdtemp(pattern.data());
        node.data = directory;
        node.id = "node0000000000000000aa";
        node.runtime = &runtime;
        node.budget = &budget;
        open();
    }

    /// Opens what is on disk, as a start of the server does.
    void open() {
        node.indices.reset();
        node.store.reset();
        node.store = io::IndexStore::open(directory.native());
        node.indices = std::make_shared<IndexRegistry>(node.store);
    }

    /// What a disk does to a file; the server starts again.
    void damage(const std::string& index) {
        node.indices.reset();
        node.store.reset();
        const std::filesystem::path file = directory / "indices" / index / "index.db";
        std::filesystem::remove(file.native() + "-wal");
        std::ofstream(file) << std::string(50'000, 'x');
        open();
    }

    /// `target`: "/index/_search?size=1". What a handler throws is thrown, unless it is an
    /// ApiError: that is its response.
    Response call(const std::string& method, const std::string& target, std::string body = {}) {
        Request request;
        request.method = method;
        const std::size_t mark = target.find('?');
        request.path = target.substr(0, mark);
        if (mark != std::string::npos) request.query = Parameters::parse(target.substr(mark + 1));
        TextBody text(std::move(body));
        request.body = &text;
        try {
            const Handler& handler = router.find(request);
            return boost::asio::co_spawn(
                       runtime.cpu(),
                       [&]() -> boost::asio::awaitable<Response> {
                           co_return co_await handler(request);
                       },
                       boost::asio::use_future)
                .get();
        } catch (const ApiError& error) {
            return Response::json(error.body(), error.status());
        }
    }

    /// Deleted at last, when no thread has anything open there any more.
    struct Files {
        ~Files() {
            std::error_code ignored;
            std::filesystem::remove_all(path, ignored);
        }
        std::filesystem::path path;
    };

    Files files;
    std::filesystem::path directory;
    runtime::Runtime runtime{{.cpu_threads = 2, .blocking_threads = 2}};
    MemoryBudget budget{64UL << 20};
    Node node;
    Router router;
};

}  // namespace penstock::serve
