#ifndef SERVERS_H
#define SERVERS_H
#include <uv.h>

extern uv_loop_t *loop;
void serve_streams(int port, int target);  // an echo without a target, a proxy with one
void serve_datagrams(int port);
#endif
