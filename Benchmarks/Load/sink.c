// An echo server for behind a proxy: not one of the competitors, only there to be as cheap as it can.
#define _GNU_SOURCE
#include "load.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER = 256 << 10, EVENTS = 512 };

typedef struct {
    int socket;
    size_t begin, end, room;    // what could not be sent yet
    unsigned char *rest;
} Guest;

static void watch(int poller, Guest *guest, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = guest};
    epoll_ctl(poller, EPOLL_CTL_MOD, guest->socket, &event);
}

static void let_in(int poller, int listener) {
    int descriptor;
    while ((descriptor = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        int on = 1;
        setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        Guest *guest = calloc(1, sizeof *guest);
        guest->socket = descriptor;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = guest};
        epoll_ctl(poller, EPOLL_CTL_ADD, descriptor, &event);
    }
}

static void see_off(Guest *guest) {
    close(guest->socket);
    free(guest->rest);
    free(guest);
}

// False when the guest is gone.
static bool serve(int poller, Guest *guest, unsigned char *buffer) {
    if (guest->end > guest->begin) {
        size_t rest = guest->end - guest->begin;
        ssize_t size = send(guest->socket, guest->rest + guest->begin, rest, MSG_NOSIGNAL);
        if (size < 0) return errno == EAGAIN;
        guest->begin += (size_t)size;
        if (guest->begin == guest->end) watch(poller, guest, EPOLLIN);
        return true;
    }
    ssize_t size = recv(guest->socket, buffer, BUFFER, 0);
    if (size <= 0) return size < 0 && errno == EAGAIN;
    ssize_t sent = send(guest->socket, buffer, (size_t)size, MSG_NOSIGNAL);
    if (sent == size) return true;
    if (sent < 0 && errno != EAGAIN) return false;
    if (sent < 0) sent = 0;
    if (!guest->rest) guest->rest = malloc(BUFFER);
    guest->begin = 0;
    guest->end = (size_t)(size - sent);
    memcpy(guest->rest, buffer + sent, guest->end);
    watch(poller, guest, EPOLLOUT);
    return true;
}

int mode_sink(int port) {
    int listener = socket_listen(port), poller = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event own = {.events = EPOLLIN};
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &own);
    files_allow(20000);
    unsigned char *buffer = malloc(BUFFER);
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(poller, events, EVENTS, -1);
        for (int index = 0; index < count; index++) {
            Guest *guest = events[index].data.ptr;
            if (!guest) let_in(poller, listener);
            else if (!serve(poller, guest, buffer)) see_off(guest);
        }
    }
}
