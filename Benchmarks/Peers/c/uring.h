#ifndef URING_H
#define URING_H
#include <liburing.h>

extern struct io_uring ring;
struct io_uring_sqe *next_sqe(void);  // submits what there is when the queue is full
void serve_streams(int port, int target);
void serve_datagrams(int port);
#endif
