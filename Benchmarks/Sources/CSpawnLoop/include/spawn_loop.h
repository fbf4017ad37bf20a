#ifndef SPAWN_LOOP_H
#define SPAWN_LOOP_H

/// What a plain C program does: posix_spawn(3) and waitpid(2), one child after the other, so many times. Returns the
/// number of children that have exited with 0.
int spawn_loop(const char *path, int count);

#endif
