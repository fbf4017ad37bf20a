// What arrives is written at once by uv_try_write from the one buffer that all share; only what does not fit is copied,
// and nothing more is read for that stream until it is written. This is what the programs do that libuv is fast in.
#include "servers.h"

#include <stdlib.h>
#include <string.h>

#include "common.h"

enum { buffer_size = 65536 };

struct stream {
    uv_tcp_t tcp;
    struct stream *other;  // itself in an echo
    int read_ended, closed;
    uv_write_t write;
    uv_shutdown_t shutdown;
    uv_connect_t connect;
    char *unsent;
};

static int target;

static void allocate(uv_handle_t *handle, size_t size, uv_buf_t *buffer) {
    (void)handle, (void)size;
    static char bytes[buffer_size];
    *buffer = uv_buf_init(bytes, buffer_size);
}

static void on_closed(uv_handle_t *handle) {
    struct stream *stream = (struct stream *)handle, *other = stream->other;
    stream->closed = 2;
    if (other->closed != 2) return;
    if (other != stream) free(other);
    free(stream);
}

static void end(struct stream *stream) {
    if (stream->closed) return;
    stream->closed = 1;
    uv_close((uv_handle_t *)&stream->tcp, on_closed);
    end(stream->other);
}

static void on_read(uv_stream_t *handle, ssize_t count, const uv_buf_t *buffer);

static void on_written(uv_write_t *write, int status) {
    struct stream *to = write->data;
    free(to->unsent);
    to->unsent = NULL;
    if (status < 0) end(to);
    else if (!to->closed && !to->other->read_ended) uv_read_start((uv_stream_t *)&to->other->tcp, allocate, on_read);
}

static void pass(struct stream *from, struct stream *to, char *bytes, size_t count) {
    uv_buf_t all = uv_buf_init(bytes, count);
    int written = uv_try_write((uv_stream_t *)&to->tcp, &all, 1);
    if (written < 0 && written != UV_EAGAIN) return end(from);
    if (written < 0) written = 0;
    if ((size_t)written == count) return;
    uv_read_stop((uv_stream_t *)&from->tcp);
    to->unsent = malloc(count - written);
    memcpy(to->unsent, bytes + written, count - written);
    uv_buf_t rest = uv_buf_init(to->unsent, count - written);
    to->write.data = to;
    uv_write(&to->write, (uv_stream_t *)&to->tcp, &rest, 1, on_written);
}

static void on_read(uv_stream_t *handle, ssize_t count, const uv_buf_t *buffer) {
    struct stream *from = (struct stream *)handle, *to = from->other;
    if (count > 0) return pass(from, to, buffer->base, count);
    if (count == 0) return;
    from->read_ended = 1;
    if (count != UV_EOF || to->read_ended) return end(from);
    uv_read_stop(handle);
    uv_shutdown(&to->shutdown, (uv_stream_t *)&to->tcp, NULL);
}

static struct stream *make(void) {
    struct stream *stream = calloc(1, sizeof *stream);
    uv_tcp_init(loop, &stream->tcp);
    uv_tcp_nodelay(&stream->tcp, 1);
    return stream;
}

static void on_connected(uv_connect_t *request, int status) {
    struct stream *server = request->data;
    if (status < 0 || server->closed) return end(server);
    uv_read_start((uv_stream_t *)&server->tcp, allocate, on_read);
    uv_read_start((uv_stream_t *)&server->other->tcp, allocate, on_read);
}

static void on_connection(uv_stream_t *listener, int status) {
    if (status < 0) return;
    struct stream *client = make();
    client->other = client;
    if (uv_accept(listener, (uv_stream_t *)&client->tcp)) return end(client);
    if (!target) {
        uv_read_start((uv_stream_t *)&client->tcp, allocate, on_read);
        return;
    }
    struct stream *server = make();
    client->other = server, server->other = client;
    struct sockaddr_in address = loopback(target);
    server->connect.data = server;
    if (uv_tcp_connect(&server->connect, &server->tcp, (struct sockaddr *)&address, on_connected)) end(server);
}

void serve_streams(int port, int to) {
    static uv_tcp_t listener;
    struct sockaddr_in address = loopback(port);
    target = to;
    uv_tcp_init(loop, &listener);
    if (uv_tcp_bind(&listener, (struct sockaddr *)&address, 0) ||
        uv_listen((uv_stream_t *)&listener, 4096, on_connection))
        die("listen");
    ready();
    uv_run(loop, UV_RUN_DEFAULT);
}

// Datagrams, up to sixteen by one recvmmsg.
static void allocate_many(uv_handle_t *handle, size_t size, uv_buf_t *buffer) {
    (void)handle, (void)size;
    static char bytes[16 * buffer_size];
    *buffer = uv_buf_init(bytes, sizeof bytes);
}

static void on_datagram(uv_udp_t *socket, ssize_t count, const uv_buf_t *buffer, const struct sockaddr *sender,
                        unsigned flags) {
    (void)flags;
    if (count < 0 || !sender) return;
    uv_buf_t answer = uv_buf_init(buffer->base, count);
    uv_udp_try_send(socket, &answer, 1, sender);  // no room: a datagram is lost
}

void serve_datagrams(int port) {
    static uv_udp_t socket;
    struct sockaddr_in address = loopback(port);
    uv_udp_init_ex(loop, &socket, AF_INET | UV_UDP_RECVMMSG);
    if (uv_udp_bind(&socket, (struct sockaddr *)&address, UV_UDP_REUSEADDR)) die("bind");
    uv_udp_recv_start(&socket, allocate_many, on_datagram);
    ready();
    uv_run(loop, UV_RUN_DEFAULT);
}
