// What `tls-costs` is compared with: a loop of OpenSSL's over epoll, as small as it can be; and the peer of both.
//
//   openssl_loop serve send|receive|handshake CERTIFICATE KEY N SIZE     as `tls-costs`
//   openssl_loop dial send|receive|handshake|idle PORT CIPHER N SIZE      what the server's word asks of its peer
//
// The peer offers TLS 1.3 with one cipher, so that all servers do the same work.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static _Noreturn void fail(const char *what) {
    fprintf(stderr, "openssl_loop: %s (%s)\n", what, strerror(errno));
    ERR_print_errors_fp(stderr);
    exit(1);
}

static long long cpu(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int epoll;

static void wait_for(int fd, uint32_t events) {
    struct epoll_event event = {.events = events | EPOLLONESHOT, .data.fd = fd}, found;
    if (epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event) < 0) fail("epoll_ctl");
    while (epoll_wait(epoll, &found, 1, -1) < 0) {
        if (errno != EINTR) fail("epoll_wait");
    }
}

// Waits for what OpenSSL waits for. 0 if it has ended.
static int again(SSL *ssl, int result) {
    switch (SSL_get_error(ssl, result)) {
        case SSL_ERROR_WANT_READ: wait_for(SSL_get_fd(ssl), EPOLLIN); return 1;
        case SSL_ERROR_WANT_WRITE: wait_for(SSL_get_fd(ssl), EPOLLOUT); return 1;
        case SSL_ERROR_ZERO_RETURN: return 0;
        default: fail("TLS");
    }
}

static void watch(int fd) {
    struct epoll_event event = {.events = EPOLLONESHOT, .data.fd = fd};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) fail("epoll_ctl");
}

static SSL *next_connection(int listener, SSL_CTX *context) {
    int fd, one = 1, result;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) < 0) {
        if (errno != EAGAIN) fail("accept");
        wait_for(listener, EPOLLIN);
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    watch(fd);
    SSL *ssl = SSL_new(context);
    if (!ssl || !SSL_set_fd(ssl, fd)) fail("SSL_new");
    while ((result = SSL_accept(ssl)) != 1) {
        if (!again(ssl, result)) fail("handshake");
    }
    return ssl;
}

// Says the last word, waits for the peer's, and closes.
static void end(SSL *ssl) {
    char rest[16384];
    int fd = SSL_get_fd(ssl), result;
    SSL_shutdown(ssl);
    shutdown(fd, SHUT_WR);
    while ((result = SSL_read(ssl, rest, sizeof rest)) > 0 || again(ssl, result)) {}
    SSL_free(ssl);
    close(fd);
}

static void serve(const char *what, const char *certificate, const char *key, long count, long size) {
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (SSL_CTX_use_certificate_chain_file(context, certificate) != 1) fail(certificate);
    if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1) fail(key);
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (bind(listener, (void *)&address, length) < 0 || listen(listener, 1024) < 0) fail("listen");
    getsockname(listener, (void *)&address, &length);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    watch(listener);
    printf("port %d\n", ntohs(address.sin_port));

    if (strcmp(what, "handshake") == 0) {
        long long before = cpu();
        for (long i = 0; i < count; i++) end(next_connection(listener, context));
        printf("cpu %lld\n", cpu() - before);
        return;
    }
    SSL *ssl = next_connection(listener, context);
    char *piece = malloc(size > 65536 ? size : 65536);
    memset(piece, 'a', size);
    int result;
    long long before = cpu();
    if (strcmp(what, "send") == 0) {
        for (long i = 0; i < count; i++) {
            while ((result = SSL_write(ssl, piece, size)) <= 0) {
                if (!again(ssl, result)) fail("write");
            }
        }
    } else {
        for (long long rest = (long long)count * size; rest > 0;) {
            if ((result = SSL_read(ssl, piece, 65536)) > 0) rest -= result;
            else if (!again(ssl, result)) fail("read");
        }
    }
    printf("cpu %lld\n", cpu() - before);
    end(ssl);
}

static SSL *dialled(SSL_CTX *context, int port) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    if (connect(fd, (void *)&address, sizeof address) < 0) fail("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    SSL *ssl = SSL_new(context);
    SSL_set_fd(ssl, fd);
    if (SSL_connect(ssl) != 1) fail("handshake");
    return ssl;
}

static void dial(const char *what, int port, const char *cipher, long count, long size) {
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
    if (SSL_CTX_set_ciphersuites(context, cipher) != 1) fail(cipher);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    size_t room = size > 65536 ? size : 65536;
    char *piece = calloc(1, room);
    if (strcmp(what, "handshake") == 0) {
        for (long i = 0; i < count; i++) {
            SSL *ssl = dialled(context, port);
            while (SSL_read(ssl, piece, room) > 0) {}
            SSL_shutdown(ssl);
            close(SSL_get_fd(ssl));
            SSL_free(ssl);
        }
    } else if (strcmp(what, "idle") == 0) {
        for (long i = 0; i < count; i++) {
            SSL *ssl = dialled(context, port);
            if (size > 0 && SSL_write(ssl, piece, size) != size) fail("write");
            for (long rest = size, result; rest > 0; rest -= result) {
                if ((result = SSL_read(ssl, piece, room)) <= 0) fail("read");
            }
        }
        // Until whoever has started this has seen enough.
        while (getchar() != EOF) {}
    } else {
        SSL *ssl = dialled(context, port);
        if (strcmp(what, "receive") == 0) {
            for (long i = 0; i < count; i++) {
                if (SSL_write(ssl, piece, size) != size) fail("write");
            }
        }
        while (SSL_read(ssl, piece, room) > 0) {}
        SSL_shutdown(ssl);
        close(SSL_get_fd(ssl));
    }
}

int main(int argc, char **argv) {
    setlinebuf(stdout);
    signal(SIGPIPE, SIG_IGN);
    if (argc == 7 && strcmp(argv[1], "serve") == 0) {
        serve(argv[2], argv[3], argv[4], atol(argv[5]), atol(argv[6]));
    } else if (argc == 7 && strcmp(argv[1], "dial") == 0) {
        dial(argv[2], atoi(argv[3]), argv[4], atol(argv[5]), atol(argv[6]));
    } else {
        fprintf(stderr, "usage: openssl_loop serve|dial WHAT …\n");
        return 64;
    }
    return 0;
}
