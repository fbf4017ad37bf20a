// Connections that have exchanged a payload and then do nothing, so that the server's memory for them can be read.
#include "load.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int mode_idle(Run *run) {
    uint32_t count = run->options.connections;
    int *sockets = calloc(count, sizeof(int));
    files_allow(count);
    for (uint32_t index = 0; index < count; index++) {
        sockets[index] = socket_connect(run, index, true);
        if (sockets[index] < 0) return run_report(run);
        if (!greet(run, index, sockets[index], tape_start(index), run->options.payload)) return run_report(run);
    }
    printf("{\"mode\":\"idle\",\"connections\":%u,\"ready\":true}\n", count);
    fflush(stdout);
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0) {}
    for (uint32_t index = 0; index < count; index++) {
        ssize_t size = recv(sockets[index], &byte, 1, MSG_DONTWAIT);
        if (size == 0) run_error(run, CLOSED_EARLY, "connection %u", index);
        if (size > 0) run_error(run, SURPLUS, "connection %u", index);
        close(sockets[index]);
    }
    return run->error_count ? 1 : 0;
}
