// A cluster that says what a test wants it to say, over a real socket.
#pragma once

#include <sys/socket.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace penstock::io {

/// What the remote was asked.
struct FakeRequest {
    std::string line;  ///< "POST /a/_search?size=1"
    std::string body;
    boost::beast::http::fields headers;

    std::string header(const std::string& name) const { return std::string(headers[name]); }
};

/// One connection at a time. Answers are bytes as they go over the wire; an empty one is silence
/// until the client goes away.
class FakeRemote {
  public:
    using Answer = std::function<std::string(const FakeRequest&)>;

    explicit FakeRemote(Answer answer, boost::asio::ssl::context* tls = nullptr)
        : answer_(std::move(answer)),
          tls_(tls),
          acceptor_(io_, {boost::asio::ip::make_address("127.0.0.1"), 0}),
          port_(acceptor_.local_endpoint().port()),
          thread_([this] { serve(); }) {}
    ~FakeRemote() {
        stopping_ = true;
        ::shutdown(acceptor_.native_handle(), SHUT_RDWR);
        {
            const std::lock_guard lock(mutex_);
            if (socket_ >= 0) ::shutdown(socket_, SHUT_RDWR);
        }
        thread_.join();
    }
    FakeRemote(const FakeRemote&) = delete;
    FakeRemote& operator=(const FakeRemote&) = delete;

    std::uint16_t port() const { return port_; }
    std::vector<FakeRequest> requests() const {
        const std::lock_guard lock(mutex_);
        return requests_;
    }
    /// The lines of all requests.
    std::vector<std::string> lines() const {
        std::vector<std::string> lines;
        for (const FakeRequest& request : requests())
            lines.push_back(request.line);
        return lines;
    }

    static std::string http(const std::string& status, const std::string& body,
                            const std::string& headers = {}) {
        return "HTTP/1.1 " + status + "\r\nContent-Length: " + std::to_string(body.size()) +
               "\r\n" + headers + "\r\n" + body;
    }
    static std::string ok(const std::string& body) { return http("200 OK", body); }

  private:
    using Socket = boost::asio::ip::tcp::socket;

    void serve() {
        while (!stopping_) {
            boost::system::error_code problem;
            Socket socket(io_);
            acceptor_.accept(socket, problem);
            if (problem) return;
            set_socket(socket.native_handle());
            if (tls_ != nullptr) {
                boost::asio::ssl::stream<Socket&> secure(socket, *tls_);
                secure.handshake(boost::asio::ssl::stream_base::server, problem);
                if (!problem) talk(secure);
            } else {
                talk(socket);
            }
            set_socket(-1);
        }
    }

    void set_socket(int socket) {
        const std::lock_guard lock(mutex_);
        socket_ = socket;
    }

    template <class Stream>
    void talk(Stream& stream) {
        namespace http = boost::beast::http;
        boost::beast::flat_buffer buffer;
        boost::system::error_code problem;
        while (!stopping_) {
            http::request<http::string_body> request;
            http::read(stream, buffer, request, problem);
            if (problem) return;
            const FakeRequest asked{
                std::string(request.method_string()) + " " + std::string(request.target()),
                request.body(), request};
            {
                const std::lock_guard lock(mutex_);
                requests_.push_back(asked);
            }
            const std::string bytes = answer_(asked);
            if (!bytes.empty()) boost::asio::write(stream, boost::asio::buffer(bytes), problem);
            if (bytes.find("Connection: close") != std::string::npos) return;
        }
    }

    Answer answer_;
    boost::asio::ssl::context* tls_;
    boost::asio::io_context io_;
    boost::asio::ip::tcp::acceptor acceptor_;
    std::uint16_t port_;
    std::atomic<bool> stopping_{false};
    mutable std::mutex mutex_;  ///< of what follows
    std::vector<FakeRequest> requests_;
    int socket_ = -1;
    std::thread thread_;
};

}  // namespace penstock::io
